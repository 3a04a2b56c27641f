"""A parent and its children pass messages: two writers, one reader. Beside it, queues.c."""

import multiprocessing

MESSAGES = 1000


def writer(numbers):
    for i in range(1, MESSAGES + 1):
        numbers.put(i)
    numbers.put(None)  # there is no kin_queue_done: each writer says so by a message


def reader(numbers, sums):
    total, open_writers = 0, 2
    while open_writers:
        number = numbers.get()
        if number is None:
            open_writers -= 1
        else:
            total += number
    sums.put(total)


if __name__ == "__main__":
    numbers, sums = multiprocessing.Queue(100), multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=writer, args=(numbers,)),
        multiprocessing.Process(target=writer, args=(numbers,)),
        multiprocessing.Process(target=reader, args=(numbers, sums)),
    ]
    for process in processes:
        process.start()
    total = sums.get()
    print(f"2 writers, {MESSAGES} messages each, sum {total}")
    for process in processes:
        process.join()
    print(f"left in the queue: {numbers.qsize()}")
