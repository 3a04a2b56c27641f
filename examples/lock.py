"""Several processes count in one place, one at a time. Beside it, lock.c."""

import multiprocessing


def count(lock, value):
    for _ in range(1000):
        with lock:
            value.value += 1


if __name__ == "__main__":
    lock = multiprocessing.Lock()
    value = multiprocessing.RawValue("l", 0)
    processes = [multiprocessing.Process(target=count, args=(lock, value)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(f"4 processes counted to {value.value}")
    print(f"acquired: {int(lock.acquire(block=False))}")
    print(f"acquired again: {int(lock.acquire(timeout=0.1))}")
    lock.release()
