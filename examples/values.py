"""A number and an array in shared memory, each with a lock, changed by a child; and what several add up. Beside it, values.c."""

from multiprocessing import Array, Process, Value


def change(number, array, text):
    number.value = 3.1415927
    text.value = b"hello from a child"
    with array.get_lock():
        for i in range(len(array)):
            array[i] = -array[i]


def count_up(count):
    for _ in range(1000):
        with count.get_lock():
            count.value += 1


def run(function, args, count):
    processes = [Process(target=function, args=args) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


if __name__ == "__main__":
    number = Value("d", 0.0)
    count = Value("l", 0)
    array = Array("i", range(10))
    text = Array("c", 20)
    run(change, (number, array, text), 1)
    print(f"number: {number.value:.7f}")
    print("array from 5 on:", *array[5:])
    print(f"text: {text.value.decode()}")
    run(count_up, (count,), 4)
    print(f"4 processes counted to {count.value}")
