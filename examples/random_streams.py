"""Pi from random points: each task draws from a stream of its own, so any number of workers finds the same. Beside it,
random_streams.c. Python has no streams by number, so Philox4x64-10 stands here; NumPy has it as numpy.random.Philox."""

from multiprocessing import Pool

TASKS, POINTS, SEED = 8, 2000, 2026
MASK = (1 << 64) - 1


class Stream:
    def __init__(self, seed, stream):
        self.seed, self.stream, self.block, self.words = seed, stream, 0, []

    def next_block(self):
        c0, c1, c2, c3, k0, k1 = self.block, 0, self.stream, 0, self.seed, 0
        for _ in range(10):
            a, b = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
            c0, c1, c2, c3 = (b >> 64) ^ c1 ^ k0, b & MASK, (a >> 64) ^ c3 ^ k1, a & MASK
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
        self.block += 1
        self.words = [c3, c2, c1, c0]

    def random(self):
        if not self.words:
            self.next_block()
        return (self.words.pop() >> 11) * 2.0**-53


def throw_points(index):
    stream, hits = Stream(SEED, index), 0
    for _ in range(POINTS):
        x, y = stream.random(), stream.random()
        hits += x * x + y * y < 1
    return hits


def run(workers):
    with Pool(workers) as pool:
        return pool.map(throw_points, range(TASKS))


if __name__ == "__main__":
    one, three = run(1), run(3)
    for index, hits in enumerate(one):
        print(f"task {index}: {hits} of {POINTS} points")
    print(f"pi is about {4.0 * sum(one) / (TASKS * POINTS):.4f}")
    print(f"three workers find {'the same' if one == three else 'something else'}")
