"""Hand work out, and wait until all of it is done. Beside it, joinable.c."""

import multiprocessing

WORKERS = 2
TASKS = 100


def worker(tasks, squares):
    # There is no closed queue to read to its end: a message says that it is the last.
    for number in iter(tasks.get, None):
        squares[number] = number * number
        tasks.task_done()
    tasks.task_done()


if __name__ == "__main__":
    tasks, squares = multiprocessing.JoinableQueue(), multiprocessing.Array("l", TASKS)
    workers = [multiprocessing.Process(target=worker, args=(tasks, squares)) for _ in range(WORKERS)]
    for process in workers:
        process.start()
    for i in range(TASKS):
        tasks.put(i)
    tasks.join()
    print(f"all {TASKS} tasks are done, the sum of the squares is {sum(squares)}")
    for process in workers:
        tasks.put(None)
    for process in workers:
        process.join()
    print("workers have ended")
