"""A list of plain values under a name, for programs that have no common parent. Beside it, shareable_list.c."""

from multiprocessing import Process
from multiprocessing.shared_memory import ShareableList


def change_there(name):
    there = ShareableList(name=name)
    there[1] = 0.75
    there[-1] = "fine"
    try:
        there[0] = "far too many"
    except ValueError:
        print("a longer text has no room")
    there.shm.close()


def show(values):
    names = {str: "text", float: "real", int: "integer"}
    for i, value in enumerate(values):
        print(f"{i}: nothing" if value is None else f"{i}: {names[type(value)]} {value}")


if __name__ == "__main__":
    shared = ShareableList(["mill", 0.5, 42, None])
    show(shared)
    process = Process(target=change_there, args=(shared.shm.name,))
    process.start()
    process.join()
    show(shared)
    print(f"42 is at {shared.index(42)}; the format is {shared.format}")
    shared.shm.unlink()
    shared.shm.close()
