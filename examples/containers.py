"""A dict, a list and a namespace in a server process: three processes count words. Beside it, containers.c."""

from multiprocessing import Lock, Manager, Process

LINES = ["the quick brown fox jumps over the lazy dog", "the dog sleeps", "the fox does not"]


def count_words(line, counts, done, total, lock):
    for word in LINES[line].split():
        with lock:  # a read and a write: two calls of the server
            counts[word] = counts.get(word, 0) + 1
            total.words += 1
    done.append(line)


if __name__ == "__main__":
    with Manager() as manager:
        counts, done, total = manager.dict(), manager.list(), manager.Namespace()
        total.words = 0
        lock = Lock()
        processes = [Process(target=count_words, args=(i, counts, done, total, lock)) for i in range(len(LINES))]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        for word in sorted(counts.keys()):
            print(f"{word}: {counts[word]}")
        done.sort()
        print(f"{len(done)} lines done, {total.words} words")
