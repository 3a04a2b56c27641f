"""A dictionary that all workers read. Here each gets a copy: by fork page by page, as reference counts are written; by spawn at once.
Beside it, shared_table.c, where it lies in memory once."""

from multiprocessing import Pool

WORDS, QUESTIONS = 5000, 8


def make_words():
    words = {}
    for i in range(WORDS):
        key = f"word{i * i}"
        words[key] = (i, len(key))
    return words


def set_words(table):
    global words
    words = table


def look_up(question):
    return words.get(question)


if __name__ == "__main__":
    table = make_words()
    questions = [f"word{i**4 + i % 3}" for i in range(QUESTIONS)]
    with Pool(3, initializer=set_words, initargs=(table,)) as pool:
        answers = pool.map(look_up, questions)
    print(f"{len(table)} words")
    for question, answer in zip(questions, answers):
        if answer:
            print(f"{question}: number {answer[0]}, {answer[1]} letters")
        else:
            print(f"{question}: not there")
