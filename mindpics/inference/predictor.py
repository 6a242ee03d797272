"""Predictor: a deploy net over picture files or arrays, quiet, as pycaffe's Classifier is."""

from pathlib import Path

import numpy as np

from mindpics.inference.feature_net import FeatureNet, load_mean
from mindpics.inference.infer import BATCH, centre_crop, load_net, run
from mindpics.jobs.quiet import quiet
from mindpics.posts import crops
from mindpics.posts.picture_files import read_picture
from mindpics.training.device import set_device


class Predictor:
    """A trained net and the mean that it subtracts.

    Parameters
    ----------
    deploy, weights : path
        Prototxt with one input [N, 3, crop, crop], and its caffemodel.
    mean : path or sequence of 3 floats
        mean.binaryproto or .npy, whose size pictures are made of; or B, G, R.
    size : int
        Side of pictures where the mean is three numbers.
    fit : {"warp", "crop"}
        What makes a picture a square, see `mindpics.posts.crops.FITS`.
    gpu : int, optional
        Device; CPU without it.
    allow_python_layers : bool
        Let the net import Python layers from outside ``mindpics.layers``.

    Raises
    ------
    ValueError
        For files that Caffe would abort on, weights that are missing, or a mean smaller than the net's crop.
    """

    def __init__(self, deploy, weights, mean, *, size=crops.SIZE, fit="warp", gpu=None, allow_python_layers=False):
        set_device(gpu)
        self.files = deploy, weights
        self.fit, self.allow_python_layers = crops.FITS[fit], allow_python_layers
        self.mean = load_mean([mean] if isinstance(mean, (str, Path)) else list(mean), size)
        with quiet():
            self.net = load_net(deploy, weights, allow_python_layers)
        self._to_blob = {}
        (self.input,) = self.net.inputs
        self.crop = self.net.blobs[self.input].data.shape[-1]
        if self.crop > self.mean.shape[-1]:
            raise ValueError(f"found a mean of {self.mean.shape[-1]} pixels; wanted {self.crop} (the crop) or more")

    def predict(self, pictures):
        """Return the net's outputs of the centre crops.

        Parameters
        ----------
        pictures : list of path, or of uint8 [H, W, 3], or uint8 [N, H, W, 3]
            Arrays are RGB, as Pillow and matplotlib read them.

        Returns
        -------
        float32 [N, D] of a net with one output, [N, heads, D] of one with several, in the order of `outputs`

        Raises
        ------
        ValueError
            Names the picture that cannot be read.
        """
        return self._each(pictures, self._outputs)

    @property
    def outputs(self):
        """Names of the net's outputs, in the order of the deploy net: for a trait net prob_O .. prob_N."""
        return [top for tops in self.net.top_names.values() for top in tops if top in self.net.outputs]

    def features(self, pictures, blob="fc7"):
        """Return a blob of the centre crops, float32 [N, D]; `pictures` as `predict` takes them."""
        if blob not in self._to_blob:
            with quiet():
                self._to_blob[blob] = FeatureNet(*self.files, blob, allow_python_layers=self.allow_python_layers)
        return self._each(pictures, self._to_blob[blob].run)

    def _outputs(self, batch):
        blobs = run(self.net, batch, self.input)
        values = [blobs[name].reshape(len(batch), -1).copy() for name in self.outputs]
        return values[0] if len(values) == 1 else np.stack(values, axis=1)

    def _each(self, pictures, of_batch):
        if isinstance(pictures, (str, Path)):
            pictures = [pictures]
        if not len(pictures):
            raise ValueError("found no picture; wanted a list of files or arrays")
        parts = (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))
        return np.concatenate([of_batch(self._crops(part)) for part in parts])

    def _crops(self, pictures):
        squares = np.stack([self._square(picture) for picture in pictures])
        return centre_crop(squares, self.mean, self.crop)

    def _square(self, picture):
        """Return a picture as the mean's square, uint8 [3, size, size], BGR."""
        if isinstance(picture, (str, Path)):
            try:
                pixels = read_picture(Path(picture))
            except ValueError as error:
                raise ValueError(f"{picture}: {error}") from None
        else:
            pixels = np.asarray(picture)
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                raise ValueError(f"found an array {pixels.dtype} {pixels.shape}; wanted uint8 [H, W, 3], RGB")
            pixels = np.ascontiguousarray(pixels[:, :, ::-1])
        return self.fit(pixels, self.mean.shape[-1]).transpose(2, 0, 1)
