"""A Pool in a manager: workers of the server's, and who asks them may be on another machine. Beside it, manager_pool.c."""

import multiprocessing


def square(number):
    if not isinstance(number, int):
        raise TypeError("not an integer")
    return number * number


if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        pool = manager.Pool(2)
        print(f"7 squared is {pool.apply(square, (7,))}")
        print(*pool.map(square, range(10)))
        for value in pool.imap(square, range(3)):
            print(f"next: {value}")
        try:
            pool.apply(square, ("seven",))
        except TypeError:
            print("that is no number")
        pool.close()
        pool.join()
