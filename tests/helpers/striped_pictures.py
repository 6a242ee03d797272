"""Generated pictures that a small net learns: a colour a trait, a direction of stripes a pole."""

import lmdb
import numpy as np
from caffe.proto import caffe_pb2

SIZE, CROP = 36, 32


def picture(label, rng):
    """A 36x36 BGR picture: a trait's own colour, and stripes that run one way for low, the other for high."""
    trait, pole = divmod(label, 2)
    grid = np.arange(SIZE) // 4 % 2
    stripes = np.broadcast_to(grid[:, None] if pole else grid[None, :], (SIZE, SIZE))
    colour = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255]][trait])
    noisy = stripes[None] * colour[:, None, None] * 0.6 + rng.normal(60, 20, (3, SIZE, SIZE))
    return noisy.clip(0, 255).astype(np.uint8)


def write_lmdb(path, n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 10)
    with lmdb.open(str(path), map_size=1 << 28) as env, env.begin(write=True) as transaction:
        for index, label in enumerate(labels):
            datum = caffe_pb2.Datum(channels=3, height=SIZE, width=SIZE, label=int(label))
            datum.data = picture(int(label), rng).tobytes()
            transaction.put(f"{index:08d}_p{index}".encode(), datum.SerializeToString())
