"""Uploaded pictures, decoded in a child process with limits of time, memory and pixels."""

import multiprocessing
import threading

import numpy as np
from pebble import ProcessPool

from mindpics.jobs.parallel import outcome, prepare_child
from mindpics.posts import crops

SECONDS = 10  # a picture that takes longer was made to


class Decoder:
    """One child process that decodes and warps or cuts, one picture at a time; a crash or a bomb costs that child only.

    Parameters
    ----------
    max_pixels : int
        Width times height of a picture that is still decoded.
    """

    def __init__(self, max_pixels=crops.MAX_PIXELS):
        self.max_pixels, self.lock = max_pixels, threading.Lock()
        self.pool = _pool()
        self(crops.pack(np.zeros((1, 1, 3), np.uint8), "png"), (3, 1, 1))  # so that no upload waits for the child

    def __call__(self, data, shape, fit="warp"):
        """Return an encoded picture, read as files are for features and LMDBs.

        Parameters
        ----------
        data : bytes
        shape : (int, int, int)
            Channels, height and width, as those of a mean.
        fit : {"warp", "crop"}
            A key of `mindpics.posts.crops.FITS`.

        Returns
        -------
        uint8 [height, width, channels], BGR or gray

        Raises
        ------
        ValueError
            Says why it cannot be read.
        """
        channels, height, width = shape
        for _ in range(2):
            pool = self._whole_pool()
            args = [data, (height, width), self.max_pixels, fit, channels == 1]
            future = pool.schedule(_decode, args=args, timeout=SECONDS)
            pixels, reason = outcome(future.result, SECONDS)
            if pool.active:
                break  # else the child died while it waited, and not of this picture
        if reason:
            raise ValueError(f"The picture cannot be read: {reason}")
        return np.frombuffer(pixels, np.uint8).reshape(height, width, channels)

    def close(self):
        """End the child process."""
        self.pool.stop()
        self.pool.join()

    def _whole_pool(self):
        with self.lock:
            if not self.pool.active:
                self.close()
                self.pool = _pool()
            return self.pool


def _pool():
    context = multiprocessing.get_context("forkserver")  # a fork of a process with BLAS's threads may hang
    return ProcessPool(1, initializer=prepare_child, context=context)


def _decode(data, size, max_pixels, fit, gray):
    return crops.FITS[fit](crops.decode(data, max_pixels, gray=gray), size).tobytes()
