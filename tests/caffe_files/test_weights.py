"""Published weights fit: the names and shapes of a caffemodel against our fine-tune nets."""

from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from published_nets import BVLC_ALEXNET, he_resnet50

from mindpics.caffe_files.blobs import read_weights
from mindpics.caffe_files.messages import read_message
from mindpics.caffe_files.weights import describe, fit
from mindpics.nets import alexnet, resnet50
from mindpics.nets.rows import all_models
from mindpics.nets.whole import deploy

ROOT = Path(__file__).resolve().parents[2]


def blob(*shape):
    """A BlobProto of zeros, by its bytes: sixty million values one by one take a minute."""
    packed = 4 * int(np.prod(shape))
    length, rest = b"", packed
    while rest >= 128:
        length, rest = length + bytes([rest % 128 | 128]), rest // 128
    head = caffe_pb2.BlobProto(shape=caffe_pb2.BlobShape(dim=shape)).SerializeToString()
    data_field = bytes([5 << 3 | 2])  # BlobProto.data = 5, packed
    return caffe_pb2.BlobProto.FromString(head + data_field + length + bytes([rest]) + bytes(packed))


def published_alexnet():
    """Blob shapes of bvlc_alexnet.caffemodel by layer name, from its published deploy."""
    net = caffe.Net(BVLC_ALEXNET / "deploy.prototxt", caffe.TEST)
    return {name: [tuple(blob.shape) for blob in blobs] for name, blobs in net.params.items()}


def published_resnet50():
    """Blob shapes of ResNet-50-model.caffemodel by layer name, from its published deploy."""
    channels, shapes = {"data": 3}, {}
    for name, kind, bottoms, top, facts in he_resnet50():
        n_in = channels[bottoms[0]]
        if kind == "Convolution":
            out, kernel, _, _, bias = facts
            shapes[name] = [(out, n_in, kernel, kernel), *([(out,)] if bias else [])]
            channels[top] = out
        else:
            channels[top] = n_in
        if kind == "BatchNorm":
            shapes[name] = [(n_in,), (n_in,), (1,)]
        if kind == "Scale":
            shapes[name] = [(n_in,), (n_in,)]
    return shapes | {"fc1000": [(1000, 2048), (1000,)]}


def write_caffemodel(path, shapes):
    net = caffe_pb2.NetParameter(name="published")
    for name, blobs in shapes.items():
        net.layer.add(name=name).blobs.extend(blob(*shape) for shape in blobs)
    path.write_bytes(net.SerializeToString())
    return path


def load(body, tmp_path):
    (tmp_path / "deploy.prototxt").write_text(str(deploy(body)))
    return caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST)


@pytest.fixture(scope="module")
def published_models(tmp_path_factory):
    """{net: (caffemodel, its shapes, its own head)}, made by the published names and shapes."""
    folder = tmp_path_factory.mktemp("published")
    models = {}
    for body, shapes, head in ((alexnet, published_alexnet(), "fc8"), (resnet50, published_resnet50(), "fc1000")):
        models[body.NAME] = write_caffemodel(folder / f"{body.NAME}.caffemodel", shapes), shapes, head
    return models


def without_data(path):
    """Return a committed train_val net whose data layers are inputs, so that it loads without an LMDB."""
    net = read_message(path, caffe_pb2.NetParameter())
    crop = net.layer[0].transform_param.crop_size
    del net.layer[:2]
    inputs = caffe_pb2.NetParameter()
    for name, shape in (("data", (1, 3, crop, crop)), ("label", (1,))):
        layer = inputs.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add(dim=shape)
    inputs.layer.extend(net.layer)
    return inputs


@pytest.mark.parametrize("model", [m for m in all_models() if m.init == "finetune"], ids=lambda model: model.name)
def test_each_finetune_net_takes_the_published_weights_in_every_layer_but_the_heads(tmp_path, published_models, model):
    path, shapes, head = published_models[model.net]
    (tmp_path / "net.prototxt").write_text(str(without_data(ROOT / "prototxt" / model.name / "train_val.prototxt")))
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    result = fit(net, path)
    assert set(result.taken) == set(shapes) - {head}
    assert result.not_in_weights == [f"score_{trait}" for trait in model.traits]
    assert result.not_in_net == [head]
    for name in result.taken:
        net.params[name][0].data[...] = 7
    net.copy_from(str(path))  # Caffe itself takes them: everything but the heads is zero now
    for name, blobs in net.params.items():
        assert (name in result.not_in_weights) == bool(np.any(blobs[0].data)), name


def test_old_files_with_leading_ones_fit(tmp_path):
    """bvlc_alexnet.caffemodel stores fc6 as 1x1x4096x9216."""
    shapes = published_alexnet()
    shapes["fc6"] = [(1, 1, 4096, 9216), (1, 1, 1, 4096)]
    result = fit(load("alexnet", tmp_path), write_caffemodel(tmp_path / "old.caffemodel", shapes))
    assert "fc6" in result.taken


def test_clash_of_shapes_is_named(tmp_path):
    shapes = published_alexnet() | {"conv3": [(384, 128, 3, 3), (384,)]}
    path = write_caffemodel(tmp_path / "w.caffemodel", shapes)
    with pytest.raises(ValueError, match=r"layer conv3 has blobs \[\(384, 128, 3, 3\).*the net wants \[\(384, 256"):
        fit(load("alexnet", tmp_path), path)


def test_nothing_in_common_is_named(tmp_path):
    path = write_caffemodel(tmp_path / "w.caffemodel", {"vgg_conv1": [(64, 3, 3, 3)]})
    with pytest.raises(ValueError, match="found none of the net's layers, but vgg_conv1"):
        fit(load("alexnet", tmp_path), path)


def test_a_net_without_weights_is_refused(tmp_path):
    path = write_caffemodel(tmp_path / "w.caffemodel", {"conv1": []})
    with pytest.raises(ValueError, match="a net without weights"):
        read_weights(path)


def test_a_wrong_sha1_is_said_aloud(tmp_path):
    path = tmp_path / "w.caffemodel"
    path.write_bytes(b"x")
    assert describe(path, "bvlc_alexnet").startswith("NOT the published bvlc_alexnet: SHA-1 11f6ad8ec52a2984abaafd7c3b")
    assert describe(path).startswith("SHA-1 11f6ad")
