"""Threads against processes, on a job that computes and on one that waits. Beside it, threads.c."""

import os
import sys
import time
from multiprocessing import Pool, set_start_method
from multiprocessing.pool import ThreadPool

TASKS = 8
WAITERS = 10


def count_primes(limit):
    count = 0
    for n in range(2, limit):
        divisor = 2
        while divisor * divisor <= n and n % divisor:
            divisor += 1
        count += divisor * divisor > n
    return count


def await_answer(seconds):
    time.sleep(seconds)  # as of a server
    return 1


def compute(name, kind, workers):
    with kind(workers) as pool:
        began = time.monotonic()
        counts = pool.map(count_primes, [20000 + 1000 * i for i in range(TASKS)])
        took = time.monotonic() - began
    print(f"CPU-bound, by {name}: {sum(counts)} primes")
    return took


def await_all(name, kind, workers):
    with kind(workers) as pool:
        began = time.monotonic()
        answers = pool.map(await_answer, [0.1] * WAITERS, 1)
        took = time.monotonic() - began
    print(f"I/O-bound, by {name}: {sum(answers)} answers, {'at once' if took < WAITERS * 0.1 else 'one by one'}")
    return took


def main():
    set_start_method(os.environ.get("KIN_START_METHOD", "fork"))
    kinds = [("one thread", ThreadPool, 1), ("threads", ThreadPool, None), ("processes", Pool, None)]
    computing = [compute(*kind) for kind in kinds]
    waiting = [await_all(name, kind, workers or WAITERS) for name, kind, workers in kinds]
    if sys.argv[1:] == ["times"]:
        for (name, _, _), cpu, io in zip(kinds, computing, waiting):
            print(f"{name:<10}  CPU-bound {cpu:.3f} s, I/O-bound {io:.3f} s")


if __name__ == "__main__":
    main()
