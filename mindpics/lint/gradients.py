"""Lint of gradients: layers that Caffe would ask for one that they do not have."""

from mindpics.lint.phases import TRAIN, is_loss

NO_GRADIENT = {"Threshold", "ArgMax"}
NO_GRADIENT_OF_LABELS = {
    "SoftmaxWithLoss",
    "SigmoidCrossEntropyLoss",
    "HingeLoss",
    "MultinomialLogisticLoss",
    "InfogainLoss",
}
LOSSES = NO_GRADIENT_OF_LABELS | {"EuclideanLoss", "ContrastiveLoss"}
NO_GRADIENT_OF = {  # by the number of a bottom; of which it is no label
    "Embed": (0, "its numbers"),
    "LSTM": (1, "where sequences begin"),
    "RNN": (1, "where sequences begin"),
    "Filter": (-1, "its selector"),
    "BatchReindex": (1, "its index"),
}
NOT_FORCED = {**dict.fromkeys(NO_GRADIENT_OF_LABELS, 1), "LSTM": 1, "RNN": 1}
BLOBS = {  # that a layer of a type has
    "Convolution": lambda layer: 1 + layer.convolution_param.bias_term,
    "Deconvolution": lambda layer: 1 + layer.convolution_param.bias_term,
    "InnerProduct": lambda layer: 1 + layer.inner_product_param.bias_term,
    "Embed": lambda layer: 1 + layer.embed_param.bias_term,
    "BatchNorm": lambda layer: 3,
    "Scale": lambda layer: (len(layer.bottom) == 1) + layer.scale_param.bias_term,  # a second bottom scales
    "Bias": lambda layer: int(len(layer.bottom) == 1),
    "PReLU": lambda layer: 1,
    "LSTM": lambda layer: 3 + _has_static_input(layer, 2),
    "RNN": lambda layer: 5 + _has_static_input(layer, 1),
    "Parameter": lambda layer: 1,
}


def check_backward(view):
    """Yield the layers of a NetPhase at which Caffe's Backward would abort; it is called in TRAIN alone."""
    if view.phase != TRAIN:
        return
    requests = _requests(view)
    why = "layers that learn are below it"
    if view.prototxt.message.force_backward:
        requests = {index: _forced(layer, requests.get(index)) for index, layer in view.layers}
        why = "force_backward: true asks every layer for one"
    for index, layer in view.layers:
        requested = requests.get(index, [])
        if (layer.type in NO_GRADIENT and index in requests) or (layer.type == "Accuracy" and any(requested)):
            text = f"{layer.type} has no gradient, but {why}: Caffe would abort"
            yield view.finding("error", "no-gradient", index, text, "type")
        if layer.type in NO_GRADIENT_OF_LABELS and any(requested[1:]):
            text = f"{layer.type} has no gradient for its label, below which layers learn: Caffe would abort"
            text += "; propagate_down: true and then false leaves the label alone"
            yield view.finding("error", "no-gradient", index, text, ("bottom", 1))
        number, meant = NO_GRADIENT_OF.get(layer.type, (0, ""))
        if meant and requested[number:] and requested[number]:
            text = f"{layer.type} has no gradient for {meant}, but {why}: Caffe would abort"
            yield view.finding("error", "no-gradient", index, text, ("bottom", number % len(requested)))


def _forced(layer, requested):
    """force_backward overrules propagate_down, but asks for no label's gradient."""
    requested = requested or [False] * len(layer.bottom)
    label = NOT_FORCED.get(layer.type)
    return [was or number != label for number, was in enumerate(requested)]


def _requests(view):
    """Return {index: whether each bottom's gradient is asked for} of the layers that Backward calls.

    As Net::Init finds them: above a layer that learns, below a loss, and not cut off by propagate_down.
    """
    requests = _above_what_learns(view)
    below_loss = set()
    for index, layer in reversed(view.layers):
        readers = [view.readers(top, index) for top in layer.top]
        if is_loss(layer) or any(i in below_loss for of_top in readers for i, _, _ in of_top):
            below_loss.add(index)
        is_cut = all(of_top and not any(i in requests and requests[i][n] for i, _, n in of_top) for of_top in readers)
        if index not in below_loss or is_cut:
            requests.pop(index, None)
    return requests


def _above_what_learns(view):
    requests, learned = {}, set()
    for index, layer in view.layers:
        below = [bottom in learned for bottom in layer.bottom]
        if any(below) or learns(layer, blobs_of(layer)):
            is_set = len(layer.propagate_down) == len(layer.bottom)
            requests[index] = list(layer.propagate_down) if is_set else below
            learned.update(layer.top)
        else:
            learned.difference_update(layer.top)
    return requests


def learns(layer, blobs):
    """Tell whether one of so many blobs of a layer learns: one without a `param` does."""
    return blobs > len(layer.param) or any(param.lr_mult for param in layer.param)


def blobs_of(layer):
    """Return how many blobs Caffe gives a layer; 0 of a type that is not known to have some."""
    return BLOBS[layer.type](layer) if layer.type in BLOBS else 0


def _has_static_input(layer, states):
    """Tell whether a recurrent layer reads more than a sequence, where its sequences begin, and its first states."""
    return len(layer.bottom) > 2 + layer.recurrent_param.expose_hidden * states
