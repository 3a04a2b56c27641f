"""The Process class: start, join, and how a process ended. Beside it, process.c."""

import os
import time
from multiprocessing import Process, current_process, set_start_method


def add(a, b):
    print(f"child {current_process().name}: {a} + {b} = {a + b}")


def give_up():
    print(f"child {current_process().name}: this will not work")
    raise SystemExit(3)


def sleep_on():
    time.sleep(3600)


def finish(process):
    process.join()
    if process.exitcode >= 0:
        print(f"{process.name} ended with exit code {process.exitcode}")
    else:  # Python folds both into one number
        print(f"{process.name} was ended by signal {-process.exitcode}")
    process.close()


if __name__ == "__main__":
    set_start_method(os.environ.get("KIN_START_METHOD", "fork"))

    adder = Process(target=add, args=(1, 2), name="adder")
    adder.start()
    finish(adder)

    quitter = Process(target=give_up, name="quitter")
    quitter.start()
    finish(quitter)

    sleeper = Process(target=sleep_on, name="sleeper")
    sleeper.start()
    sleeper.join(0.1)
    if sleeper.exitcode is None:
        print("sleeper", "is alive" if sleeper.is_alive() else "is not alive")
    sleeper.terminate()
    finish(sleeper)
