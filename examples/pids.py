"""What runs in which process. Beside it, pids.c.

    pids.py [fork|spawn|forkserver]
"""

import os
import sys
from multiprocessing import Process, parent_process, set_start_method

print(f"top of the program: process {os.getpid()}")


def body():
    print(f"the child's function: process {os.getpid()}, whose parent is {parent_process().pid}")


if __name__ == "__main__":
    method = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("KIN_START_METHOD", "fork")
    set_start_method(method)
    print(f"past the guard: process {os.getpid()}")

    for _ in range(2):
        child = Process(target=body)
        child.start()
        child.join()
    print(f"at the end: process {os.getpid()}")
