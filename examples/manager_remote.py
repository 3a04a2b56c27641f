"""A manager that serves strangers by TCP, with a type of its own. Beside it, manager_remote.c."""

from multiprocessing import AuthenticationError
from multiprocessing.managers import BaseManager

KEY = b"only we two know this key"


class Counter:
    def __init__(self, first):
        self.counter = first

    def count(self):
        self.counter += 1
        return self.counter

    def fail(self):
        raise RuntimeError("out of numbers")


class CounterManager(BaseManager):
    pass


CounterManager.register("Counter", Counter)

if __name__ == "__main__":
    server = CounterManager(address=("127.0.0.1", 0), authkey=KEY)
    server.start()

    # Any other program: it knows address and key.
    manager = CounterManager(address=server.address, authkey=KEY)
    manager.connect()
    counter = manager.Counter(40)
    for _ in range(2):
        value = counter.count()
    print(f"the counter says {value}")
    try:
        counter.fail()
    except RuntimeError:
        print("it failed over there")
    del counter

    try:
        CounterManager(address=server.address, authkey=b"quite another key").connect()
    except AuthenticationError:
        print("another key does not open it")
    server.shutdown()
