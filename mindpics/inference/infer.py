"""Scores of an LMDB's pictures by trained nets, saved for `mindpics.results.metrics`."""

import itertools

import numpy as np

from mindpics.caffe_files.datum import to_pixels
from mindpics.caffe_files.lmdbs import read_lmdb, read_mean
from mindpics.files.atomic import atomic_write
from mindpics.files.printable import printable_names
from mindpics.inference.open_net import open_trained_net
from mindpics.inference.picture_net import PictureNet, centre_crop
from mindpics.jobs.bars import bar_of
from mindpics.traits import TRAITS

BATCH = 32


def load_net(deploy, weights, allow_python_layers=False):
    """Return a caffe.Net in TEST phase, every layer of which takes weights from the caffemodel.

    Parameters
    ----------
    deploy, weights : path
        A prototxt and a caffemodel of any age that Caffe reads.
    allow_python_layers : bool
        Let the net import Python layers from outside ``mindpics.layers``.

    Raises
    ------
    ValueError
        When a layer with weights is not in the file, or shares its name with another: scores of random weights help
        nobody.
    """
    net, fit = open_trained_net(deploy, weights, allow_python_layers)
    fit.require_reached(deploy)
    if fit.not_in_weights:
        raise ValueError(
            f"{weights}: found no weights for {printable_names(fit.not_in_weights)}; wanted those of {deploy}"
        )
    return net


class TraitNets:
    """One all-in-one net, or five independent ones, and the mean that they subtract.

    Parameters
    ----------
    nets : list of (deploy, weights)
        Their ``prob_O`` .. together must cover the five traits, each once.
    mean_file : path
    allow_python_layers : bool
    scale : float
        What pixels less the mean are multiplied by, as by the transform_param's of the training.

    Raises
    ------
    ValueError
        When a trait is missing or given twice, pictures of the mean's size do not fill a net's input, or an output has
        no rows of each picture.
    """

    def __init__(self, nets, mean_file, allow_python_layers=False, scale=1.0):
        self.mean, self.scale = read_mean(mean_file), scale
        self.nets = [
            PictureNet(deploy, load_net(deploy, weights, allow_python_layers), channels=(len(self.mean),))
            for deploy, weights in nets
        ]
        self.units = {}
        outputs = sorted(name for net in self.nets for name in net.net.outputs)
        heads = [f"prob_{trait}" for trait in TRAITS]
        if outputs != sorted(heads):
            raise ValueError(f"nets: found the outputs {outputs}; wanted each of {heads} once")
        self._names = []
        for net, (deploy, _) in zip(self.nets, nets, strict=True):
            net.require_mean(self.mean, mean_file)
            self._names.append([name for name in net.net.blobs if name.startswith("score_") or name in net.net.outputs])
            for name in self._names[-1]:
                net.require_rows(deploy, name)

    def scores(self, pictures):
        """Return the probabilities of low and high (equation 3), float32 [N,5,2], of uint8 [N,3,H,W], BGR.

        Parameters
        ----------
        pictures : uint8 array [N,3,H,W]
            BGR, as LMDBs hold them; the mean is subtracted here.
        """
        outputs = {}
        for net, names in zip(self.nets, self._names, strict=True):
            outputs |= net.outputs_of(centre_crop(pictures, self.mean, net.crop, self.scale), names)
        self.units = {name: rows for name, rows in outputs.items() if name.startswith("score_")}
        return _of_traits(outputs, "prob")

    def activations(self):
        """Return what the output units gave for the pictures of the last `scores`, before the softmax: float32 [N,5,2].

        Raises
        ------
        ValueError
            When the nets do not name their output units ``score_O`` .. as Table 3's nets do.
        """
        lacking = [f"score_{trait}" for trait in TRAITS if f"score_{trait}" not in self.units]
        if lacking:
            raise ValueError(f"the nets have no {', '.join(lacking)}; the output units of each trait are wanted")
        return _of_traits(self.units, "score")


def score_lmdb(nets, mean_file, lmdb, batch=BATCH, allow_python_layers=False):
    """Score every picture of an LMDB.

    Parameters
    ----------
    nets, mean_file, allow_python_layers
        See `TraitNets`.
    lmdb : path
    batch : int
        Pictures a forward pass.

    Returns
    -------
    ids : list of str [N]
    labels : int64 [N]
    scores : float32 [N,5,2]

    Raises
    ------
    ValueError
        As `TraitNets`; also where the LMDB is empty, or a picture is not of the mean's size.
    """
    return activate_lmdbs(TraitNets(nets, mean_file, allow_python_layers), [lmdb], batch)[:3]


def activate_lmdbs(nets, lmdbs, batch=BATCH, activations=False):
    """Score every picture of several LMDBs; return ids, labels, scores, and what the output units gave, or None.

    Parameters
    ----------
    nets : TraitNets
    lmdbs : list of path
    batch : int
    activations : bool
        Keep them: float32 [N,5,2], see `TraitNets.activations`.

    Raises
    ------
    ValueError
        When an LMDB is empty, or a picture is not of the mean's size.
    """
    ids, labels, scores, units = [], [], [], []
    for lmdb in lmdbs:
        records = iter(bar_of(read_lmdb(lmdb), desc="score", unit="picture", leave=False))
        before = len(ids)
        while records_of_batch := list(itertools.islice(records, batch)):
            pictures = np.stack([_picture(lmdb, key, datum, nets.mean) for key, datum in records_of_batch])
            scores.append(nets.scores(pictures))
            units += [nets.activations()] if activations else []
            ids += [key.partition("_")[2] or key for key, _ in records_of_batch]
            labels += [datum.label for _, datum in records_of_batch]
        if len(ids) == before:
            raise ValueError(f"{lmdb}: found an empty LMDB; wanted a picture at least")
    return ids, np.array(labels), np.concatenate(scores), np.concatenate(units) if units else None


def _of_traits(blobs, prefix):
    return np.stack([blobs[f"{prefix}_{trait}"].reshape(-1, 2) for trait in TRAITS], axis=1).astype(np.float32)


def _picture(lmdb, key, datum, mean):
    try:
        pixels = to_pixels(datum, len(mean) if len(mean) in (1, 3) else None)
    except ValueError as error:
        raise ValueError(f"{lmdb}, key {key!r}: {error}") from None
    if pixels.shape != mean.shape:
        raise ValueError(f"{lmdb}, key {key!r}: found a picture {pixels.shape}; wanted the mean's {mean.shape}")
    return pixels


def save_scores(path, ids, labels, scores, activations=None, iterate=()):
    """Write scores.npz, whole or not at all.

    Parameters
    ----------
    path : path
    ids : sequence of str [N]
    labels : int [N]
        ``2 * trait + pole``.
    scores : float32 [N,5,2]
        Probabilities of low and high.
    activations : float32 [N,5,2], optional
        What the output units gave, before the softmax.
    iterate : sequence of (name, iteration)
        Of each net, as `mindpics.training.iterates.iterate_of` has them; () is not kept.
    """
    arrays = {} if activations is None else {"activations": activations}
    if iterate:
        arrays["iterate"] = np.array([name for name, _ in iterate])
        arrays["iterations"] = np.array([-1 if iteration is None else iteration for _, iteration in iterate])
    with atomic_write(path, "wb") as stream:
        np.savez(stream, ids=np.array(ids), labels=labels, scores=scores, **arrays)
