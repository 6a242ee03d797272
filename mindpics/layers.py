"""Python layers that our prototxts name: ``module: "mindpics.layers"``.

Each checks its shapes and parameters, allocates, and delegates to
`mindpics.nets.trait_loss`.
"""

import json

import caffe

from mindpics.files.json_files import shown
from mindpics.nets.trait_loss import NORMALIZATIONS, check_labels, trait_accuracy, trait_loss
from mindpics.traits import TRAITS


def parse_param_str(param_str, **defaults):
    """Return the JSON object of a ``param_str`` over `defaults`; ``trait`` becomes its index.

    Raises
    ------
    ValueError
        When it is not a JSON object, has an unknown key, or names no trait.
    """
    try:
        values = json.loads(param_str)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f'param_str: found {shown(param_str)} ({error}); wanted JSON like {{"trait": "O"}}') from None
    if not isinstance(values, dict):
        raise ValueError(f'param_str: found {shown(param_str)}; wanted a JSON object like {{"trait": "O"}}')
    unknown = sorted(set(values) - {"trait", *defaults})
    if unknown:
        raise ValueError(f"param_str: found unknown keys {unknown}; wanted {sorted({'trait', *defaults})}")
    parameters = defaults | values
    if parameters.get("trait") not in TRAITS:
        raise ValueError(f"param_str: found trait {parameters.get('trait')!r}; wanted one of {' '.join(TRAITS)}")
    parameters["trait"] = TRAITS.index(parameters["trait"])
    return parameters


class _HeadLayer(caffe.Layer):
    """What loss and accuracy share: bottoms score [N,2] and label [N], one scalar top."""

    defaults = {}

    def setup(self, bottom, top):
        if len(bottom) != 2 or len(top) != 1:
            raise ValueError(
                f"{type(self).__name__}: found {len(bottom)} bottoms and {len(top)} tops; "
                "wanted bottoms score and label and one top"
            )
        self.parameters = parse_param_str(self.param_str, **self.defaults)

    def reshape(self, bottom, top):
        scores, labels = bottom[0].data, bottom[1].data
        if scores.size != 2 * labels.size or scores.shape[0] != labels.size:
            raise ValueError(
                f"{type(self).__name__}: found {scores.shape} and {labels.shape}; "
                "wanted scores [N,2] (low, high) and labels [N]"
            )
        top[0].reshape()

    def batch(self, bottom):
        """Return scores [N,2] and labels [N] of the batch, checked."""
        return bottom[0].data.reshape(-1, 2), check_labels(bottom[1].data.reshape(-1))

    def backward(self, top, propagate_down, bottom):
        """Nothing to propagate; the loss overrides this."""


class TraitLoss(_HeadLayer):
    """Equation 5 for one head.

    ``param_str``: ``{"trait": "O", "normalization": "BATCH_SIZE" | "VALID"}``.
    Give the layer ``loss_weight: 1``: Caffe takes a Python layer for no loss without it.
    """

    defaults = {"normalization": NORMALIZATIONS[0]}

    def setup(self, bottom, top):
        super().setup(bottom, top)
        if self.parameters["normalization"] not in NORMALIZATIONS:
            raise ValueError(
                f"found normalization {self.parameters['normalization']!r}; wanted one of {NORMALIZATIONS}"
            )

    def forward(self, bottom, top):
        scores, labels = self.batch(bottom)
        loss, self.gradient = trait_loss(scores, labels, **self.parameters)
        top[0].data[...] = loss

    def backward(self, top, propagate_down, bottom):
        if propagate_down[1]:
            bottom[1].diff[...] = 0  # a net with force_backward asks; labels have no gradient
        if propagate_down[0]:
            # top's diff holds the layer's loss_weight
            bottom[0].diff[...] = (self.gradient * top[0].diff).reshape(bottom[0].data.shape)


class TraitAccuracy(_HeadLayer):
    """Accuracy of one head over the batch's pictures of its trait; ``param_str``: ``{"trait": "O"}``."""

    def forward(self, bottom, top):
        scores, labels = self.batch(bottom)
        top[0].data[...] = trait_accuracy(scores, labels, **self.parameters)
