"""Which worker runs what. Beside it, workers.c."""

import os
import time
from multiprocessing import Pool, set_start_method


def sleep_a_while(seconds):
    time.sleep(seconds)
    return os.getpid()


def count_processes(pool, tasks, seconds):
    results = [pool.apply_async(sleep_a_while, (seconds,)) for _ in range(tasks)]
    return len({result.get() for result in results})


def processes_used(workers, tasks, seconds):
    with Pool(workers) as pool:
        while count_processes(pool, workers, 0.05) < workers:
            pass  # until all of them are up
        return count_processes(pool, tasks, seconds)


def main():
    set_start_method(os.environ.get("KIN_START_METHOD", "fork"))
    print(f"3 sleeping tasks on 3 workers: {processes_used(3, 3, 0.5)} processes")
    print(f"3 sleeping tasks on 2 workers: {processes_used(2, 3, 0.5)} processes")
    used = processes_used(3, 10, 0)
    print(f"10 fast tasks on 3 workers: {'1 to 3 processes' if 1 <= used <= 3 else 'a wonder'}")


if __name__ == "__main__":
    main()
