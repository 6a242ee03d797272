"""Layer groups that both bodies are made of.

Every multiplier and filler is written out: a net that omits them inherits
Caffe's defaults and then differs from the published one without a word.
A block adds its layers to a ``caffe.NetSpec`` under the published names, since
Caffe copies weights by name, and returns its top.
"""

from caffe import layers as L

# Weights learn at the solver's rate and decay; biases at twice the rate and do
# not decay (bvlc_alexnet/train_val.prototxt).
WEIGHT_AND_BIAS = [{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}]
# Mean, variance and their scale factor are running statistics, not weights. The
# solver must leave all three alone.
FROZEN = [{"lr_mult": 0, "decay_mult": 0}] * 3


def gaussian(std):
    return {"type": "gaussian", "std": std}


def constant(value):
    return {"type": "constant", "value": value}


def conv_relu(n, suffix, bottom, num_output, *, std, bias, **shape):
    """Add ``conv<suffix>`` and the in-place ``relu<suffix>``; return the ReLU's top.

    Parameters
    ----------
    n : caffe.NetSpec
    suffix : str
        "1" of ``conv1``.
    bottom : caffe Top
    num_output : int
    std : float
        Of the gaussian weight filler.
    bias : float
        Of the constant bias filler.
    **shape
        Further fields of ConvolutionParameter: kernel_size, pad, stride, group.
    """
    conv = L.Convolution(
        bottom,
        param=WEIGHT_AND_BIAS,
        num_output=num_output,
        weight_filler=gaussian(std),
        bias_filler=constant(bias),
        **shape,
    )
    n[f"conv{suffix}"] = conv
    n[f"relu{suffix}"] = L.ReLU(conv, in_place=True)
    return n[f"relu{suffix}"]


def fc_relu_drop(n, suffix, bottom, num_output, *, std, bias):
    """Add ``fc<suffix>``, ``relu<suffix>`` and ``drop<suffix>`` (p = .5, section 4).

    Parameters
    ----------
    n : caffe.NetSpec
    suffix : str
        "6" of ``fc6``.
    bottom : caffe Top
    num_output : int
    std : float
        Of the gaussian weight filler.
    bias : float
        Of the constant bias filler.

    Returns
    -------
    caffe Top
        The dropout's.
    """
    fc = L.InnerProduct(
        bottom,
        param=WEIGHT_AND_BIAS,
        num_output=num_output,
        weight_filler=gaussian(std),
        bias_filler=constant(bias),
    )
    n[f"fc{suffix}"] = fc
    n[f"relu{suffix}"] = L.ReLU(fc, in_place=True)
    n[f"drop{suffix}"] = L.Dropout(n[f"relu{suffix}"], in_place=True, dropout_ratio=0.5)
    return n[f"drop{suffix}"]


def conv_bn_scale(n, conv, suffix, bottom, num_output, *, bias=False, fraction=None, frozen=False, relu=None, **shape):
    """Add a convolution with its in-place BatchNorm and Scale (and ReLU); return the last top.

    Parameters
    ----------
    conv, suffix : str
        Names: the convolution is `conv`, the others ``bn<suffix>`` and ``scale<suffix>``.
    bias : bool
        He's ResNet-50 has a (superfluous) bias in conv1 and in no other convolution.
    fraction : float, optional
        ``moving_average_fraction``; Caffe's own 0.999 remembers about 1,000
        iterations, too many for a run of a few hundred.
    frozen : bool
        ``use_global_stats: true``; else it is left to the phase: batch statistics in TRAIN,
        running ones in TEST.
    relu : str, optional
        Name of the ReLU; none is added without it.
    """
    filler = {"weight_filler": {"type": "msra"}}
    if bias:
        filler |= {"bias_term": True, "bias_filler": constant(0)}
    else:
        filler |= {"bias_term": False}
    top = L.Convolution(bottom, param=WEIGHT_AND_BIAS[: 1 + bias], num_output=num_output, **filler, **shape)
    n[conv] = top
    averaging = {} if fraction is None else {"moving_average_fraction": fraction}
    averaging |= {"use_global_stats": True} if frozen else {}
    top = n[f"bn{suffix}"] = L.BatchNorm(top, in_place=True, param=FROZEN, **averaging)
    top = n[f"scale{suffix}"] = L.Scale(
        top,
        in_place=True,
        param=[{"lr_mult": 1, "decay_mult": 1}] * 2,
        filler=constant(1),
        bias_term=True,
        bias_filler=constant(0),
    )
    if relu:
        top = n[relu] = L.ReLU(top, in_place=True)
    return top


def bottleneck(n, name, bottom, num_output, *, stride, project, fraction=None, frozen=False):
    """Add a residual block ``res<name>`` of 1x1, 3x3, 1x1 convolutions; return its top.

    The stride sits in the 1x1 branch2a (and branch1), as in He's release, not in
    the 3x3 as in later ones.

    Parameters
    ----------
    num_output : int
        Channels out; the two inner convolutions have a quarter of them.
    project : bool
        The first block of a stage brings its bottom to the new shape by branch1.
    """
    inner = num_output // 4
    shortcut = bottom
    if project:
        shortcut = conv_bn_scale(
            n,
            f"res{name}_branch1",
            f"{name}_branch1",
            bottom,
            num_output,
            kernel_size=1,
            pad=0,
            stride=stride,
            fraction=fraction,
            frozen=frozen,
        )
    top = bottom
    for part, width, kernel in (("2a", inner, 1), ("2b", inner, 3), ("2c", num_output, 1)):
        branch = f"{name}_branch{part}"
        top = conv_bn_scale(
            n,
            f"res{branch}",
            branch,
            top,
            width,
            kernel_size=kernel,
            pad=kernel // 2,
            stride=stride if part == "2a" else 1,
            relu=f"res{branch}_relu" if part != "2c" else None,
            fraction=fraction,
            frozen=frozen,
        )
    n[f"res{name}"] = L.Eltwise(shortcut, top)
    n[f"res{name}_relu"] = L.ReLU(n[f"res{name}"], in_place=True)
    return n[f"res{name}_relu"]
