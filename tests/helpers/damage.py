"""Damage to a file's bytes: flipped, cut short, doubled, overwritten."""

import numpy as np


def damaged(data, rng):
    """Return `data` with one to eight kinds of damage at random places."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        if not data:
            break
        at = int(rng.integers(len(data)))
        if rng.random() < 0.5:  # headers are where it hurts
            at = min(at, int(rng.integers(200)))
        kind = rng.integers(6)
        length = int(rng.integers(1, 40))
        if kind == 0:
            del data[at:]
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at : at + length] = rng.bytes(length)
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at] = rng.choice(np.array([0, 0x7F, 0x80, 0xFF]))
        else:
            data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)
