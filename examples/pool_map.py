"""The Pool class and its map, recommended for batches. Beside it, pool_map.c."""

import os
from multiprocessing import Pool, set_start_method


def primes_below(limit):
    count = 0
    for n in range(2, limit):
        d = 2
        while d * d <= n and n % d:
            d += 1
        count += d * d > n
    return count


def count_primes(limit):
    if limit < 0:
        raise ValueError(f"there are no numbers from 0 to {limit}")
    return primes_below(limit)


def try_to_count_primes(limit):
    """To go on after failures, each task has to catch its own."""
    try:
        return count_primes(limit), None
    except ValueError as error:
        return None, error


if __name__ == "__main__":
    set_start_method(os.environ.get("KIN_START_METHOD", "fork"))
    with Pool(2) as pool:
        limits = [1000 * (i + 1) for i in range(10)]
        for limit, count in zip(limits, pool.map(count_primes, limits)):
            print(f"{count} primes below {limit}")

        limits[3] = -4
        try:
            pool.map(count_primes, limits)
        except ValueError:
            print("the map failed")

        results = pool.map(try_to_count_primes, limits)
        for index, (count, error) in enumerate(results):
            if error:
                print(f"task {index} failed: {error}")
        print(f"the last task found {results[-1][0]} primes")

        pool.close()
        pool.join()
