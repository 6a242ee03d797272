"""Net opened up to one of its blobs, over centre crops or ten crops."""

import hashlib
from pathlib import Path

import caffe
import cv2
import numpy as np

from mindpics.caffe_files.blobs import read_mean
from mindpics.files import bounded
from mindpics.files.arrays import load_npy
from mindpics.files.printable import printable_names
from mindpics.inference.infer import centre_crop, run
from mindpics.inference.open_net import open_trained_net
from mindpics.jobs.fork_first import in_fork


class FeatureNet:
    """A net in TEST phase that is run up to one of its blobs.

    Of several inputs the pictures are `data`, or else the first that pictures fit; the others stay zero, as Caffe
    leaves them. Where the net has several, or says how many pictures a batch has (a Reshape with numbers), it is run
    by batches of that size, the last filled up with zeros.

    Parameters
    ----------
    deploy, weights_path : path
        Every layer up to the blob must have its weights in the caffemodel.
    blob : str
    before_relu : bool
        Take the blob before the in-place ReLU (and dropout) that overwrites it; DeCAF7 is after.
    allow_python_layers : bool
        See `mindpics.inference.open_net.open_net`.

    Raises
    ------
    ValueError
        When the net has no such blob (it lists those there are), or weights are missing or do not fit.
    """

    def __init__(self, deploy, weights_path, blob="fc7", before_relu=False, allow_python_layers=False):
        files = Path(deploy).resolve(), Path(weights_path).resolve()
        self.arguments = (*files, blob, before_relu, allow_python_layers)  # to load it again elsewhere
        self.before_relu = before_relu
        self.net, fit = open_trained_net(deploy, weights_path, allow_python_layers)
        self.blob, self.input = blob, self._input(deploy)
        self.zeros = [name for name in self.net.inputs if name != self.input]
        self.batch = len(self.net.blobs[self.input].data)
        self.is_fixed = bool(self.zeros) or not _takes_any_batch(deploy, self.input)
        self.last_layer = self._last_layer(deploy, before_relu)
        self._check_weights(deploy, weights_path, fit)

    @property
    def crop(self):
        """Side of the net's input in pixels."""
        return self.net.blobs[self.input].data.shape[-1]

    @property
    def channels(self):
        """Channels of the net's input: 3 (BGR), or 1 (gray)."""
        return self.net.blobs[self.input].data.shape[1]

    def run(self, pictures):
        """Return the blob for float32 [N, channels, crop, crop] (mean subtracted): a copy, float32 [N, D]."""
        if not self.is_fixed:
            return self._forward(pictures)
        rows = []
        for start in range(0, len(pictures), self.batch):
            part = pictures[start : start + self.batch]
            filled = np.zeros((self.batch, *part.shape[1:]), np.float32)
            filled[: len(part)] = part
            rows.append(self._forward(filled)[: len(part)])
        return np.concatenate(rows)

    def _forward(self, pictures):
        run(self.net, pictures, self.input, self.last_layer)
        return self.net.blobs[self.blob].data.reshape(len(pictures), -1).copy()

    def features(self, pictures, mean, oversample=False):
        """Return the blob of uint8 pictures [N, 3, H, W] (BGR) less `mean`: of the centre crop, or the mean of ten.

        Parameters
        ----------
        pictures : uint8 [N, 3, H, W]
            BGR; a net of one channel sees their gray, by OpenCV's weights.
        mean : float32 [channels, H, W]
        oversample : bool
            The mean of ten crops, see `ten_crops`, in place of the centre crop.

        Returns
        -------
        float32 [N, D]
        """
        if self.channels == 1:
            pictures = np.stack([cv2.cvtColor(p.transpose(1, 2, 0), cv2.COLOR_BGR2GRAY)[None] for p in pictures])
        if not oversample:
            return self.run(centre_crop(pictures, mean, self.crop))
        return np.mean([self.run(view) for view in ten_crops(pictures, mean, self.crop)], axis=0)

    def key(self):
        """Return a hash of all that the blob depends on beside the pictures: net, weights, blob, layer."""
        digest = hashlib.sha256(repr((self.blob, self.last_layer)).encode())
        for path in self.arguments[:2]:
            digest.update(bytes.fromhex(bounded.digest(path, "sha256")))
        return digest.hexdigest()

    def _input(self, deploy):
        shapes = {name: tuple(self.net.blobs[name].data.shape) for name in self.net.inputs}
        fitting = [n for n, s in shapes.items() if len(s) == 4 and s[0] and s[1] in (1, 3) and s[2] == s[3]]
        if not fitting:
            raise ValueError(f"{deploy}: found the inputs {shapes}; wanted one of [N, 3 or 1, crop, crop]")
        return "data" if "data" in fitting else fitting[0]

    def _last_layer(self, deploy, before_relu):
        if self.blob not in self.net.blobs:
            raise ValueError(f"{deploy}: found no blob {self.blob!r}; wanted one of {printable_names(self.net.blobs)}")
        shape = tuple(self.net.blobs[self.blob].data.shape)
        if not shape or not shape[0] or shape[0] % self.batch:
            raise ValueError(
                f"{deploy}: found the blob {self.blob} of shape {shape} for {self.batch} pictures; wanted rows of each"
            )
        writers = [layer for layer, tops in self.net.top_names.items() if self.blob in tops]
        if before_relu and len(writers) == 1:
            raise ValueError(
                f"{deploy}: found nothing that overwrites {self.blob}; wanted a ReLU in place, for the state before it"
            )
        return writers[0 if before_relu else -1]

    def _check_weights(self, deploy, weights_path, fit):
        names = list(self.net._layer_names)
        needed = names[: names.index(self.last_layer) + 1]
        absent = [name for name in fit.not_in_weights if name in needed]
        if absent:
            raise ValueError(
                f"{weights_path}: found no weights for {printable_names(absent)}; wanted those of {deploy}"
            )


def _takes_any_batch(deploy, data):
    """Tell whether a net follows its input's number of pictures: a child tries, for Caffe aborts where it does not."""
    try:
        in_fork(_reshape, str(deploy), data)
    except ValueError:
        return False
    return True


def _reshape(deploy, data):
    caffe.set_mode_cpu()
    net = caffe.Net(deploy, caffe.TEST)
    number, *rest = net.blobs[data].data.shape
    net.blobs[data].reshape(number + 1, *rest)
    net.reshape()


def load_mean(source, size, channels=3):
    """Return the mean [channels, H, W] float32 of a .binaryproto or .npy path, or of numbers (B, G, R; or gray).

    Parameters
    ----------
    source : sequence
        A path, or a number a channel.
    size : int
        What numbers are spread over; a mean image says itself how large the pictures are.
    channels : {3, 1}
        Of the net.
    """
    kinds = f"a binaryproto, a .npy, or {'three numbers' if channels == 3 else 'a number'}"
    if len(source) == channels and (channels > 1 or _is_number(source[0])):
        return np.broadcast_to(np.array(source, np.float32)[:, None, None], (channels, size, size))
    if len(source) > 1:
        raise ValueError(f"mean: found {len(source)} numbers; wanted {kinds}")
    (path,) = source
    if not Path(path).is_file():
        raise ValueError(f"{path}: found no such file; wanted a mean: {kinds}")
    mean = load_npy(path) if str(path).endswith(".npy") else read_mean(path)
    if mean.ndim != 3 or mean.shape[0] != channels or mean.shape[1] != mean.shape[2]:
        raise ValueError(f"{path}: found a mean of shape {mean.shape}; wanted [{channels}, size, size]")
    return mean.astype(np.float32)


def _is_number(text):
    try:
        return np.isfinite(float(text))
    except (TypeError, ValueError):
        return False


def ten_crops(pictures, mean, crop):
    """Return the four corners and the centre, each also mirrored: float32 [10, N, 3, crop, crop].

    Parameters are those of `mindpics.inference.infer.centre_crop`.

    Parameters
    ----------
    pictures : uint8 [N, 3, H, W]
        BGR.
    mean : float32 [3, H, W]
    crop : int
        Side of a crop, in pixels.
    """
    height, width = pictures.shape[2:]
    corners = [(y, x) for y in (0, height - crop) for x in (0, width - crop)]
    centred = pictures.astype(np.float32) - mean
    views = [centred[..., y : y + crop, x : x + crop] for y, x in corners]
    views.append(centre_crop(pictures, mean, crop))
    return np.stack([*views, *(view[..., ::-1] for view in views)])
