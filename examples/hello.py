"""The least program with a pool; beside it, hello.c."""

from multiprocessing import Pool


def square(number):
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number * number


if __name__ == "__main__":
    with Pool() as pool:  # a worker for each CPU
        print(*pool.map(square, [1, 2, 3, 4]))
