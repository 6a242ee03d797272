"""Net opened up to one of its blobs, over centre crops or ten crops."""

import hashlib
import os
from itertools import pairwise
from pathlib import Path

import numpy as np

from mindpics.caffe_files.blobs import read_mean
from mindpics.files import bounded
from mindpics.files.arrays import load_npy
from mindpics.files.printable import printable_names
from mindpics.inference.open_net import open_trained_net
from mindpics.inference.picture_net import PictureNet, centre_crop
from mindpics.posts.crops import sides

RECTIFIERS = ("ReLU", "PReLU", "ELU")


class FeatureNet(PictureNet):
    """A net that is run up to one of its blobs.

    Parameters
    ----------
    deploy, weights_path : path
        Every layer up to the blob must have its weights in the caffemodel.
    blob : str
    before_relu : bool
        Take the blob before the first ReLU in place that overwrites it (and what comes after); DeCAF7 is after.
    allow_python_layers : bool
        See `mindpics.inference.open_net.open_net`.

    Raises
    ------
    ValueError
        When the net has no such blob (it lists those there are), no ReLU overwrites it where the state before one is
        asked for, or weights are missing or do not fit.

    Attributes
    ----------
    last_layer : str
        That the net is run up to; `last` is its place, for Caffe takes several layers of one name.
    """

    def __init__(self, deploy, weights_path, blob="fc7", before_relu=False, allow_python_layers=False):
        files = Path(deploy).resolve(), Path(weights_path).resolve()
        self.arguments = (*files, blob, before_relu, allow_python_layers)  # to load it again elsewhere
        self.before_relu = before_relu
        net, fit = open_trained_net(deploy, weights_path, allow_python_layers)
        super().__init__(deploy, net)
        self.blob = blob
        self.last = self._last(deploy, before_relu)
        self.last_layer = net._layer_names[self.last]
        self.require_rows(deploy, blob, self.last)
        self._check_weights(deploy, weights_path, fit)

    def run(self, pictures):
        """Return the blob for float32 [N, channels, *crop] (mean subtracted): a copy, float32 [N, D]."""
        return self.outputs_of(pictures, [self.blob], self.last)[self.blob]

    def features(self, pictures, mean, oversample=False, scale=1.0):
        """Return the blob of uint8 pictures less `mean`: of the centre crop, or the mean of ten.

        Parameters
        ----------
        pictures : uint8 [N, channels, H, W]
            BGR, or gray.
        mean : float32 [channels, H, W]
        oversample : bool
            The mean of ten crops, see `ten_crops`, in place of the centre crop.
        scale : float
            What pixels less `mean` are multiplied by, see `mindpics.inference.picture_net.centre_crop`.

        Returns
        -------
        float32 [N, D]
        """
        if not oversample:
            return self.run(centre_crop(pictures, mean, self.crop, scale))
        return np.mean([self.run(view) for view in ten_crops(pictures, mean, self.crop, scale)], axis=0)

    def key(self):
        """Return a hash of all that the blob depends on beside the pictures: net, weights, blob, layer."""
        is_known = list(self.net._layer_names).count(self.last_layer) == 1
        place = () if is_known else (self.last,)  # features made when the name alone counted are of the same key
        digest = hashlib.sha256(repr((self.blob, self.last_layer, *place)).encode())
        for path in self.arguments[:2]:
            digest.update(bytes.fromhex(bounded.digest(path, "sha256")))
        return digest.hexdigest()

    def _last(self, deploy, before_relu):
        """Return the place of the last layer that writes the blob, or of the one before its first ReLU in place."""
        if self.blob not in self.net.blobs:
            raise ValueError(f"{deploy}: found no blob {self.blob!r}; wanted one of {printable_names(self.net.blobs)}")
        blob, layers = list(self.net._blob_names).index(self.blob), self.net.layers
        writers = [place for place in range(len(layers)) if blob in self.net._top_ids(place)]
        if not before_relu:
            return writers[-1]
        before = [place for place, writer in pairwise(writers) if layers[writer].type in RECTIFIERS]
        if not before:
            kinds = printable_names(layers[place].type for place in writers)
            raise ValueError(
                f"{deploy}: found no ReLU in place that overwrites {self.blob}, of the layers {kinds}; wanted one, for "
                "the state before it"
            )
        return before[0]

    def _check_weights(self, deploy, weights_path, fit):
        needed = set(list(self.net._layer_names)[: self.last + 1])
        fit.require_reached(deploy, needed)
        absent = [name for name in fit.not_in_weights if name in needed]
        if absent:
            raise ValueError(
                f"{weights_path}: found no weights for {printable_names(absent)}; wanted those of {deploy}"
            )


def load_mean(source, size, channels=3):
    """Return the mean [channels, H, W] float32 of a .binaryproto or .npy path, or of numbers (B, G, R; or gray).

    Parameters
    ----------
    source : sequence
        A path, or a number a channel.
    size : int or (int, int)
        Side, or height and width, that numbers are spread over; a mean image says itself how large the pictures are.
    channels : {3, 1}
        Of the net.

    Raises
    ------
    ValueError
        When it is none of these, of other channels, or not finite.
    """
    kinds = f"a binaryproto, a .npy, or {'three numbers' if channels == 3 else 'a number'}"
    if are_numbers(source, channels):
        return np.broadcast_to(_numbers(source, kinds)[:, None, None], (channels, *sides(size)))
    if len(source) != 1 or not isinstance(source[0], (str, os.PathLike)):
        raise ValueError(f"mean: found {list(source)}, {len(source)} of {channels} channels; wanted {kinds}")
    (path,) = source
    if not Path(path).is_file():
        raise ValueError(f"{path}: found no such file; wanted a mean: {kinds}")
    mean = load_npy(path) if str(path).endswith(".npy") else read_mean(path)
    if mean.ndim != 3 or mean.shape[0] != channels:
        raise ValueError(f"{path}: found a mean of shape {mean.shape}; wanted [{channels}, height, width]")
    return _finite(mean, path, f"[{channels}, height, width] of finite numbers")


def are_numbers(source, channels):
    """Tell whether a mean is given as a number a channel, and not as a path; see `load_mean`."""
    return len(source) == channels and (channels > 1 or _is_number(source[0]))


def _numbers(source, kinds):
    try:
        values = np.array([float(number) for number in source])
    except (TypeError, ValueError):
        raise ValueError(f"mean: found {' '.join(map(str, source))}; wanted {kinds}") from None
    return _finite(values, "mean", kinds)


def _finite(values, where, kinds):
    """Return values as float32; ValueError where one is no number that float32 has."""
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{where}: found {values.dtype}; wanted {kinds}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"{where}: found values that are not finite; wanted {kinds}")
    return values


def _is_number(text):
    try:
        return np.isfinite(float(text))
    except (TypeError, ValueError):
        return False


def ten_crops(pictures, mean, crop, scale=1.0):
    """Return the four corners and the centre, each also mirrored: float32 [10, N, C, *sides(crop)].

    Parameters are those of `mindpics.inference.picture_net.centre_crop`.

    Parameters
    ----------
    pictures : uint8 [N, C, H, W]
        BGR, or gray.
    mean : float32 [C, H, W]
    crop : int or (int, int)
        Side of a crop in pixels, or height and width.
    scale : float
    """
    (height, width), (rows, columns) = pictures.shape[2:], sides(crop)
    corners = [(y, x) for y in (0, height - rows) for x in (0, width - columns)]
    centred = (pictures.astype(np.float32) - mean) * np.float32(scale)
    views = [centred[..., y : y + rows, x : x + columns] for y, x in corners]
    views.append(centre_crop(pictures, mean, crop, scale))
    return np.stack([*views, *(view[..., ::-1] for view in views)])
