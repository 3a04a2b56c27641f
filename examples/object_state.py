"""An object that cannot be copied to another process, sent with its state. Beside it, object_state.c."""

import multiprocessing
import threading


class Counter:
    def __init__(self):
        self.lock = threading.Lock()  # cannot be pickled
        self.entries = []

    def add(self, value):
        with self.lock:
            self.entries.insert(0, value)

    def __getstate__(self):
        return self.entries  # without the lock

    def __setstate__(self, entries):
        self.lock = threading.Lock()
        self.entries = entries


def worker(there, back):
    counter = there.get()  # a copy, made anew
    counter.add(4)
    back.put(counter)


if __name__ == "__main__":
    there, back = multiprocessing.Queue(), multiprocessing.Queue()
    counter = Counter()
    for i in range(1, 4):
        counter.add(i)
    process = multiprocessing.Process(target=worker, args=(there, back))
    process.start()
    there.put(counter)
    counter = back.get()
    print(f"{len(counter.entries)} entries:", *counter.entries)
    process.join()
