"""The committed AlexNets, field by field against the published files, which Caffe's wheel brings along."""

from pathlib import Path

import pytest
from caffe.proto import caffe_pb2
from published_nets import BVLC_ALEXNET as PUBLISHED

from mindpics.caffe_files.messages import read_message

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(path.parent.name for path in ROOT.glob("prototxt/alexnet_*/train_val.prototxt"))
DEFAULTS = {"stride": [1], "pad": [0], "dilation": [1]}  # of lists, which protobuf knows none for


def read(path):
    return read_message(path, caffe_pb2.NetParameter())


def values(message):
    """Return all fields of a message by name, as Caffe sees them where they are not given."""
    found = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.label == field.LABEL_REPEATED:
            value = [values(item) for item in value] if field.message_type else list(value)
            found[field.name] = value or DEFAULTS.get(field.name, value)
        elif field.message_type:
            found[field.name] = values(value) if message.HasField(field.name) else None
        else:
            found[field.name] = value
    return found


def body(net):
    """The layers from conv1 to what stands before the first head."""
    names = [layer.name for layer in net.layer]
    heads = [names.index(name) for name in names if name.startswith("score_") or name == "fc8"]
    return [values(layer) for layer in net.layer[names.index("conv1") : min(heads, default=len(names))]]


@pytest.mark.parametrize("name", COMMITTED)
def test_the_body_is_the_published_one(name):
    assert body(read(ROOT / "prototxt" / name / "train_val.prototxt")) == body(read(PUBLISHED / "train_val.prototxt"))


def without_training(layers):
    """What a net needs to be run: no rates, no fillers."""
    for layer in layers:
        layer["param"] = []
        for name in ("convolution_param", "inner_product_param"):
            layer[name] = layer[name] and {**layer[name], "weight_filler": None, "bias_filler": None}
    return layers


@pytest.mark.parametrize("name", [*COMMITTED, "decaf_fc7"])
def test_the_deployed_body_is_the_published_one(name):
    assert without_training(body(read(ROOT / "prototxt" / name / "deploy.prototxt"))) == without_training(
        body(read(PUBLISHED / "deploy.prototxt"))
    )


def test_there_are_twelve():
    assert len(COMMITTED) == 12
