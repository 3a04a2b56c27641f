"""A message that other languages can read, as CBOR. Beside it, packed.c."""

import multiprocessing
import struct

import cbor2

FLOAT64_LITTLE_ENDIAN = 86  # RFC 8746


def measure(results):
    speeds = struct.pack("<4d", 1.5, 2.25, -0.5, 8)
    message = {"mill": "B\u00e4renbach", "run": 17, "speeds": cbor2.CBORTag(FLOAT64_LITTLE_ENDIAN, speeds)}
    results.put(cbor2.dumps(message, canonical=False))


def report(message):
    fields = cbor2.loads(message)
    assert fields["speeds"].tag == FLOAT64_LITTLE_ENDIAN
    speeds = [speed for (speed,) in struct.iter_unpack("<d", fields["speeds"].value)]
    print(f"{len(message)} bytes: {fields['mill']}, run {fields['run']}, {len(speeds)} speeds, sum {sum(speeds):.2f}")


if __name__ == "__main__":
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=measure, args=(queue,))
    child.start()
    report(queue.get(timeout=10))
    child.join()
