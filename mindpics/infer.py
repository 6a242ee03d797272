"""A trained net's scores for every picture of an LMDB, saved for `mindpics.metrics`."""

import itertools

import caffe
import numpy as np
from tqdm import tqdm

from mindpics.atomic import atomic_write
from mindpics.datum import to_pixels
from mindpics.lmdb_io import read_lmdb, read_mean
from mindpics.traits import TRAITS
from mindpics.weights import fit

BATCH = 32


def load_net(deploy, weights):
    """Return a caffe.Net in TEST phase, every layer of which takes weights from the caffemodel.

    Raises
    ------
    ValueError
        When a layer with weights is not in the file: scores of random weights help nobody.
    """
    net = caffe.Net(str(deploy), caffe.TEST)
    result = fit(net, weights)
    if result.not_in_weights:
        raise ValueError(f"{weights}: has no weights for {', '.join(result.not_in_weights)} of {deploy}")
    net.copy_from(str(weights))
    return net


def centre_crop(pictures, mean, crop):
    """Subtract the mean image and cut the centre, as Caffe's data layer does in TEST.

    Parameters
    ----------
    pictures : uint8 [N,3,H,W]
        BGR.
    mean : float32 [3,H,W]
    crop : int

    Returns
    -------
    float32 [N,3,crop,crop]
    """
    height, width = pictures.shape[2:]
    top, left = (height - crop) // 2, (width - crop) // 2
    window = np.s_[..., top : top + crop, left : left + crop]
    return pictures[window].astype(np.float32) - mean[window]


def forward(net, pictures, mean):
    """Return ``{blob: copy of its data}`` of the net's outputs for uint8 pictures [N,3,H,W]."""
    crop = net.blobs["data"].data.shape[-1]
    net.blobs["data"].reshape(len(pictures), *net.blobs["data"].data.shape[1:])
    net.blobs["data"].data[...] = centre_crop(pictures, mean, crop)
    return {name: blob.copy() for name, blob in net.forward().items()}


def score_lmdb(nets, mean_file, lmdb, batch=BATCH):
    """Score every picture of an LMDB with one all-in-one net, or with five independent ones.

    Parameters
    ----------
    nets : list of (deploy, weights)
        Their ``prob_O`` .. together must cover the five traits, each once.
    mean_file, lmdb : path

    Returns
    -------
    ids : list of str [N]
    labels : int64 [N]
    scores : float32 [N,5,2]
        Probabilities of low and high (equation 3).

    Raises
    ------
    ValueError
        When a trait is missing or given twice.
    """
    loaded = [load_net(deploy, weights) for deploy, weights in nets]
    _check_traits(loaded)
    mean = read_mean(mean_file)
    ids, labels, scores = [], [], []
    records = iter(tqdm(read_lmdb(lmdb), desc="score", unit="picture", leave=False, disable=None))
    while records_of_batch := list(itertools.islice(records, batch)):
        pictures = np.stack([to_pixels(datum).transpose(2, 0, 1) for _, datum in records_of_batch])
        outputs = {}
        for net in loaded:
            outputs |= forward(net, pictures, mean)
        scores.append(np.stack([outputs[f"prob_{trait}"].reshape(-1, 2) for trait in TRAITS], axis=1))
        ids += [key.split("_", 1)[1] for key, _ in records_of_batch]
        labels += [datum.label for _, datum in records_of_batch]
    return ids, np.array(labels), np.concatenate(scores).astype(np.float32)


def save_scores(path, ids, labels, scores):
    """Write scores.npz, whole or not at all."""
    with atomic_write(path, "wb") as stream:
        np.savez(stream, ids=np.array(ids), labels=labels, scores=scores)


def _check_traits(nets):
    outputs = [name for net in nets for name in net.outputs]
    wanted = [f"prob_{trait}" for trait in TRAITS]
    if sorted(outputs) != sorted(wanted):
        raise ValueError(f"the nets' outputs are {sorted(outputs)}; each of {wanted} is wanted once")
