"""ResNet-50's body: He's release layer for layer, up to pool5.

Source: KaimingHe/deep-residual-networks, prototxt/ResNet-50-deploy.prototxt.
The release has no training prototxt: fillers (msra) and multipliers are ours
and matter only for weights that no caffemodel fills.
"""

from caffe import layers as L
from caffe import params as P

from mindpics.nets.blocks import bottleneck, conv_bn_scale

NAME = "resnet50"
CROP = 224
FEATURES = "pool5"
PRETRAINED_HEAD = "fc1000"
# (stage, channels out, blocks): res2a..res2c, res3a..res3d, res4a..res4f, res5a..res5c
STAGES = ((2, 256, 3), (3, 512, 4), (4, 1024, 6), (5, 2048, 3))


def add_body(n, *, crop=CROP, width=1.0, gain=1.0, fraction=None, frozen=False):
    """Add conv1 .. pool5 on ``n.data`` and return the last top, [N,2048*width,1,1].

    Parameters
    ----------
    n : caffe.NetSpec
        Holds ``data``, float32 [N,3,crop,crop], BGR, mean subtracted.
    crop : int
        Side of the input; pool5 averages all that is left of it (7x7 for 224).
    width : float
        Share of the published channels; 1 is the published net.
    gain : float
        For bodies with gaussian fillers; msra needs none.
    fraction : float, optional
        ``moving_average_fraction`` of each BatchNorm; Caffe's default (.999) without it.
    frozen : bool
        ``use_global_stats`` in both phases: the statistics stay as they came with the weights.
    """

    del gain

    def channels(published):
        return 4 * max(1, round(published * width / 4))

    top = conv_bn_scale(
        n,
        "conv1",
        "_conv1",
        n.data,
        channels(64),
        kernel_size=7,
        pad=3,
        stride=2,
        bias=True,
        relu="conv1_relu",
        fraction=fraction,
        frozen=frozen,
    )
    top = n.pool1 = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    for stage, published, blocks in STAGES:
        for block in range(blocks):
            first = block == 0
            top = bottleneck(
                n,
                f"{stage}{'abcdef'[block]}",
                top,
                channels(published),
                stride=2 if first and stage > 2 else 1,
                project=first,
                fraction=fraction,
                frozen=frozen,
            )
    n.pool5 = L.Pooling(top, pool=P.Pooling.AVE, kernel_size=_side_of_res5(crop), stride=1)
    return n.pool5


def _side_of_res5(crop):
    """Follow a side of the input through conv1, pool1 (which rounds up) and three strides of 2."""
    conv1 = (crop + 2 * 3 - 7) // 2 + 1
    side = -(-(conv1 - 3) // 2) + 1
    for _ in range(3):
        side = (side - 1) // 2 + 1
    return side
