"""Loss and accuracy of one trait head, by our Python layers or by Caffe's own.

Both read the label of the whole batch, ``2 * trait + pole``, and answer only for the pictures of
their trait (equation 5); losses, gradients and accuracies are equal. The native layers compute on
the device and train on several GPUs, which Caffe refuses to a net with a Python layer.
"""

import caffe
from caffe import layers as L
from caffe import params as P

from mindpics.traits import TRAITS

# What Threshold makes of a picture of another trait: it exceeds both bounds.
OTHER = 2


def add_python(n, trait, score, normalization):
    """Add ``loss_<trait>`` and, in TEST, ``accuracy_<trait>`` to a NetSpec: `mindpics.layers`.

    Parameters
    ----------
    n : caffe.NetSpec
        With a top ``label``: 2 * trait + pole.
    trait : str
        One of O C E A N.
    score : caffe Top
        [N, 2]: low, high.
    normalization : {"BATCH_SIZE", "VALID"}
        See `mindpics.nets.trait_loss.trait_loss`.
    """
    n[f"loss_{trait}"] = L.Python(
        score,
        n.label,
        module="mindpics.layers",
        layer="TraitLoss",
        param_str=f'{{"trait": "{trait}", "normalization": "{normalization}"}}',
        loss_weight=1,  # Caffe takes a Python layer for no loss without it
    )
    n[f"accuracy_{trait}"] = L.Python(
        score,
        n.label,
        module="mindpics.layers",
        layer="TraitAccuracy",
        param_str=f'{{"trait": "{trait}"}}',
        include={"phase": caffe.TEST},
    )


def add_native(n, trait, score, normalization):
    """Add the same of Caffe's own layers, and ``pole_<trait>``: 0 low, 1 high, 2 another trait, which they ignore.

    (label - low - 1/4)^2 is 1/16 for low, 9/16 for high = low + 1 and at least 25/16 for every other
    label, exactly in floats; a step at 1/4 and one at 1 count it to 0, 1 and 2.

    Parameters
    ----------
    n, trait, score, normalization
        As `add_python` takes them.
    """
    squared_distance = n[f"apart_{trait}"] = L.Power(n.label, shift=_shift(trait), power=2)
    not_low = n[f"not_low_{trait}"] = L.Threshold(squared_distance, threshold=0.25)
    above_high = n[f"other_{trait}"] = L.Threshold(squared_distance, threshold=1)
    pole = n[f"pole_{trait}"] = L.Eltwise(not_low, above_high)
    n[f"loss_{trait}"] = L.SoftmaxWithLoss(
        score,
        pole,
        loss_weight=1,
        loss_param={"ignore_label": OTHER, "normalization": getattr(P.Loss, normalization)},
    )
    n[f"accuracy_{trait}"] = L.Accuracy(score, pole, ignore_label=OTHER, include={"phase": caffe.TEST})


def _shift(trait):
    return -(2 * TRAITS.index(trait) + 0.25)


def native_trait(layer):
    """Return the trait whose pictures a LayerParameter picks out of the label as `add_native` does, or None."""
    if layer.type != "Power" or layer.power_param.power != 2:
        return None
    return next((trait for trait in TRAITS if layer.power_param.shift == _shift(trait)), None)


def is_native_head(layer):
    """Tell whether a LayerParameter is a loss or an accuracy of `add_native`: its score must have two outputs."""
    return layer.type in ("SoftmaxWithLoss", "Accuracy") and layer.bottom[1:] in [[f"pole_{trait}"] for trait in TRAITS]


LOSSES = {"python": add_python, "native": add_native}
