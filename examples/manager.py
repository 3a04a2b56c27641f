"""Objects that live in a server process, and processes that work on them through proxies. Beside it, manager.c."""

import multiprocessing

WORKERS = 4


def worker(squares, number):
    squares[number] = number * number


if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        squares = manager.dict()
        workers = [multiprocessing.Process(target=worker, args=(squares, i)) for i in range(WORKERS)]
        for process in workers:
            process.start()
        for process in workers:
            process.join()
        for i in range(WORKERS):
            print(f"{i} squared is {squares[i]}")
        try:
            squares[WORKERS]
        except KeyError as missing:
            print(f"there is no key {missing}")
