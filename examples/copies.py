"""Whose variable is it? Beside it, copies.c. Run it with KIN_START_METHOD=fork and =spawn."""

import ctypes
import os
import pickle
from multiprocessing import Process, Value, set_start_method

unchanged = 1
changed = 1


def show(who, shared):
    print(f"{who}: unchanged {unchanged}, changed {changed}, in the heap {shared.value}")


def body(shared):
    global changed
    show("child, as it finds them", shared)
    changed = 300
    shared.value = 300
    show("child, changed by it", shared)


if __name__ == "__main__":
    set_start_method(os.environ.get("KIN_START_METHOD", "fork"))
    shared = Value("i", 1)
    show("parent, at first", shared)
    changed = 20
    shared.value = 20
    show("parent, changed by it", shared)

    child = Process(target=body, args=(shared,))
    child.start()
    child.join()
    show("parent, after the child", shared)

    # Under spawn arguments are pickled, and a pointer cannot be; under fork Python would let it pass.
    try:
        pickle.dumps(ctypes.pointer(ctypes.c_int(changed)))
        print("a pointer to a variable of the parent is taken")
    except ValueError:
        print("a pointer to a variable of the parent is refused")
