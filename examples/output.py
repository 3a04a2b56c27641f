"""What processes print: in lines behind a prefix, or captured. multiprocessing leaves it to us."""
import multiprocessing
import os
import sys


def count(to):
    for i in range(1, to + 1):
        print(f"{i} of {to}")


def solve():
    print("row 1: pivot 2", flush=True)
    print("row 2: pivot 0, the matrix is singular", file=sys.stderr)
    sys.exit(3)


def into(write_end, target, *args):
    os.dup2(write_end, 1)
    os.dup2(write_end, 2)
    target(*args)


def run(name, target, *args):
    """The process, and what it printed. It is read here, or the process would wait for ever before a full pipe."""
    read_end, write_end = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=into, name=name, args=(write_end, target, *args))
    process.start()
    os.close(write_end)
    with os.fdopen(read_end) as lines:
        text = lines.read()
    process.join()
    return process, text


if __name__ == "__main__":
    for number, who in enumerate(("anna", "bert")):
        for line in run(who, count, number + 2)[1].splitlines():
            print(f"[{who}] {line}")
    solver, printed = run("solver", solve)
    print(f"{solver.name} ended with exit code {solver.exitcode}. It had printed:\n{printed}", end="")
