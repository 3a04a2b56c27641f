"""An open file, and a pipe's end, are sent to a process that runs already. Beside it, descriptors.c."""

import multiprocessing
import os
import tempfile
from multiprocessing import reduction


def count_lines(way):
    fd = reduction.recv_handle(way)
    out = way.recv()
    with os.fdopen(fd, "r") as file:
        file.seek(0)
        lines = len(file.readlines())
    out.send(lines)


if __name__ == "__main__":
    way, childs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=count_lines, args=(childs,))
    child.start()
    with tempfile.TemporaryFile("w") as file:
        file.write("one\ntwo\nthree\n")
        file.flush()
        reduction.send_handle(way, file.fileno(), child.pid)
        receiving, sending = multiprocessing.Pipe(duplex=False)
        way.send(sending)
        print(f"the child has read {receiving.recv()} lines of a file without a name")
        sending.close()
    child.join()
