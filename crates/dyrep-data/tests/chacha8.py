"""Makes the pinned numbers of src/rng.rs with a ChaCha8 written from RFC 8439, to be independent
of the crate that the library uses. Run: python3 tests/chacha8.py"""

import struct

MASK = 0xFFFFFFFF


def block(key: bytes, counter: int) -> bytes:
    """64 bytes of key stream: 64-bit block counter, stream number 0, 4 double rounds."""
    state = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    state += [counter & MASK, counter >> 32, 0, 0]
    x = state[:]

    def quarter(a, b, c, d):
        for one, two, three, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[one] = (x[one] + x[two]) & MASK
            mixed = x[three] ^ x[one]
            x[three] = (mixed << bits | mixed >> (32 - bits)) & MASK

    for _ in range(4):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    return struct.pack("<16I", *((a + b) & MASK for a, b in zip(x, state)))


def words(seed: int, epoch: int, index: int, purpose: bytes):
    key = struct.pack("<3Q", seed, epoch, index) + purpose.ljust(8, b"\0")
    counter = 0
    while True:
        yield from struct.unpack("<8Q", block(key, counter))
        counter += 1


def below(stream, bound: int) -> int:
    while True:
        wide = next(stream) * bound
        if wide & (2**64 - 1) >= 2**64 % bound:
            return wide >> 64


print("first word of SampleRng::new(1, 2, 3):", hex(next(words(1, 2, 3, b"sample"))))
order, stream = list(range(10)), words(1, 2, 0, b"order")
for last in range(9, 0, -1):
    chosen = below(stream, last + 1)
    order[last], order[chosen] = order[chosen], order[last]
print("permutation(10, 1, 2):", order)


def shuffle(stream, items):
    for last in range(len(items) - 1, 0, -1):
        chosen = below(stream, last + 1)
        items[last], items[chosen] = items[chosen], items[last]


classes, stream = [[0, 1, 2, 3, 4, 5], [6], [7, 8]], words(1, 2, 0, b"balanced")
turns = list(range(len(classes)))
shuffle(stream, turns)
draws = [turns[place % len(turns)] for place in range(11)]
shuffle(stream, draws)
print("balanced(.., 11, 1, 2):", [classes[drawn][below(stream, len(classes[drawn]))] for drawn in draws])
