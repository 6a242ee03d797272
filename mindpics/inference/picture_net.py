"""Deploy net of any shape before pictures: the input that takes them, its crop, its batches."""

import itertools
import warnings

import caffe
import numpy as np

from mindpics.caffe_files.prototxt import read_prototxt
from mindpics.caffe_files.solver_nets import plain_build
from mindpics.files.printable import printable_names
from mindpics.jobs.fork_first import in_fork
from mindpics.lint.phases import TEST, takes_part
from mindpics.nets.inputs import fill
from mindpics.posts import crops


class PictureNet:
    """A net in TEST phase, one of whose inputs takes pictures.

    Of several inputs the pictures are `data`, or else the first that pictures fit; the others stay zero, as Caffe
    leaves them. Where the net has several, or says how many pictures a batch has (a Reshape with numbers, a Concat of
    rows), it is run by batches of that size, the last filled up with zeros.

    Parameters
    ----------
    deploy : path
        Of the net, for messages, and for a child that tries whether any number of pictures goes through.
    net : caffe.Net
    channels : tuple of int
        That pictures may have.

    Attributes
    ----------
    input : str
        The input of the pictures.
    zeros : list of str
        The others.
    by_batch : list of str
        The BatchNorm layers that normalise by the statistics of the batch, of which a warning tells.

    Raises
    ------
    ValueError
        When no input takes pictures (all are named).
    """

    def __init__(self, deploy, net, channels=(1, 3)):
        self.net, self.input, self._in_order = net, _input(deploy, net, channels), set()
        self.zeros = [name for name in net.inputs if name != self.input]
        self.batch, self.channels, *crop = net.blobs[self.input].data.shape
        self.crop = tuple(crop)
        self.is_fixed = bool(self.zeros) or not _takes_any_batch(deploy, self.input)
        self.by_batch = _by_batch(deploy)
        if self.by_batch:
            warnings.warn(
                f"{deploy}: BatchNorm {printable_names(self.by_batch)} normalises by the statistics of the batch "
                "(use_global_stats: false): a picture's values depend on those it is run with, on order and batch",
                stacklevel=2,
            )

    @property
    def size(self):
        """Height and width to make pictures of where no mean image says them: 256x256, or the crop if that has no room.

        The latter is what caffe.Classifier does without image_dims.
        """
        height, width = self.crop
        return crops.sides(crops.SIZE) if height == width <= crops.SIZE else self.crop

    def require_mean(self, mean, where="mean"):
        """Raise ValueError unless pictures of a mean [C, H, W] have the net's channels and room for its crop."""
        channels, height, width = mean.shape
        if channels != self.channels or height < self.crop[0] or width < self.crop[1]:
            shape = "x".join(map(str, (self.channels, *self.crop)))
            raise ValueError(
                f"{where}: found pictures of {channels}x{height}x{width}; wanted {self.channels} channels "
                f"and at least the net's input, {shape}"
            )

    def require_rows(self, deploy, name, last=None):
        """Raise ValueError unless a blob has a row a picture, or several, those of the first picture first.

        A Concat or Tile along axis 0 gives the rows of all pictures, and then those of all again.

        Parameters
        ----------
        deploy : path
            For the message.
        name : str
            Of the blob.
        last : int, optional
            Place of the last layer that is run.
        """
        shape, number = tuple(self.net.blobs[name].data.shape), len(self.net.blobs[self.input].data)
        blob = f"{deploy}: found the blob {name} of shape {shape} for {number} pictures"
        if not shape or not shape[0] or shape[0] % number:
            raise ValueError(f"{blob}; wanted rows of each")
        if name not in self._in_order:
            if number > 1 and _moves_rows(self.net, self.input, name) and self._mixes(name, last):
                raise ValueError(
                    f"{blob}, whose rows are not those of one picture after another; wanted such, or an input of one "
                    "picture"
                )
            self._in_order.add(name)

    def _mixes(self, name, last):
        """Tell whether a blob's rows, divided among the pictures in turn, hold values of other pictures only.

        Noise is tried, and other noise for some of the pictures at a time, so that for any two of them there is a time
        when only the one has changed, and a time when only the other has.
        """
        rng, number = np.random.default_rng(0), self.batch
        noise, fresh = rng.standard_normal((2, number, self.channels, *self.crop), np.float32)
        before, moved, stayed = self._forward(noise, [name], last)[name], False, False
        for bit, value in itertools.product(range((number - 1).bit_length()), (0, 1)):
            is_new = np.arange(number)[:, None] >> bit & 1 == value
            differs = self._forward(np.where(is_new[..., None, None], fresh, noise), [name], last)[name] != before
            moved |= differs & ~is_new
            stayed |= ~differs & is_new
        return bool((moved & stayed).any())

    def outputs_of(self, pictures, names, last=None):
        """Return {blob: float32 [N, D]}, copies, of float32 pictures [N, channels, *crop] (mean subtracted).

        Parameters
        ----------
        pictures : float32 [N, channels, height, width]
        names : list of str
            Blobs, see `require_rows`.
        last : int, optional
            Place of the last layer that is run.

        Raises
        ------
        ValueError
            For pictures that are not of the input's shape, of which Caffe would abort.
        """
        if pictures.shape[1:] != (self.channels, *self.crop):
            raise ValueError(
                f"found pictures {pictures.shape}; wanted [N, {self.channels}, height, width], of {self.crop}"
            )
        if not self.is_fixed:
            return self._forward(pictures, names, last)
        parts = []
        for start in range(0, len(pictures), self.batch):
            part = pictures[start : start + self.batch]
            filled = np.zeros((self.batch, *part.shape[1:]), np.float32)
            filled[: len(part)] = part
            parts.append({name: rows[: len(part)] for name, rows in self._forward(filled, names, last).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _forward(self, pictures, names, last):
        fill(self.net.blobs[self.input], pictures)
        self.net._forward(0, len(self.net.layers) - 1 if last is None else last)  # by place: names may stand twice
        return {name: self.net.blobs[name].data.reshape(len(pictures), -1).copy() for name in names}


def run(net, values, data="data"):
    """Run a net in TEST phase on an array, whose shape its input takes.

    Parameters
    ----------
    net : caffe.Net
    values : float array [N, channels, height, width]
    data : str
        The input blob.

    Returns
    -------
    dict
        blob -> its data, a view, of the net's outputs.
    """
    fill(net.blobs[data], values)
    return net.forward()


def centre_crop(pictures, mean, crop, scale=1.0):
    """Subtract the mean image, cut the centre and scale it, as Caffe's data layer does in TEST.

    Parameters
    ----------
    pictures : uint8 [N,C,H,W]
        BGR, or gray.
    mean : float32 [C,H,W]
    crop : int or (int, int)
        Side, or height and width.
    scale : float
        transform_param's: what is left of a pixel is multiplied by it.

    Returns
    -------
    float32 [N,C,*sides(crop)]
    """
    return (centre(pictures, crop).astype(np.float32) - centre(mean, crop)) * np.float32(scale)


def centre(pictures, crop):
    """Return the centre [..., *sides(crop)] of pictures [..., H, W], a view."""
    (height, width), (rows, columns) = pictures.shape[-2:], crops.sides(crop)
    y, x = (height - rows) // 2, (width - columns) // 2
    return pictures[..., y : y + rows, x : x + columns]


def _input(deploy, net, channels):
    shapes = {name: tuple(net.blobs[name].data.shape) for name in net.inputs}
    fitting = [name for name, shape in shapes.items() if len(shape) == 4 and all(shape) and shape[1] in channels]
    if not fitting:
        kinds = " or ".join(map(str, sorted(channels, reverse=True)))
        raise ValueError(f"{deploy}: found the inputs {shapes}; wanted one of [N, {kinds}, height, width]")
    return "data" if "data" in fitting else fitting[0]


def _takes_any_batch(deploy, data):
    """Tell whether a net follows its input's number of pictures: a child tries, for Caffe may abort where not."""
    try:
        return in_fork(_follows, str(deploy), data)
    except ValueError:
        return False


def _follows(deploy, data):
    """Tell whether every blob made of the pictures has a row of each, with one picture more too."""
    caffe.set_mode_cpu()
    net = caffe.Net(deploy, caffe.TEST)
    number, *rest = net.blobs[data].data.shape
    blobs, firsts = [net._blobs[place] for place in _made_of(net, data)], []
    for pictures in (number, number + 1):
        net.blobs[data].reshape(pictures, *rest)
        net.reshape()
        firsts.append({tuple(blob.shape)[:1] for blob in blobs})
    return firsts == [{(number,)}, {(number + 1,)}]


def _made_of(net, data):
    """Return the places of the blobs that an input goes into; a constant is of the same shape whatever comes."""
    places = {list(net._blob_names).index(data)}
    for layer in range(len(net.layers)):
        if places & set(net._bottom_ids(layer)):
            places |= set(net._top_ids(layer))
    return places


def _moves_rows(net, data, name):
    """Tell whether between an input and a blob there is one that has not a row a picture."""
    leading = {list(net._blob_names).index(name)}
    for layer in reversed(range(len(net.layers))):
        if leading & set(net._top_ids(layer)):
            leading |= set(net._bottom_ids(layer))
    number = len(net.blobs[data].data)
    return any(tuple(net._blobs[place].shape)[:1] != (number,) for place in leading & _made_of(net, data))


def _by_batch(deploy):
    """Return the names of a net's BatchNorm layers that use no stored statistics in phase TEST."""
    net = read_prototxt(deploy)[0].message
    state = plain_build(TEST, net).state
    return [layer.name for layer in net.layer if takes_part(layer, state) and _uses_batch(layer)]


def _uses_batch(layer):
    param, phase = layer.batch_norm_param, layer.phase if layer.HasField("phase") else TEST  # the net's
    is_stored = param.use_global_stats if param.HasField("use_global_stats") else phase == TEST
    return layer.type == "BatchNorm" and not is_stored
