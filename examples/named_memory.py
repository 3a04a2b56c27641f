"""Memory by name, for programs that have no common parent: one makes it, another attaches to it. Beside it, named_memory.c."""

from multiprocessing import Process
from multiprocessing.shared_memory import SharedMemory


def write_there(name):
    memory = SharedMemory(name)
    memory.buf[:5] = b"howdy"
    memory.close()


if __name__ == "__main__":
    memory = SharedMemory(create=True, size=512)
    process = Process(target=write_there, args=(memory.name,))
    process.start()
    process.join()
    print(f"bytes: {memory.size}, written: {bytes(memory.buf[:5]).decode()}")
    memory.unlink()
    try:
        SharedMemory(memory.name)
    except FileNotFoundError:
        print("the name is gone")
    memory.close()
