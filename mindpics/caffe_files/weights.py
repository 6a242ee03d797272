"""Fit of a caffemodel to a net, by layer name: which layers take weights, which do not."""

from dataclasses import dataclass, field

import numpy as np

from mindpics.caffe_files.blobs import read_weights
from mindpics.files.bounded import MESSAGE, digest
from mindpics.files.printable import printable_name, printable_names

# BVLC/caffe, models/NAME/readme.md
KNOWN_SHA1 = {
    "9116a64c0fbe4459d18f4bb6b56d647b63920377": "bvlc_alexnet",
    "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46": "bvlc_reference_caffenet",
}


@dataclass
class Fit:
    """How a caffemodel fits a net, by layer name."""

    taken: list = field(default_factory=list)
    not_in_net: list = field(default_factory=list)
    not_in_weights: list = field(default_factory=list)
    clashes: list = field(default_factory=list)

    def __str__(self):
        return (
            f"{len(self.taken)} layers take weights; "
            f"left at their fillers: {printable_names(self.not_in_weights) or 'none'}; "
            f"in the file only: {printable_names(self.not_in_net) or 'none'}"
        )


def fit(net, path):
    """Compare a caffe.Net with a caffemodel by layer name, as Caffe copies.

    Parameters
    ----------
    net : caffe.Net
    path : path
        caffemodel of any form that Caffe reads.

    Raises
    ------
    ValueError
        Where Caffe would abort: a layer of the same name with blobs of another shape.
    """
    return _fit(net, path, stored_shapes(path))


def _fit(net, path, stored):
    result = compare(shapes_of(net), stored)
    if result.clashes:
        raise ValueError(f"{path}: {result.clashes[0]}")
    if not result.taken:
        raise ValueError(
            f"{path}: found none of the net's layers, but {printable_names(result.not_in_net[:5])} ...; "
            f"wanted {printable_names(result.not_in_weights[:5])} ..."
        )
    return result


def copy(path, *nets):
    """Copy a caffemodel's weights into nets by layer name, as Caffe does; return the Fit to the first.

    Caffe's own reader aborts the process on a file that is not what it says; this one raises.

    Raises
    ------
    ValueError
        As `fit` does, and when a value is not finite.
    """
    stored = read_weights(path)
    for name, blobs in stored.items():
        if not all(np.isfinite(blob).all() for blob in blobs):
            raise ValueError(f"{path}: layer {printable_name(name)}: found weights that are not finite; wanted numbers")
    result = _fit(nets[0], path, _shapes(stored))
    for net in nets:
        for name, blobs in net.params.items():
            for blob, values in zip(blobs, stored.get(name, ()), strict=False):
                blob.data[...] = values.reshape(blob.data.shape)
    return result


def shapes_of(net):
    """Return {layer name: [shape, ...]} of a caffe.Net."""
    return {name: [tuple(blob.data.shape) for blob in blobs] for name, blobs in net.params.items()}


def compare(net_shapes, stored):
    """Return the Fit of a caffemodel's shapes to a net's, by layer name; layers that clash are in words."""
    result = Fit(not_in_net=[name for name in stored if name not in net_shapes])
    for name, shapes in net_shapes.items():
        if name not in stored:
            result.not_in_weights.append(name)
        elif not same_shapes(shapes, stored[name]):
            result.clashes.append(f"layer {printable_name(name)} has blobs {stored[name]}, the net wants {shapes}")
        else:
            result.taken.append(name)
    return result


def stored_shapes(path):
    """Return {layer name: [shape, ...]} of a caffemodel's layers with blobs."""
    return _shapes(read_weights(path))


def _shapes(stored):
    return {name: [blob.shape for blob in blobs] for name, blobs in stored.items()}


def same_shapes(shapes, other_shapes):
    """Tell whether Caffe would copy blobs of the one shapes to the others."""
    return shape_key(shapes) == shape_key(other_shapes)


def shape_key(shapes):
    """Return what blobs that may be copied to each other have in common."""
    return tuple(map(_squeezed, shapes))


def describe(path, expected=None):
    """Return "bvlc_alexnet" for a published file, else a line that says it is not the `expected` one."""
    sha1 = digest(path, "sha1", MESSAGE)
    name = KNOWN_SHA1.get(sha1)
    if name is None and expected is not None:
        published_sha1 = next(sha for sha, model in KNOWN_SHA1.items() if model == expected)
        return f"NOT the published {expected}: SHA-1 {sha1}, published {published_sha1}"
    return name or f"SHA-1 {sha1}"


def _squeezed(shape):
    """Drop leading ones: old files store [1,1,M,N] for an InnerProduct's [M,N], and Caffe takes it."""
    shape = tuple(shape)
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape
