"""Lint of trait heads: our Python layers, Caffe's own losses that ignore other traits, and the labels they read."""

from mindpics import layers as own_layers
from mindpics.nets.head_losses import is_native_head, native_trait
from mindpics.traits import N_LABELS, TRAITS

HEAD_LAYERS = {"TraitLoss": own_layers.TraitLoss, "TraitAccuracy": own_layers.TraitAccuracy}


def is_our_layer(layer):
    """Tell whether a Python layer bears the name of one of ours."""
    return layer.type == "Python" and layer.python_param.layer in HEAD_LAYERS


def is_our_loss(layer):
    """Tell whether it is our loss, which Caffe takes for none without a loss_weight."""
    return HEAD_LAYERS.get(layer.python_param.layer) is own_layers.TraitLoss


def check_head_layer(layer):
    """Yield (severity, check, text, field) of a layer of ours: its param_str, bottoms and tops."""
    kind = HEAD_LAYERS[layer.python_param.layer]
    try:
        parameters = own_layers.parse_param_str(layer.python_param.param_str, **kind.defaults)
        normalization = parameters.get("normalization", own_layers.NORMALIZATIONS[0])
        if normalization not in own_layers.NORMALIZATIONS:
            raise ValueError(f"found normalization {normalization!r}; wanted one of {own_layers.NORMALIZATIONS}")
    except ValueError as error:
        yield "error", "param-str", f"layer {layer.name}: {error}", "param_str"
    if len(layer.bottom) != 2 or len(layer.top) != 1:
        counts = f"{len(layer.bottom)} bottoms and {len(layer.top)} tops"
        yield "error", "no-label", f"layer {layer.name}: found {counts}; wanted score, label and one top"


def check_head_outputs(view):
    """Yield heads of a phase whose score is not of two outputs, low and high."""
    for index, layer in view.layers:
        if not (is_our_layer(layer) and layer.bottom or is_native_head(layer)):
            continue
        maker = view.maker(layer.bottom[0], index)
        if maker is not None and maker.type == "InnerProduct" and maker.inner_product_param.num_output != 2:
            outputs = maker.inner_product_param.num_output
            text = f"its score {maker.name} has num_output {outputs}; 2 (low, high) is wanted"
            yield view.finding("error", "head-outputs", index, text)


def labels_of_head(layer):
    """Return (how many labels a trait head knows, its trait's index or None); None for another layer."""
    if is_our_layer(layer):
        try:
            defaults = HEAD_LAYERS[layer.python_param.layer].defaults
            return N_LABELS, own_layers.parse_param_str(layer.python_param.param_str, **defaults)["trait"]
        except ValueError:  # said by check_head_layer
            return N_LABELS, None
    trait = native_trait(layer)
    return (N_LABELS, TRAITS.index(trait)) if trait else None


def trait_heads(net):
    """Return {trait's index: (score, label)}, the blobs that the losses of trait heads read.

    Parameters
    ----------
    net : NetParameter
    """
    heads = {}
    labels = {native_trait(layer): layer.bottom[0] for layer in net.layer if native_trait(layer) and layer.bottom}
    for layer in net.layer:
        if is_our_layer(layer) and is_our_loss(layer) and len(layer.bottom) == 2:
            heads[labels_of_head(layer)[1]] = tuple(layer.bottom)
        elif layer.type == "SoftmaxWithLoss" and is_native_head(layer):
            trait = layer.bottom[1].removeprefix("pole_")
            if trait in labels:
                heads[TRAITS.index(trait)] = layer.bottom[0], labels[trait]
    return {head: blobs for head, blobs in heads.items() if head is not None}
