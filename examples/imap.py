"""Lazy input and results one by one: imap, imap_unordered; map_async. Beside it, imap.c."""

import itertools
import os
from multiprocessing import Pool, set_start_method


def collatz_steps(n):
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    return steps


def main():
    set_start_method(os.environ.get("KIN_START_METHOD", "fork"))
    with Pool(2) as pool:
        # Python draws all of the input at once: an endless one would never end.
        numbers = itertools.islice(itertools.count(1), 1000)
        for index, steps in enumerate(pool.imap(collatz_steps, numbers)):
            if steps > 120:
                print(f"{index + 1} takes {steps} steps")
                break

        results = pool.imap_unordered(collatz_steps, range(1, 1001), chunksize=10)
        print(f"the first 1000 numbers take {sum(results)} steps in all")

        result = pool.map_async(collatz_steps, range(1, 1001))
        every = result.get()
        print(f"ready: {int(result.ready())}; 27 takes {every[26]} steps")


if __name__ == "__main__":
    main()
