"""A queue that is shared by inheritance, and one in a manager, side by side. Beside it, manager_queues.c."""

import multiprocessing

MESSAGES = 3


def produce(inherited, managed):
    for i in range(1, MESSAGES + 1):
        inherited.put(i)
        managed.put(i)


if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        inherited, managed = multiprocessing.Queue(), manager.Queue()
        producer = multiprocessing.Process(target=produce, args=(inherited, managed))
        producer.start()
        for _ in range(MESSAGES):
            print(f"{inherited.get()} by inheritance, {managed.get()} by the manager")
        producer.join()
