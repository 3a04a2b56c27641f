"""One task at a time: apply, apply_async, and what goes wrong with them. Beside it, apply.c."""

import os
from multiprocessing import Pool, set_start_method


def power(base, exponent):
    if exponent < 0:
        raise ValueError(f"the exponent is {exponent}")
    return base**exponent


def main():
    set_start_method(os.environ.get("KIN_START_METHOD", "fork"))
    with Pool(2) as pool:
        print(f"2 to the power of 10 is {pool.apply(power, (2, 10))}")

        results = [pool.apply_async(power, (i + 1, 3)) for i in range(5)]
        for i, result in enumerate(results):
            print(f"{i + 1} to the power of 3 is {result.get()}")

        wrong = pool.apply_async(power, (2, -1))
        try:
            wrong.get()
        except ValueError as error:
            print(f"get: {error}")
        print(f"ready: {int(wrong.ready())}, successful: {int(wrong.successful())}")

        unread = []
        pool.apply_async(power, (2, -2), error_callback=unread.append)
        pool.close()
        pool.join()
        for error in unread:
            print(f"nobody read: {error}")


if __name__ == "__main__":
    main()
