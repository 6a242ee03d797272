"""Lint of labels: those that a source holds against what each layer that reads them takes."""

from mindpics.lint.heads import labels_of_head
from mindpics.lint.phases import TRAIN


def check_labels(view, index, layer, records):
    """Yield the labels of a data layer that a reader of them does not know, and records sorted by class.

    Parameters
    ----------
    view : NetPhase
    records : mindpics.caffe_files.lmdb_check.Records
        Its `labels` and `runs` are looked at.
    """
    source = layer.data_param.source or layer.image_data_param.source
    if view.phase == TRAIN and len(records.labels) > 1 and records.runs == len(records.labels) < records.count:
        text = f"{source} is sorted by class: a batch sees few of them; shuffle it (tools/create_lmdb does)"
        yield view.finding("warning", "sorted-by-class", index, text)
    if len(layer.top) < 2:
        return
    for position, reader, _ in view.readers(layer.top[1], index):
        yield from _check_reader(view, position, reader, source, records.labels)


def _check_reader(view, position, reader, source, labels):
    limit, trait = _wants(view, position, reader)
    wrong = [label for label in labels if limit is not None and not 0 <= label < limit]
    wrong = sorted(label for label in wrong if label not in _ignored(reader))
    if wrong:
        text = f"takes labels 0..{limit - 1}, but {source} has {wrong[0]} (key {labels[wrong[0]]!r})"
        yield view.finding("error", "label-range", position, text)
    if trait is not None and not set(labels) & {2 * trait, 2 * trait + 1}:
        text = f"{source} has no picture of its trait (labels {sorted(labels)})"
        yield view.finding("error", "no-picture-of-trait", position, text)


def _ignored(reader):
    return {p.ignore_label for p in (reader.loss_param, reader.accuracy_param) if p.HasField("ignore_label")}


def _wants(view, index, reader):
    """Return how many labels a layer knows, and the index of its trait; None where it is not known."""
    if head := labels_of_head(reader):
        return head
    if reader.type in ("SoftmaxWithLoss", "Accuracy") and reader.bottom:
        maker = view.maker(reader.bottom[0], index)
        if maker is not None and maker.type == "InnerProduct":
            return maker.inner_product_param.num_output, None
    return None, None
