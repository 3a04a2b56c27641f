"""A parent asks, its child answers, through a pipe. Beside it, pipe.c."""

import multiprocessing


def answer(parents, childs):
    parents.close()
    while True:
        try:
            text = childs.recv_bytes()
        except EOFError:
            return
        childs.send_bytes(text.upper())


if __name__ == "__main__":
    parents, childs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=answer, args=(parents, childs))
    child.start()
    childs.close()
    for word in (b"a question", b"another one", b"the last"):
        parents.send_bytes(word)
        print(f"{word.decode()}: {parents.recv_bytes().decode()}")
    print("anything else:", "yes" if parents.poll(0.1) else "no")
    parents.close()
    child.join()
    print(f"the child saw the end, exit code {child.exitcode}")
