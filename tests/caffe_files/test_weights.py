"""Published weights fit: the names and shapes of a caffemodel against our fine-tune nets."""

from pathlib import Path

import caffe
import h5py
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from published_nets import BVLC_ALEXNET, he_resnet50

from mindpics.caffe_files.blobs import read_weights
from mindpics.caffe_files.messages import read_message
from mindpics.caffe_files.weights import copy, describe, fit
from mindpics.jobs.fork_first import in_fork
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
    """Return a committed train_val net whose data layers are inputs, so that it loads without an LMDB.

    Weights are drawn for the heads alone: sixty million take a second.
    """
    net = read_message(path, caffe_pb2.NetParameter())
    crop = net.layer[0].transform_param.crop_size
    del net.layer[:2]
    inputs = caffe_pb2.NetParameter()
    for name, shape in (("data", (1, 3, crop, crop)), ("label", (1,))):
        layer = inputs.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add(dim=shape)
    inputs.layer.extend(net.layer)
    for layer in inputs.layer:
        for field in ("convolution_param", "inner_product_param"):
            if layer.HasField(field) and not layer.name.startswith("score_"):
                getattr(layer, field).ClearField("weight_filler")
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
    path = write_caffemodel(tmp_path / "old.caffemodel", shapes | {"fc6": [(1, 1, 4096, 9216), (1, 1, 1, 4096)]})
    net = caffe_pb2.NetParameter.FromString(path.read_bytes())
    for layer in net.layer:
        if layer.name == "fc6":
            for stored in layer.blobs:
                stored.num, stored.channels, stored.height, stored.width = stored.shape.dim
                stored.ClearField("shape")
    path.write_bytes(net.SerializeToString())
    assert "fc6" in fit(load("alexnet", tmp_path), path).taken


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


NET = """input: "data" input_shape { dim: 2 dim: 3 }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "a" param { name: "w" }
  inner_product_param { num_output: 3 } }
layer { name: "relu" type: "ReLU" bottom: "a" top: "a" }
layer { name: "twin" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
  inner_product_param { num_output: 3 } }
"""
W, B = [3, 3], [3]
# layers of a file, (name, shapes), and whether Caffe copies them
BINARY = {
    "as the net has them": ([("fc", [W, B]), ("twin", [W, B])], True),
    "one of two": ([("fc", [W, B])], True),
    "others too": ([("fc", [W, B]), ("else", [[2]])], True),
    "old shapes, from the end": ([("fc", [(1, 1, 3, 3), (1, 1, 1, 3)])], True),
    "old shapes, from the beginning": ([("fc", [(3, 3, 1, 1), (3, 1, 1, 1)])], False),
    "new shapes with leading ones": ([("fc", [[1, 1, 3, 3], B])], False),
    "a new bias with a leading one": ([("fc", [W, [1, 3]])], False),
    "as many values, in a row": ([("fc", [[9], B])], False),
    "without its bias": ([("fc", [W])], False),
    "a blob more": ([("fc", [W, B, [1]])], False),
    "a layer of the name without blobs": ([("fc", []), ("twin", [W, B])], False),
    "blobs for a layer without": ([("fc", [W, B]), ("relu", [[1]])], False),
    "two layers of one name": ([("fc", [W, B]), ("fc", [W, B])], True),
    "two of one name, one of which fits": ([("fc", [W, B]), ("fc", [[1, 3], B])], False),
}
HDF5 = {
    "as the net has them": ([("fc", [W, B]), ("twin", [W, B])], True),
    "without what it shares": ([("fc", [W, B]), ("relu", []), ("twin", [None, B])], True),
    "without its own bias": ([("fc", [W, B]), ("twin", [None])], False),
    "without what others share of it": ([("fc", [None, B])], False),
    "leading ones": ([("fc", [[1, 1, 3, 3], B])], False),
    "a blob more": ([("fc", [W, B, [1]])], False),
    "blobs for a layer without": ([("fc", [W, B]), ("relu", [[1]])], False),
}


def write_binary(path, layers):
    """Lists are new shapes, tuples old ones; the values count on."""
    net, first = caffe_pb2.NetParameter(), 0
    for name, shapes in layers:
        blobs = net.layer.add(name=name).blobs
        for shape in shapes:
            values = range(first, first := first + int(np.prod(shape)))
            if isinstance(shape, tuple):
                blobs.add(**dict(zip(("num", "channels", "height", "width"), shape, strict=True)), data=values)
            else:
                blobs.add(shape={"dim": shape}, data=values)
    path.write_bytes(net.SerializeToString())


def write_hdf5(path, layers):
    with h5py.File(path, "w") as file:
        for name, shapes in layers:
            group = file.create_group(f"data/{name}")
            for number, shape in enumerate(shapes):
                if shape is not None:
                    group[str(number)] = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + number


def values_of(net):
    return {name: [blob.data.ravel().tolist() for blob in blobs] for name, blobs in net.params.items()}


def caffes_copy(net, path):
    caffe.set_mode_cpu()
    net = caffe.Net(net, caffe.TEST)
    net.copy_from(path)
    return values_of(net)


@pytest.mark.parametrize(
    ("write", "layers", "fits"),
    [(write_binary, *case) for case in BINARY.values()] + [(write_hdf5, *case) for case in HDF5.values()],
    ids=[*BINARY, *(f"HDF5 {name}" for name in HDF5)],
)
def test_weights_fit_or_clash_where_caffe_says_so(tmp_path, write, layers, fits):
    path, text = tmp_path / "w.caffemodel", tmp_path / "net.prototxt"
    text.write_text(NET)
    write(path, layers)
    net = caffe.Net(str(text), caffe.TEST)
    if fits:
        wanted = in_fork(caffes_copy, str(text), str(path))
        copy(path, net)
        assert values_of(net) == wanted
    else:
        with pytest.raises(ValueError):
            in_fork(caffes_copy, str(text), str(path))
        with pytest.raises(ValueError, match="w.caffemodel: layer .* has blobs"):
            copy(path, net)


LAYER = 'layer { name: "fc" type: "InnerProduct" bottom: "%s" top: "%s" %s inner_product_param { num_output: 3 } }\n'
DATA = 'input: "data" input_shape { dim: 2 dim: 3 }\n'
SHARED = 'param { name: "w" } param { name: "b" }'
TWO = DATA + LAYER % ("data", "a", "") + LAYER % ("a", "b", "")
ONE_NAME = {
    "one in the file": (write_binary, TWO, [("fc", [W, B])], ["fc"]),
    "two in the file": (write_binary, TWO, [("fc", [W, B]), ("fc", [W, B])], ["fc"]),
    "HDF5": (write_hdf5, TWO, [("fc", [W, B])], ["fc"]),
    "shared": (write_binary, DATA + LAYER % ("data", "a", SHARED) + LAYER % ("a", "b", SHARED), [("fc", [W, B])], []),
    "shared, HDF5": (
        write_hdf5,
        DATA + LAYER % ("data", "a", SHARED) + LAYER % ("a", "b", SHARED),
        [("fc", [W, B])],
        [],
    ),
}


def all_values(net):
    return [[blob.data.ravel().tolist() for blob in layer.blobs] for layer in net.layers]


def caffes_copy_of_all(net, path):
    caffe.set_mode_cpu()
    net = caffe.Net(net, caffe.TEST)
    net.copy_from(path)
    return all_values(net)


@pytest.mark.parametrize("case", ONE_NAME)
def test_of_layers_of_one_name_caffes_is_copied_to_and_the_others_are_told(tmp_path, case):
    write, net, layers, unreached = ONE_NAME[case]
    path, text = tmp_path / "w.caffemodel", tmp_path / "net.prototxt"
    text.write_text(net)
    write(path, layers)
    wanted = in_fork(caffes_copy_of_all, str(text), str(path))
    net = caffe.Net(str(text), caffe.TEST)
    result = copy(path, net)
    assert all_values(net) == wanted and result.unreached == unreached
    assert f"left at their fillers: {', '.join(unreached) or 'none'};" in str(result)


def test_a_gradient_of_another_size_is_named_before_caffe_aborts_on_it(tmp_path):
    path = tmp_path / "w.caffemodel"
    net = caffe_pb2.NetParameter()
    net.layer.add(name="fc").blobs.add(shape={"dim": [2]}, data=[1, 2], diff=[1])
    path.write_bytes(net.SerializeToString())
    with pytest.raises(ValueError, match="'fc', blob 0: found 1 gradients; wanted as many"):
        read_weights(path)
