"""run_mp.py - the runner of Python's multiprocessing: speaks as runner.h says.

A task is the same machine code as everywhere: bench_work.so, called by ctypes from a plain function at
module level, as one would write it. That call costs some 0.17 us; the case metg-map:call tells how much.
"""
import array
import concurrent.futures
import ctypes
import multiprocessing
import os
import sys
import time

library = ctypes.CDLL(os.path.join(sys.argv[1], "bench_work.so"))
c_work = library.bench_work
c_work.argtypes = [ctypes.c_uint32]
c_work.restype = ctypes.c_uint64
c_sum = library.bench_sum
c_sum.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
c_sum.restype = ctypes.c_double

ARRAYS = 64
ARRAY_LENGTH = 1 << 20


def work(links):
    return c_work(links)


def sum_of(numbers):
    # Bytes, as they pickle fastest; the sum reads them in place.
    return c_sum(numbers, len(numbers) // 8)


def one_line(numbers):
    return numbers[len(numbers) // 2]


def nothing():
    pass


def timed(repeats, run):
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return time.perf_counter() - start


class Tasks:
    def __init__(self, chunk):
        self.chunk = chunk
        self.pool = multiprocessing.Pool(2)

    def run(self, name, count, links, repeats):
        if name == "metg-map:call":
            return timed(1, lambda: list(map(work, [0] * repeats)))
        tasks = [links] * count
        result = []

        def one_map():
            result[:] = self.pool.map(work, tasks, self.chunk)
        took = timed(repeats, one_map)
        right = c_work(links)
        if len(result) != count or any(value != right for value in result):
            raise ValueError("wrong results")
        return took

    def close(self):
        self.pool.terminate()


class Applied:
    """Tasks submitted one by one, then each result is got."""

    def __init__(self):
        self.pool = multiprocessing.Pool(2)

    def run(self, name, count, links, repeats):
        values = []

        def apply_each():
            results = [self.pool.apply_async(work, (links,)) for _ in range(count)]
            values[:] = [result.get() for result in results]
        took = timed(repeats, apply_each)
        right = c_work(links)
        if len(values) != count or any(value != right for value in values):
            raise ValueError("wrong results")
        return took

    def close(self):
        self.pool.terminate()


class Executor:
    """concurrent.futures: by map with chunks of 1, or each task submitted by itself."""

    def __init__(self, submit):
        self.submit = submit
        self.executor = concurrent.futures.ProcessPoolExecutor(2)

    def run(self, name, count, links, repeats):
        values = []

        def each():
            if self.submit:
                futures = [self.executor.submit(work, links) for _ in range(count)]
                values[:] = [future.result() for future in futures]
            else:
                values[:] = self.executor.map(work, [links] * count, chunksize=1)
        took = timed(repeats, each)
        right = c_work(links)
        if len(values) != count or any(value != right for value in values):
            raise ValueError("wrong results")
        return took

    def close(self):
        self.executor.shutdown()


class Start:
    """A new pool to its first results; its end is not measured."""

    def run(self, name, count, links, repeats):
        took = 0.0
        for _ in range(repeats):
            start = time.perf_counter()
            pool = multiprocessing.Pool(2)
            result = pool.map(work, [0] * count, 1)
            took += time.perf_counter() - start
            pool.close()
            pool.join()
            if result != [c_work(0)] * count:
                raise ValueError("wrong results")
        return took

    def close(self):
        pass


class Sums:
    def __init__(self):
        self.arrays = [array.array("d", [i + 1]).tobytes() * ARRAY_LENGTH for i in range(ARRAYS)]
        self.pool = multiprocessing.Pool(2)

    def run(self, name, count, links, repeats):
        result = []

        def one_map():
            result[:] = self.pool.map(sum_of, self.arrays, 1)
        took = timed(repeats, one_map)
        if result != [float((i + 1) * ARRAY_LENGTH) for i in range(ARRAYS)]:
            raise ValueError("wrong results")
        return took

    def close(self):
        self.pool.terminate()


class HandOver:
    def __init__(self):
        self.array = b"\1" * (8 << 20)
        self.pool = multiprocessing.Pool(2)

    def run(self, name, count, links, repeats):
        return timed(repeats, lambda: self.pool.map(one_line, [self.array], 1))

    def close(self):
        self.pool.terminate()


class Process:
    def __init__(self, method):
        self.context = multiprocessing.get_context(method)

    def run(self, name, count, links, repeats):
        def one_process():
            process = self.context.Process(target=nothing)
            process.start()
            process.join()
            if process.exitcode != 0:
                raise ValueError("the child failed")
        return timed(repeats, one_process)

    def close(self):
        pass


def send(queue, orders, size):
    rest = bytes(size - 8)
    while True:
        first, count = orders.get()
        for number in range(first, first + count):
            queue.put(number.to_bytes(8, "little") + rest)


def receive(queue, orders, sums):
    while True:
        total = 0
        for _ in range(orders.get()):
            total += int.from_bytes(queue.get()[:8], "little")
        sums.put(total)


class Ends:
    """A Pipe as a queue: bytes, one producer and one consumer."""

    def __init__(self):
        self.reader, self.writer = multiprocessing.Pipe(duplex=False)

    def put(self, message):
        self.writer.send_bytes(message)

    def get(self):
        return self.reader.recv_bytes()


class Stream:
    """As streams.h says: the producers send, each a part; the consumers get, each a part."""

    def __init__(self, name):
        _, producers, consumers, size = name.split("-")
        size = int(size.replace("kib", "")) << 10 if "kib" in size else int(size.replace("mib", "")) << 20 \
            if "mib" in size else int(size)
        queue = Ends() if name.startswith("pipe-") else multiprocessing.Queue(16 if size > 65536 else 1024)
        self.sums = multiprocessing.SimpleQueue()
        self.senders = [multiprocessing.SimpleQueue() for _ in range(int(producers))]
        self.receivers = [multiprocessing.SimpleQueue() for _ in range(int(consumers))]
        for orders in self.senders:
            multiprocessing.Process(target=send, args=(queue, orders, size), daemon=True).start()
        for orders in self.receivers:
            multiprocessing.Process(target=receive, args=(queue, orders, self.sums), daemon=True).start()

    def run(self, name, count, links, repeats):
        sides = len(self.senders) * len(self.receivers)
        wanted = count * repeats
        total = (wanted + sides - 1) // sides * sides
        each = total // len(self.senders)
        start = time.perf_counter()
        for orders in self.receivers:
            orders.put(total // len(self.receivers))
        for i, orders in enumerate(self.senders):
            orders.put((i * each, each))
        if sum(self.sums.get() for _ in self.receivers) != total * (total - 1) // 2:
            raise ValueError("messages were lost, or came twice")
        return (time.perf_counter() - start) * wanted / total

    def close(self):
        pass


class Manager:
    def __init__(self):
        self.manager = multiprocessing.Manager()
        self.dict = self.manager.dict(x=1)

    def run(self, name, count, links, repeats):
        def get():
            if self.dict["x"] != 1:
                raise ValueError("a wrong answer")
        return timed(repeats, get)

    def close(self):
        self.manager.shutdown()


CONTESTANTS = {
    ("manager-call-near", "mp.Manager"): Manager,
    ("dict-get-direct", "mp.Manager"): Manager,
    ("metg-map", "mp.Pool"): lambda: Tasks(1),
    ("metg-map", "mp.Pool-default"): lambda: Tasks(None),
    ("tasks-empty", "mp.Pool"): lambda: Tasks(1),
    ("tasks-empty", "mp.Pool-default"): lambda: Tasks(None),
    ("metg-apply", "mp.Pool"): Applied,
    ("tasks-apply", "mp.Pool"): Applied,
    ("metg-map", "ppe"): lambda: Executor(False),
    ("tasks-empty", "ppe"): lambda: Executor(False),
    ("metg-apply", "ppe"): lambda: Executor(True),
    ("tasks-apply", "ppe"): lambda: Executor(True),
    ("pool-start", "mp.Pool"): Start,
    ("map-8mib", "mp.Pool"): Sums,
    ("hand-over", "mp.Pool"): HandOver,
    ("start-fork", "mp.Process"): lambda: Process("fork"),
    ("start-spawn", "mp.Process"): lambda: Process("spawn"),
    ("start-forkserver", "mp.Process"): lambda: Process("forkserver"),
}


def answer(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main():
    multiprocessing.set_start_method("fork")
    try:
        if sys.argv[2].startswith(("queue-", "pipe-")):
            contestant = Stream(sys.argv[2])
        else:
            contestant = CONTESTANTS[sys.argv[2], sys.argv[3]]()
        answer("ready")
        for line in sys.stdin:
            _, name, count, links, repeats = line.split()
            seconds = contestant.run(name, int(count), int(links), int(repeats))
            answer("ok %.9g" % seconds)
        contestant.close()
    except Exception as error:
        answer("error %s: %s" % (type(error).__name__, error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
