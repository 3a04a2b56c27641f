"""The third way to share: what the parent has, its children inherit. Beside it, inheritance.c."""

from multiprocessing import Array, Manager, Process, Value, set_start_method

COUNT = 8
CHILDREN = 2


def fill(child):
    for i in range(child * COUNT // CHILDREN, (child + 1) * COUNT // CHILDREN):
        squares[i] = i * i
    with done.get_lock():
        done.value += 1

    links.insert(0, 100 * child)  # a call to the manager's process

    print(f"child {child}: inherited {len(names)} names, the last is {names[-1]}")
    names[-1] = "changed by a child"  # its own copy only


if __name__ == "__main__":
    set_start_method("fork")
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven"]
    squares = Array("i", COUNT)
    done = Value("i", 0)
    with Manager() as manager:
        links = manager.list()

        for number in range(CHILDREN):
            process = Process(target=fill, args=(number,))
            process.start()
            process.join()

        print(f"parent: {done.value} children are done")
        for name, square in zip(names, squares):
            print(f"parent: the square of {name} is {square}")
        for link in links:
            print(f"parent: a child left {link}")
