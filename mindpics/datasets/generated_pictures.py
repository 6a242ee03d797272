"""Generated pictures of the size people post, for benchmarks: crops of scikit-image's and scikit-learn's photos."""

from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from mindpics.files.atomic import atomic_write
from mindpics.jobs.bars import bar_of
from mindpics.jobs.parallel import run_each

SIDE = 1080
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "retina", "rocket")
QUALITIES = range(75, 93)
GRAIN = 4  # levels of 255, standard deviation: enlarged photographs are smoother than a camera's


def write_pictures(folder, count, seed=0, workers=None):
    """Write `count` JPEG files of 1080x1080, ``FOLDER/%06d.jpg``; return their paths.

    Files that are there already stay.

    Parameters
    ----------
    folder : path
    count : int
    seed : int
    workers : int, optional
        Processes; one a core by default.

    Raises
    ------
    RuntimeError
        A picture could not be written.
    """
    paths = [Path(folder) / f"{i:06d}.jpg" for i in range(count)]
    absent = [i for i, path in enumerate(paths) if not path.is_file()]
    write = partial(_write, folder=Path(folder), seed=seed)
    for i, _, reason in bar_of(run_each(write, absent, workers), desc="pictures", total=len(absent), unit="picture"):
        if reason:
            raise RuntimeError(f"picture {i}: {reason}")
    return paths


def _write(i, folder, seed):
    with atomic_write(folder / f"{i:06d}.jpg", "wb") as stream:
        stream.write(make_picture(np.random.default_rng([seed, i])))


def make_picture(rng):
    """Return the bytes of one JPEG: a crop of a photograph, perhaps mirrored, with grain."""
    source = _photographs()[rng.integers(len(_photographs()))]
    side = int(rng.integers(min(source.shape[:2]) // 2, min(source.shape[:2]) + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in source.shape[:2])
    crop = source[top : top + side, left : left + side, :: rng.choice([1, -1])]
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    picture = cv2.resize(np.ascontiguousarray(crop), (SIDE, SIDE), interpolation=how)
    grain = np.empty((SIDE, SIDE), np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    cv2.randn(grain, 0, GRAIN)
    picture = np.clip(picture + grain[:, :, None], 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.choice(QUALITIES))])[1].tobytes()


@cache
def _photographs():
    from sklearn.datasets import load_sample_images  # takes a second

    photographs = [getattr(data, name)() for name in PHOTOGRAPHS] + load_sample_images().images
    return [picture[:, :, ::-1] for picture in photographs]
