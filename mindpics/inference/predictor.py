"""Predictor: a deploy net over picture files or arrays, quiet, as pycaffe's Classifier is."""

import warnings
from pathlib import Path

import cv2
import numpy as np

from mindpics.files.printable import printable_names
from mindpics.inference.feature_net import FeatureNet, load_mean
from mindpics.inference.infer import BATCH, load_net
from mindpics.inference.picture_net import PictureNet, centre_crop
from mindpics.jobs.quiet import quiet
from mindpics.posts import crops
from mindpics.posts.picture_files import read_picture
from mindpics.training.device import set_device


class Predictor:
    """A trained net and the mean that it subtracts.

    Parameters
    ----------
    deploy, weights : path
        Prototxt with an input [N, 3 or 1, height, width], and its caffemodel. Other inputs stay zero, as Caffe leaves
        them, of which a warning tells.
    mean : path, number or sequence of floats
        mean.binaryproto or .npy, whose size pictures are made of; or B, G, R; or gray.
    size : int or (int, int), optional
        Side, or height and width, of pictures where the mean is numbers; 256 by default, or the net's input where that
        is larger or no square.
    fit : {"warp", "crop"}
        What gives a picture that size, see `mindpics.posts.crops.FITS`.
    scale : float
        What pixels less the mean are multiplied by: that of the transform_param with which the net was trained.
    gpu : int, optional
        Device; CPU without it.
    allow_python_layers : bool
        Let the net import Python layers from outside ``mindpics.layers``.

    Attributes
    ----------
    crop : (int, int)
        Height and width of the net's input.
    channels : int
        3 (BGR) or 1 (gray).

    Raises
    ------
    ValueError
        For files that Caffe would abort on, weights that are missing, or a mean without room for the net's input.
    """

    def __init__(self, deploy, weights, mean, *, size=None, fit="warp", scale=1.0, gpu=None, allow_python_layers=False):
        set_device(gpu)
        self.files = deploy, weights
        self.fit, self.scale, self.allow_python_layers = crops.FITS[fit], scale, allow_python_layers
        with quiet():
            self._pictures = PictureNet(deploy, load_net(deploy, weights, allow_python_layers))
        self.net, self.input, self.crop = self._pictures.net, self._pictures.input, self._pictures.crop
        self.channels = self._pictures.channels
        self.mean = load_mean(np.atleast_1d(mean).tolist(), size or self._pictures.size, self.channels)
        self._pictures.require_mean(self.mean)
        self._to_blob = {}
        if self._pictures.zeros:
            warnings.warn(f"{deploy}: inputs {printable_names(self._pictures.zeros)} are left zero", stacklevel=2)

    def predict(self, pictures):
        """Return the net's outputs of the centre crops.

        Parameters
        ----------
        pictures : list of path, or of uint8 [H, W, 3] or [H, W], or uint8 [N, H, W, 3] or [N, H, W]; or one of these
            Arrays are RGB, as Pillow and matplotlib read them, or gray. One whose third and last axis is at most 4 is
            one picture, whose channels these are. Files are read as convert_imageset does, with --gray for a net of
            one channel.

        Returns
        -------
        float32 [N, D] of a net with one output, [N, heads, D] of one with several, in the order of `outputs`

        Raises
        ------
        ValueError
            Names the picture that cannot be read, an output that has no rows of pictures, or outputs of unequal D.
        """
        for name in self.outputs:
            self._pictures.require_rows(self.files[0], name)
        return self._each(pictures, self._outputs)

    @property
    def outputs(self):
        """Names of the net's outputs, in the order of the deploy net: for a trait net prob_O .. prob_N."""
        net, names = self.net, list(self.net._blob_names)
        answers = set(net._outputs) - set(net._inputs)  # an input that nothing reads is an output to Caffe
        tops = dict.fromkeys(top for layer in range(len(net.layers)) for top in net._top_ids(layer))
        return [names[top] for top in tops if top in answers]

    def features(self, pictures, blob="fc7"):
        """Return a blob of the centre crops, float32 [N, D]; `pictures` as `predict` takes them."""
        if blob not in self._to_blob:
            with quiet():
                self._to_blob[blob] = FeatureNet(*self.files, blob, allow_python_layers=self.allow_python_layers)
        return self._each(pictures, self._to_blob[blob].run)

    def _outputs(self, batch):
        rows_of = self._pictures.outputs_of(batch, self.outputs)
        widths = {name: rows.shape[1] for name, rows in rows_of.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(
                f"{self.files[0]}: found outputs of {widths} values a picture; wanted as many of each. "
                "features(pictures, blob) gives those of one"
            )
        return next(iter(rows_of.values())) if len(rows_of) == 1 else np.stack(list(rows_of.values()), axis=1)

    def _each(self, pictures, of_batch):
        if isinstance(pictures, (str, Path)) or _is_one(pictures):
            pictures = [pictures]
        if not len(pictures):
            raise ValueError("found no picture; wanted a list of files or arrays")
        parts = (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))
        return np.concatenate([of_batch(self._crops(part)) for part in parts])

    def _crops(self, pictures):
        fitted = [self.fit(self._pixels(picture), self.mean.shape[1:]).transpose(2, 0, 1) for picture in pictures]
        return centre_crop(np.stack(fitted), self.mean, self.crop, self.scale)

    def _pixels(self, picture):
        """Return a picture as uint8 [H, W, channels], BGR or gray."""
        if not isinstance(picture, (str, Path)):
            return _of_array(np.asarray(picture), self.channels)
        try:
            return read_picture(Path(picture), gray=self.channels == 1)
        except ValueError as error:
            raise ValueError(f"{picture}: {error}") from None


def _is_one(pictures):
    """Tell an array [H, W] or [H, W, channels] from several pictures, gray ones [N, H, W] among them."""
    if not isinstance(pictures, np.ndarray):
        return False
    return pictures.ndim == 2 or pictures.ndim == 3 and pictures.shape[2] <= 4  # RGBA, which is refused, is one too


def _of_array(pixels, channels):
    """Return the channels that a net takes, uint8 [H, W, channels], of an RGB or gray array."""
    is_gray = pixels.ndim == 2 or pixels.ndim == 3 and pixels.shape[2] == 1
    if pixels.dtype != np.uint8 or not (is_gray or pixels.ndim == 3 and pixels.shape[2] == 3) or not pixels.size:
        raise ValueError(f"found an array {pixels.dtype} {pixels.shape}; wanted uint8 [H, W, 3], RGB, or [H, W], gray")
    if channels == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR if is_gray else cv2.COLOR_RGB2BGR)
    return (pixels if is_gray else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).reshape(*pixels.shape[:2], 1)
