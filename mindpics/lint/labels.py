"""Lint of labels: those that a source holds against what each layer that reads them takes."""

import math

from mindpics.lint.build import built_shapes
from mindpics.lint.heads import labels_of_head
from mindpics.lint.phases import SOURCES, TRAIN

AXES = {  # of the layers that look up a score by its label: what says along which axis; "" takes all of a picture's
    "SoftmaxWithLoss": "softmax_param",
    "Accuracy": "accuracy_param",
    "InfogainLoss": "infogain_loss_param",
    "HingeLoss": "",
    "MultinomialLogisticLoss": "",
}
LABELS = {**dict.fromkeys(AXES, 1), "Embed": 0}  # which bottom is taken for numbers from 0 on
IGNORING = {"SoftmaxWithLoss": "loss_param", "InfogainLoss": "loss_param", "Accuracy": "accuracy_param"}


def check_labels(view, index, layer, records):
    """Yield the labels of a data layer that a reader of them does not know, and records sorted by class.

    Parameters
    ----------
    view : NetPhase
    records : mindpics.caffe_files.lmdb_check.Records
        Its `labels` and `runs` are looked at.
    """
    source = getattr(layer, SOURCES.get(layer.type, "data_param")).source
    if view.phase == TRAIN and len(records.labels) > 1 and records.runs == len(records.labels) < records.count:
        text = f"{source} is sorted by class: a batch sees few of them; shuffle it (tools/create_lmdb does)"
        yield view.finding("warning", "sorted-by-class", index, text)
    if len(layer.top) < 2:
        return
    for position, _, number in view.readers(layer.top[1], index):
        yield from check_reader(view, position, number, source, records.labels)


def reads_labels(reader, number):
    """Tell whether a layer takes its bottom of a number for labels, or for numbers of rows."""
    return number == (len(reader.bottom) - 1 if labels_of_head(reader) else LABELS.get(reader.type))


def check_reader(view, position, number, source, labels):
    """Yield the labels that a reader of them does not know.

    Parameters
    ----------
    view : NetPhase
    position : int
        Of the reader in its net.
    number : int
        Of its bottom.
    source : str
    labels : dict
        Label -> key of a record that has it.
    """
    reader = view.prototxt.message.layer[position]
    limit, trait = _wants(view, position, number)
    wrong = [label for label in labels if limit is not None and not 0 <= label < limit]
    wrong = sorted(label for label in wrong if label not in _ignored(reader))
    if wrong:
        text = f"takes labels 0..{limit - 1}, but {source} has {wrong[0]} (key {labels[wrong[0]]!r})"
        yield view.finding("error", "label-range", position, text)
    if trait is not None and not set(labels) & {2 * trait, 2 * trait + 1}:
        text = f"{source} has no picture of its trait (labels {sorted(labels)})"
        yield view.finding("error", "no-picture-of-trait", position, text)


def _ignored(reader):
    field = IGNORING.get(reader.type)
    param = field and getattr(reader, field)
    return {param.ignore_label} if param and param.HasField("ignore_label") else set()


def _wants(view, index, number):
    """Return how many labels a layer knows, and the index of its trait; None where it is not known."""
    reader = view.prototxt.message.layer[index]
    if head := labels_of_head(reader):
        return head
    if number != LABELS.get(reader.type):
        return None, None
    if reader.type == "Embed":
        return reader.embed_param.input_dim, None
    return _classes(view, index, reader), None


def _classes(view, index, reader):
    """Return how many scores a picture, or a place of it, has; None where it is not known."""
    field = AXES[reader.type]
    axis = getattr(reader, field).axis if field else None
    maker = view.maker(reader.bottom[0], index)
    if maker is not None and maker.type == "InnerProduct" and maker.inner_product_param.axis == axis == 1:
        return maker.inner_product_param.num_output
    shapes = built_shapes(view)
    score, label = (shapes.get(bottom) for bottom in reader.bottom[:2])
    if not score or not label:
        return None
    if field:
        return score[axis]
    return math.prod(score[1:]) if math.prod(label) == score[0] else None  # which reads a label a picture
