"""Fit of a caffemodel to a net, by layer name: which layers take weights, which do not."""

from dataclasses import dataclass, field

import numpy as np

from mindpics.caffe_files.blobs import read_caffemodel
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
    unreached: list = field(default_factory=list)  # layers with weights whose name leads to another layer

    def __str__(self):
        at_fillers = [*self.not_in_weights, *self.unreached]
        return (
            f"{len(self.taken)} layers take weights; "
            f"left at their fillers: {printable_names(at_fillers) or 'none'}; "
            f"in the file only: {printable_names(self.not_in_net) or 'none'}"
        )

    def require_reached(self, deploy, needed=None):
        """Raise ValueError where several layers with weights have one name: of those of the names `needed`, or all."""
        twice = [name for name in dict.fromkeys(self.unreached) if needed is None or name in needed]
        if twice:
            raise ValueError(
                f"{deploy}: found several layers with weights of the name {printable_names(twice)}, of which Caffe's "
                "copying reaches one; wanted a name for each"
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
        Where Caffe would abort: a layer of the same name with blobs of another shape or number.
    """
    return _fit(net, path, read_caffemodel(path))


def _fit(net, path, stored):
    result = _without_clash(net, path, stored)
    if not result.taken:
        raise ValueError(
            f"{path}: found none of the net's layers, but {printable_names(result.not_in_net[:5])} ...; "
            f"wanted {printable_names(result.not_in_weights[:5])} ..."
        )
    return result


def _without_clash(net, path, stored):
    result = compare(targets_of(net, stored.is_hdf5), stored)
    if result.clashes:
        raise ValueError(f"{path}: {result.clashes[0]}")
    result.unreached = _unreached(net, stored.is_hdf5)
    return result


def copy(path, *nets):
    """Copy a caffemodel's weights into nets by layer name, as Caffe does; return the Fit to the first.

    Caffe's own reader aborts the process on a file that is not what it says; this one raises.

    Raises
    ------
    ValueError
        As `fit` does, and when a value is not finite.
    """
    stored = read_caffemodel(path)
    for name, blobs in stored.layers:
        if not all(np.isfinite(blob.values).all() for blob in blobs if blob is not None):
            raise ValueError(f"{path}: layer {printable_name(name)}: found weights that are not finite; wanted numbers")
    result = _fit(nets[0], path, stored)
    for net in nets[1:]:
        _without_clash(net, path, stored)
    layers = dict(stored.layers)  # of two layers of one name Caffe copies the second over the first
    for net in nets:
        for name, place in _reached(net, stored.is_hdf5).items():
            for blob, source in zip(net.layers[place].blobs, layers.get(name, ()), strict=False):
                if source is not None:
                    blob.data[...] = source.values.reshape(blob.data.shape)
    return result


def shapes_of(net):
    """Return {layer name: [shape, ...]} of a caffe.Net's layers with weights."""
    return {name: [tuple(blob.data.shape) for blob in blobs] for name, blobs in net.params.items()}


def targets_of(net, is_hdf5=False):
    """Return {layer name: [(shape, shared), ...]} of a caffe.Net, layers without weights too.

    `shared` blobs are those of an earlier layer. Of several layers of one name there is the one that Caffe copies to.

    Parameters
    ----------
    net : caffe.Net
    is_hdf5 : bool
        Whether the weights come from HDF5.
    """
    targets, owned = [], set()
    for layer in net.layers:
        places = _places(layer)
        shapes = (tuple(blob.data.shape) for blob in layer.blobs)
        targets.append([(shape, place in owned) for shape, place in zip(shapes, places, strict=True)])
        owned.update(places)
    return {name: targets[number] for name, number in _reached(net, is_hdf5).items()}


def _reached(net, is_hdf5):
    """Return {layer name: number of the layer that Caffe copies to}: of several the first, from HDF5 the last."""
    reached = {}
    for number, name in enumerate(net._layer_names):
        reached[name] = number if is_hdf5 else reached.get(name, number)
    return reached


def _unreached(net, is_hdf5):
    """Return the names of the layers with weights of their own that no name leads to."""
    reached = set(_reached(net, is_hdf5).values())
    written = {place for number in reached for place in _places(net.layers[number])}
    layers = zip(net._layer_names, net.layers, strict=True)
    return [name for name, layer in layers if not written.issuperset(_places(layer))]


def _places(layer):
    """Return where in memory a layer's weights are: shared ones are those of another layer."""
    return [blob.data.__array_interface__["data"][0] for blob in layer.blobs]


def compare(targets, stored):
    """Return the Fit of a Caffemodel to what a net has (`targets_of`); layers that clash are in words.

    Source: Net::CopyTrainedLayersFrom and CopyTrainedLayersFromHDF5.
    """
    result, names = Fit(), dict(stored.layers)
    for name, blobs in stored.layers:
        if name in targets and not _takes(targets[name], blobs, stored.is_hdf5):
            shapes, in_net = [blob and blob.values.shape for blob in blobs], [shape for shape, _ in targets[name]]
            result.clashes.append(f"layer {printable_name(name)} has blobs {shapes}, the net wants {in_net}")
    result.not_in_net = [name for name, blobs in names.items() if blobs and name not in targets]
    for name, target in targets.items():
        if name in names and target:
            result.taken.append(name)
        elif not all(shared for _, shared in target):
            result.not_in_weights.append(name)
    return result


def _takes(target, blobs, is_hdf5):
    """Tell whether Caffe copies stored blobs to a layer's; HDF5 may lack those that it shares."""
    if is_hdf5:
        blobs = [*blobs, *[None] * (len(target) - len(blobs))]
    if len(blobs) != len(target):
        return False
    pairs = zip(blobs, target, strict=True)
    return all(is_hdf5 and shared if blob is None else blob.fits(shape) for blob, (shape, shared) in pairs)


def shape_key(shapes):
    """Return what two layers' shapes have in common whose values fit each other, leading ones apart."""
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
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return tuple(shape)
