"""Each question brings the queue for its answer. Beside it, queue_in_queue.c.

A queue cannot be put into a queue; a process more, a manager, holds queues of which proxies may be sent.
"""

import multiprocessing
import pickle
import sys


def server(questions):
    for number, answer in iter(questions.get, None):
        answer.put(number * 2)


if __name__ == "__main__":
    questions = multiprocessing.Queue()
    try:
        pickle.dumps(questions)  # what put does with it, in a thread of its own
    except RuntimeError as error:
        print(f"queue_in_queue: {error}", file=sys.stderr)
    with multiprocessing.Manager() as manager:
        process = multiprocessing.Process(target=server, args=(questions,))
        process.start()
        for i in range(1, 4):
            answer = manager.Queue()
            questions.put((i, answer))
            print(f"twice {i} is {answer.get()}")
        questions.put(None)
        process.join()
