"""Old nets, solvers and weights: ours are what Caffe itself makes of them."""

import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from old_nets import FORMS, in_form, write_net, write_weights

from mindpics.caffe_files import weights
from mindpics.caffe_files.blobs import read_weights
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.prototxt import read_prototxt
from mindpics.caffe_files.upgrade import upgrade_net, upgrade_solver
from mindpics.inference.open_net import open_net
from mindpics.nets.whole import deploy

ALL_OF_V0 = """
name: "all" input: "data" input_dim: 2 input_dim: 3 input_dim: 12 input_dim: 12
layers { bottom: "data" top: "pad1" layer { name: "pad1" type: "padding" pad: 2 } }
layers { bottom: "pad1" top: "conv1" layer { name: "conv1" type: "conv" num_output: 4 kernelsize: 3 stride: 2 group: 1
  biasterm: false weight_filler { type: "xavier" } blobs_lr: 1 weight_decay: 1 } }
layers { bottom: "conv1" top: "padp" layer { name: "padp" type: "padding" pad: 1 } }
layers { bottom: "padp" top: "pool1" layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 } }
layers { bottom: "pool1" top: "norm1" layer { name: "norm1" type: "lrn" local_size: 3 alpha: 0.01 beta: 0.5 } }
layers { bottom: "norm1" top: "norm1" layer { name: "relu1" type: "relu" } }
layers { bottom: "norm1" top: "drop1" layer { name: "drop1" type: "dropout" dropout_ratio: 0.3 } }
layers { bottom: "norm1" bottom: "drop1" top: "both" layer { name: "both" type: "concat" concat_dim: 1 } }
layers { bottom: "both" top: "flat" layer { name: "flat" type: "flatten" } }
layers { bottom: "flat" top: "fc" layer { name: "fc" type: "innerproduct" num_output: 5 biasterm: true
  weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "constant" value: 0.25 }
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 } }
layers { bottom: "fc" top: "tanh" layer { name: "tanh" type: "tanh" } }
layers { bottom: "tanh" top: "sig" layer { name: "sig" type: "sigmoid" } }
layers { bottom: "sig" top: "bnll" layer { name: "bnll" type: "bnll" } }
layers { bottom: "bnll" top: "prob" layer { name: "prob" type: "softmax" } }
"""
OLD_INPUT = """
input: "a" input: "b" input_shape { dim: 2 dim: 3 } input_shape { dim: 2 dim: 3 } force_backward: true
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
"""
OLD_BATCH_NORM = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" param { lr_mult: 1 } param { lr_mult: 1 } param { } }
"""
SHARED = """
name: "siamese" input: "a" input_dim: 2 input_dim: 3 input_dim: 1 input_dim: 1
layers { name: "one" type: INNER_PRODUCT bottom: "a" top: "one" param: "w" param: "b" blob_share_mode: STRICT
  blobs_lr: 1 blobs_lr: 2 inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layers { name: "two" type: INNER_PRODUCT bottom: "a" top: "two" param: "w" param: "b" blob_share_mode: PERMISSIVE
  blob_share_mode: PERMISSIVE inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layers { name: "hinge" type: ELTWISE bottom: "one" bottom: "two" top: "out" eltwise_param { operation: MAX } }
layers { name: "silence" type: SILENCE bottom: "out" exclude { phase: TEST } }
"""


def saved(path, folder):
    """Return what Caffe saves of a net: its own upgrade of it, weights from a seed included."""
    caffe.set_random_seed(3)
    caffe.Net(str(path), caffe.TEST).save(str(folder / "saved.caffemodel"))
    return caffe_pb2.NetParameter.FromString((folder / "saved.caffemodel").read_bytes())


@pytest.mark.parametrize("text", [ALL_OF_V0, OLD_INPUT, OLD_BATCH_NORM, SHARED], ids=["V0", "input", "norm", "V1"])
def test_an_old_net_is_what_caffe_makes_of_it(tmp_path, text):
    (tmp_path / "old.prototxt").write_text(text)
    net = read_message(tmp_path / "old.prototxt", caffe_pb2.NetParameter())
    assert not net.layers and not net.input
    write_message(net, tmp_path / "new.prototxt")
    assert saved(tmp_path / "new.prototxt", tmp_path) == saved(tmp_path / "old.prototxt", tmp_path)


@pytest.mark.parametrize(
    "text",
    [ALL_OF_V0, OLD_INPUT, OLD_BATCH_NORM, SHARED, "V0", "V1"],
    ids=["V0", "input", "norm", "V1", "AlexNet V0", "AlexNet V1"],
)
def test_our_upgrade_is_that_of_caffes_command_field_by_field(tmp_path, text):
    net = in_form(deploy("alexnet"), text) if len(text) == 2 else text_format.Parse(text, caffe_pb2.NetParameter())
    write_net(net, tmp_path / "old.prototxt")
    command = Path(sys.prefix) / "bin/upgrade_net_proto_text"
    subprocess.run([command, "old.prototxt", "new.prototxt"], cwd=tmp_path, capture_output=True, check=True)
    theirs = text_format.Parse((tmp_path / "new.prototxt").read_text(), caffe_pb2.NetParameter())
    assert upgrade_net(net).net == theirs


@pytest.mark.parametrize("form", FORMS)
def test_the_same_net_in_each_form_is_one_net(tmp_path, form):
    net = deploy("alexnet", width=0.05, crop=67)
    write_net(in_form(net, form), tmp_path / "old.prototxt")
    write_message(read_message(tmp_path / "old.prototxt", caffe_pb2.NetParameter()), tmp_path / "new.prototxt")
    write_message(net, tmp_path / "net.prototxt")
    assert saved(tmp_path / "new.prototxt", tmp_path) == saved(tmp_path / "old.prototxt", tmp_path)
    own, wanted = (saved(tmp_path / name, tmp_path).layer[1:] for name in ("new.prototxt", "net.prototxt"))
    assert [layer.name for layer in own] == [layer.name for layer in wanted]
    assert all(list(one.blobs) == list(other.blobs) for one, other in zip(own, wanted, strict=True))


def test_transforms_inside_data_layers_move_as_in_caffe(pictures, tmp_path):
    data = caffe_pb2.LayerParameter(
        name="data",
        type="Data",
        top=["data", "label"],
        data_param={"source": str(pictures / "train_lmdb"), "batch_size": 4, "backend": "LMDB"},
        transform_param={"mean_file": str(pictures / "mean.binaryproto"), "crop_size": 30, "mirror": True, "scale": 2},
    )
    net = caffe_pb2.NetParameter(layer=[data, {"name": "end", "type": "Silence", "bottom": ["data", "label"]}])
    old = write_net(in_form(net, "V1"), tmp_path / "old.prototxt")
    assert "transform_param" not in old.read_text() and "mean_file" in old.read_text()
    ours = read_message(old, caffe_pb2.NetParameter())
    assert ours.layer[0] == data
    write_message(ours, tmp_path / "new.prototxt")
    assert saved(tmp_path / "new.prototxt", tmp_path) == saved(old, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layers { layer { name: "a" type: "new" } }', "found type 'new'; wanted one of V0"),
        ('layers { name: "a" type: RELU } layer { name: "b" type: "ReLU" }', "found both layer { } and layers { }"),
        (
            'layers { bottom: "x" layer { name: "a" type: "relu" } }',
            "found bottom 'x'; wanted the top of a layer before it",
        ),
        ('input: "x" input_dim: 1 layers { bottom: "x" layer { name: "a" type: "relu" } }', "found 1 input_dim; wan"),
        ('input: "x" input: "y" input_shape { } layer { }', "found 1 input_shape; wanted one for each of 2"),
        (
            'input: "x" layers { bottom: "x" top: "p" layer { name: "p" type: "padding" } } '
            'layers { bottom: "p" top: "p" layer { name: "r" type: "relu" } }',
            "found type 'relu'; wanted conv or pool",
        ),
    ],
)
def test_what_caffe_cannot_upgrade_is_refused(tmp_path, text, message):
    """It would abort, or read numbers that are not there."""
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    for read in (open_net, lambda path: read_message(path, caffe_pb2.NetParameter())):
        with pytest.raises(ValueError, match="net.prototxt") as error:
            read(path)
        assert message in str(error.value)
    prototxt, findings = read_prototxt(path)
    assert prototxt is None and [finding.check for finding in findings] == ["upgrade"]


def test_what_a_v0_layer_does_not_have_is_named_and_dropped(tmp_path):
    """Caffe says so in its log, and goes on."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x"\ninput_dim: [1, 1, 2, 2]\n'
        'layers { bottom: "x" top: "y"\n layer { name: "a" type: "relu" group: 2 } }'
    )
    prototxt, findings = read_prototxt(path)
    assert [(finding.check, finding.line) for finding in findings] == [("upgrade-lost", 3), ("old-form", 3)]
    assert "group, which a V0 layer of type 'relu' does not have" in findings[0].message
    assert [layer.type for layer in prototxt.message.layer] == ["Input", "ReLU"]


def test_findings_in_an_old_net_have_the_lines_of_its_file(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(ALL_OF_V0)
    prototxt, _ = read_prototxt(path)
    layers = [layer.name for layer in prototxt.message.layer]
    text = path.read_text().splitlines()
    for name in ("conv1", "pool1", "fc", "prob"):
        line = prototxt.lines.at(("layer", layers.index(name)))
        assert f'"{name}"' in text[line - 1]
    assert 'bottom: "sig"' in text[prototxt.lines.at(("layer", layers.index("bnll")), ("bottom", 0)) - 1]


def test_lists_count_as_many_layers(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text('layers: [\n{ name: "a" type: RELU bottom: "x" },\n{ name: "b" type: RELU bottom: "x" }]')
    prototxt, _ = read_prototxt(path)
    assert [prototxt.lines.at(("layer", i), "name") for i in range(2)] == [2, 3]


@pytest.mark.parametrize("name", caffe_pb2.SolverParameter.SolverType.keys())
def test_an_old_solver_type_is_its_new_one(name):
    solver = caffe_pb2.SolverParameter()
    text_format.Parse(f"solver_type: {name}", solver)
    upgrade_solver(solver)
    assert solver.type.upper() == name and not solver.HasField("solver_type")
    solver.solver_type = 0
    with pytest.raises(ValueError, match="found solver_type .old. and type"):
        upgrade_solver(solver)


@pytest.mark.parametrize("form", [*FORMS, "HDF5"])
def test_weights_of_each_form_give_the_net_that_caffe_gives(tmp_path, form):
    """To the bit: new, V1, V0 and HDF5 of one net, read by us, by Caffe, and by the name of the layer."""
    path = tmp_path / "deploy.prototxt"
    write_message(deploy("alexnet", width=0.05, crop=67), path)
    known = read_weights(write_weights(path, tmp_path, "new"))
    stored = write_weights(path, tmp_path, form)
    assert {name: [b.ravel().tolist() for b in blobs] for name, blobs in read_weights(stored).items()} == {
        name: [b.ravel().tolist() for b in blobs] for name, blobs in known.items()
    }
    ours, caffes = open_net(path), open_net(path)
    fit = weights.copy(stored, ours)
    assert not fit.not_in_net and not fit.not_in_weights
    (caffes.load_hdf5 if form == "HDF5" else caffes.copy_from)(str(stored))
    for name, blobs in ours.params.items():
        for own, theirs, wanted in zip(blobs, caffes.params[name], known[name], strict=True):
            np.testing.assert_array_equal(own.data, theirs.data)
            np.testing.assert_array_equal(own.data, wanted)


def test_an_upgraded_net_stays_as_it_is():
    net = upgrade_net(text_format.Parse(ALL_OF_V0, caffe_pb2.NetParameter())).net
    assert upgrade_net(net).net == net
