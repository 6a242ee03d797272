"""AlexNet's body: bvlc_alexnet layer for layer, up to fc7.

Source: BVLC/caffe, models/bvlc_alexnet/train_val.prototxt. AlexNet normalises
(LRN), then pools; CaffeNet pools, then normalises.
"""

from caffe import layers as L
from caffe import params as P

from mindpics.nets.blocks import conv_relu, fc_relu_drop

NAME = "alexnet"
CROP = 227  # section 4, "CNN models"; 224 (section 4, "Training setup") gives fc6 the same shape
FEATURES = "fc7"
PRETRAINED_HEAD = "fc8"  # the published net's own classifier, which no head of ours may be named


def add_body(n, *, crop=CROP, width=1.0, gain=1.0, fraction=None, frozen=False):
    """Add conv1 .. fc7 on ``n.data`` and return the last top.

    Parameters
    ----------
    n : caffe.NetSpec
        Holds ``data``, float32 [N,3,crop,crop], BGR, mean subtracted.
    crop : int
        Side of the input in pixels. AlexNet's layers do not depend on it.
    width : float
        Share of the published channels and neurons; 1 is the published net.
    gain : float
        Times the published standard deviations of conv2 .. fc7's fillers. A narrow net
        sums over fewer inputs and with the published fillers hardly starts at all.
    fraction, frozen
        For bodies with BatchNorm; AlexNet has none.
    """
    del crop, fraction, frozen

    def channels(published):
        return 2 * max(1, round(published * width / 2))  # even, for the two groups

    conv_std, fc_std = 0.01 * gain, 0.005 * gain
    top = conv_relu(n, "1", n.data, channels(96), kernel_size=11, stride=4, std=0.01, bias=0)
    top = n.norm1 = L.LRN(top, local_size=5, alpha=1e-4, beta=0.75)
    top = n.pool1 = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    top = conv_relu(n, "2", top, channels(256), pad=2, kernel_size=5, group=2, std=conv_std, bias=0.1)
    top = n.norm2 = L.LRN(top, local_size=5, alpha=1e-4, beta=0.75)
    top = n.pool2 = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    top = conv_relu(n, "3", top, channels(384), pad=1, kernel_size=3, std=conv_std, bias=0)
    top = conv_relu(n, "4", top, channels(384), pad=1, kernel_size=3, group=2, std=conv_std, bias=0.1)
    top = conv_relu(n, "5", top, channels(256), pad=1, kernel_size=3, group=2, std=conv_std, bias=0.1)
    top = n.pool5 = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    top = fc_relu_drop(n, "6", top, channels(4096), std=fc_std, bias=0.1)
    return fc_relu_drop(n, "7", top, channels(4096), std=fc_std, bias=0.1)
