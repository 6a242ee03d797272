"""Random weights for a deploy net that answer differently to different pictures."""

import caffe
import numpy as np

from mindpics.traits import TRAITS


def save_random_weights(prototxt, caffemodel, gain=1):
    """Save fillers' weights; BatchNorm's statistics are those of the pictures returned, for without any it gives NaN.

    Parameters
    ----------
    prototxt, caffemodel : path
    gain : float
        Of the heads, whose fillers are narrow.

    Returns
    -------
    float32 [4, 3, crop, crop]
    """
    caffe.set_random_seed(0)
    net = caffe.Net(str(prototxt), caffe.TRAIN)
    pictures = np.random.default_rng(0).normal(0, 60, (4, *net.blobs["data"].data.shape[1:])).astype(np.float32)
    pictures *= np.arange(1, 5)[:, None, None, None] / 4  # or all random pictures look alike
    net.blobs["data"].reshape(*pictures.shape)
    net.blobs["data"].data[...] = pictures
    net.forward()
    for head in {f"score_{trait}" for trait in TRAITS} & set(net.params):
        net.params[head][0].data[...] *= gain
    net.save(str(caffemodel))
    return pictures
