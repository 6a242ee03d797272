"""Blob arrays of a caffemodel of any form (new, V1, V0, HDF5), a solverstate or a mean.

Caffe's messages hold arrays as packed repeated floats. On the wire those are bytes, so the messages
here, which say bytes, are parsed at the speed of the file, and nothing is believed before it is checked.
"""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf.message import DecodeError

from mindpics.caffe_files.blob_messages import CLASSES, varint, varints
from mindpics.caffe_files.upgrade import upgrade_net
from mindpics.files.bounded import open_regular, read_bytes
from mindpics.jobs.fork_first import in_fork

HDF5 = b"\x89HDF\r\n\x1a\n"  # how such a file begins
MAX_AXES = 32  # Caffe's kMaxBlobAxes
MAX_BLOBS = 256  # of a layer; an LSTM has ten
MAX_COUNT = 2**31 - 1  # Caffe counts a blob's values in an int
OLD_SHAPE = ("num", "channels", "height", "width")  # goes before `shape` in Caffe, where a file has both


@dataclass(frozen=True)
class Blob:
    """A stored blob: float32 values, and whether their shape is the old one of num, channels, height, width."""

    values: np.ndarray
    old: bool

    def fits(self, shape):
        """Tell whether Caffe copies it to a blob of `shape` (Blob::ShapeEquals): an old shape counts from the end."""
        shape = tuple(shape)
        counted = (1,) * (4 - len(shape)) + shape if self.old else shape
        return self.values.shape == counted


@dataclass(frozen=True)
class Caffemodel:
    """Weights: (layer name, [Blob, ...]) as Caffe walks them; None is a blob that HDF5 leaves out as shared."""

    layers: list
    is_hdf5: bool


@dataclass(frozen=True)
class SolverState:
    """A solverstate: the iteration, the caffemodel it goes with, the update history's arrays, steps of the rate."""

    iteration: int
    learned_net: str
    history: list
    step: int = 0


def read_weights(path, may_be_empty=False):
    """Return {layer name: [float32 arrays]} of a caffemodel's layers with blobs; ValueError as `read_caffemodel`."""
    return {
        name: [blob.values for blob in blobs if blob is not None]
        for name, blobs in read_caffemodel(path, may_be_empty).layers
        if blobs
    }


def read_caffemodel(path, may_be_empty=False):
    """Return the Caffemodel of a file.

    Parameters
    ----------
    path : str or Path
        In any form that ``caffe train --weights`` reads: protobuf with new, V1 or V0 layers, or HDF5.
    may_be_empty : bool
        It may be of a net without weights.

    Raises
    ------
    ValueError
        When the file is none, or an array does not have its shape's size.
    """
    with open_regular(path, "a caffemodel") as stream:
        is_hdf5 = stream.read(len(HDF5)) == HDF5
    layers = []
    for name, blobs in _layers(path, is_hdf5):
        places = (f"{path}: layer {name!r}, blob {i}" for i in range(len(blobs)))
        layers.append((name, [_blob(blob, where) for blob, where in zip(blobs, places, strict=True)]))
    if not (may_be_empty or any(blobs for _, blobs in layers)):
        raise ValueError(f"{path}: found a net without weights; wanted a .caffemodel")
    return Caffemodel(layers, is_hdf5)


def _layers(path, is_hdf5):
    """Return (name, messages of blobs) of each layer of a caffemodel, as Caffe has them after its upgrade."""
    net = _from_hdf5(path) if is_hdf5 else _parse(path, "Net", "a caffemodel")
    if not net.layers:
        return [(layer.name, layer.blobs) for layer in net.layer]
    old = [layer.v0 if any(layer.HasField("v0") for layer in net.layers) else layer for layer in net.layers]
    blobs = [list(layer.blobs) for layer in old]
    for layer in old:
        layer.ClearField("blobs")  # the rest, fields that are not named here included, is small
    try:
        upgraded = upgrade_net(caffe_pb2.NetParameter.FromString(net.SerializeToString()))
    except (ValueError, DecodeError) as error:
        raise ValueError(
            f"{path}: found an old caffemodel that Caffe cannot upgrade ({error}); wanted one that it can"
        ) from None
    origins = zip(upgraded.net.layer, upgraded.origins, strict=True)
    return [(layer.name, [] if origin is None else blobs[origin]) for layer, origin in origins]


def _from_hdf5(path):
    """Return the Net of HDF5 weights, read by a child: HDF5's library trusts what it reads."""
    with tempfile.NamedTemporaryFile(suffix=".caffemodel") as binary:
        try:
            in_fork(_convert_hdf5, str(path), binary.name)
        except ValueError as error:
            raise ValueError(
                f"{path}: found HDF5, but no weights that can be read ({error}); wanted a .caffemodel.h5"
            ) from None
        return _parse(binary.name, "Net", "a caffemodel")


def _convert_hdf5(path, out):
    """Write HDF5 weights, data/LAYER/NUMBER, as a binary caffemodel."""
    import h5py  # in the child alone

    net = CLASSES["Net"]()
    with h5py.File(path, "r") as file:
        for name, group in file["data"].items():
            blobs = net.layer.add(name=name).blobs
            numbers = [number for number in range(MAX_BLOBS) if str(number) in group]
            for number in range(max(len(group), numbers[-1] + 1 if numbers else 0)):
                if number in numbers:
                    _add_blob(blobs, group[str(number)], f"layer {name!r}, blob {number}")
                else:
                    blobs.add(absent=True)
    Path(out).write_bytes(net.SerializeToString())


def _add_blob(blobs, dataset, where):
    if dataset.dtype.kind not in "fiu":
        raise ValueError(f"{where}: found {dataset.dtype}; wanted numbers")
    _check_shape(dataset.shape, where)  # a few bytes may say that they are terabytes
    dims = b"".join(map(varint, dataset.shape))
    blobs.add(shape={"dim": dims}, data=dataset[()].astype("<f4").tobytes())


def read_state(path):
    """Return the SolverState of a binary solverstate; ValueError when it is none."""
    state = _parse(path, "State", "a solverstate")
    if not state.HasField("iter"):
        raise ValueError(f"{path}: found no iteration; wanted a solverstate")
    history = [_array(blob, f"{path}: history {i}") for i, blob in enumerate(state.history)]
    return SolverState(state.iter, state.learned_net, history, state.current_step)


def renamed_state(path, learned_net):
    """Return the bytes of a solverstate that goes with a caffemodel of another name."""
    state = _parse(path, "State", "a solverstate")
    state.learned_net = str(learned_net)
    return state.SerializeToString()


def read_mean(path):
    """Return the mean image of a binaryproto: float32 [C, H, W], BGR.

    Raises
    ------
    ValueError
        When the file is missing or none, its shape is not 1xCxHxW, or a value is not finite.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: found no such file; wanted a mean, which tools/compute_mean makes")
    mean = _array(_parse(path, "Blob", "a mean file"), path)
    if mean.ndim != 4 or len(mean) != 1 or not mean.size:
        raise ValueError(f"{path}: found a mean of shape {mean.shape}; wanted 1xCxHxW")
    if not np.isfinite(mean).all():
        raise ValueError(f"{path}: found values that are not finite; wanted a mean")
    return mean[0]


def _parse(path, kind, file_type):
    try:
        return CLASSES[kind].FromString(read_bytes(path, file_type))
    except DecodeError as error:
        raise ValueError(f"{path}: found what cannot be read ({error}); wanted {file_type}") from None


def _blob(blob, where):
    return None if blob.absent else Blob(_array(blob, where), any(map(blob.HasField, OLD_SHAPE)))


def _array(blob, where):
    """Return a blob's values in its shape, float32, read-only where the file holds float32."""
    shape = _shape(blob, where)
    kind, data = ("<f8", blob.double_data) if blob.double_data else ("<f4", blob.data)
    itemsize = np.dtype(kind).itemsize
    if len(data) != itemsize * math.prod(shape):
        raise ValueError(f"{where}: found {len(data) / itemsize:g} values; wanted as many as the shape {shape} has")
    for diff, itemsize in ((blob.double_diff, 8), (blob.diff, 4)):
        if diff and len(diff) != itemsize * math.prod(shape):
            raise ValueError(
                f"{where}: found {len(diff) / itemsize:g} gradients; wanted as many as the shape {shape} has"
            )
    return np.frombuffer(data, kind).astype(np.float32, copy=False).reshape(shape)


def _shape(blob, where):
    if any(map(blob.HasField, OLD_SHAPE)):
        shape = tuple(getattr(blob, name) for name in OLD_SHAPE)
    else:
        shape = tuple(varints(blob.shape.dim, where))
    return _check_shape(shape, where)


def _check_shape(shape, where):
    """Return a shape; ValueError unless Caffe counts it, and numpy, which counts beside a 0 as well."""
    if len(shape) > MAX_AXES or min(shape, default=0) < 0 or math.prod(dim or 1 for dim in shape) > MAX_COUNT:
        raise ValueError(f"{where}: found shape {shape}; wanted at most {MAX_AXES} axes and {MAX_COUNT} values")
    return shape
