"""Where forks of Caffe stray, this one does as BVLC at 9b891540: shapes, losses, weights as HDF5, old nets."""

import os
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import make_net, write_solver
from google.protobuf import text_format

COMMANDS = Path(sys.executable).parent
INPUTS = 'layer {{ name: "data" type: "Input" top: "a" top: "b" input_param {{ shape {{ {} }} shape {{ {} }} }} }}\n'


def inputs(*shapes):
    return INPUTS.format(*(" ".join(f"dim: {size}" for size in shape) for shape in shapes))


def aborts(folder, text, engine="fast", script="caffe.Net(path, caffe.TEST).forward()"):
    """Return what Caffe says when it ends a process on the prototxt `text`."""
    (folder / "net.prototxt").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", f"import caffe\npath = {str(folder / 'net.prototxt')!r}\n{script}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MINDPICS_ENGINE": engine},
    )
    assert done.returncode < 0, "it ran"
    return done.stderr


@pytest.mark.parametrize("engine", ["fast", "caffe"])
def test_eltwise_refuses_unlike_shapes_and_names_both(tmp_path, engine):
    layer = 'layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }'
    said = aborts(tmp_path, inputs((1, 2, 4, 4), (1, 2, 2, 2)) + layer, engine)
    assert "bottom[0]: 1 2 4 4 (32), bottom[1]: 1 2 2 2 (8)" in said


@pytest.mark.parametrize("engine", ["fast", "caffe"])
def test_scale_refuses_a_factor_of_another_shape(tmp_path, engine):
    layer = 'layer { name: "scale" type: "Scale" bottom: "a" bottom: "b" top: "c" scale_param { axis: 0 } }'
    said = aborts(tmp_path, inputs((1, 2, 4, 4), (1, 2, 1, 1)) + layer, engine)
    assert "dimension mismatch between bottom[0]->shape(2) and scale->shape(2)" in said


def test_a_scale_keeps_the_bias_that_stands_in_its_prototxt(tmp_path):
    net = make_net(
        tmp_path,
        inputs((1, 2, 1, 1), (1,))
        + """layer { name: "scale" type: "Scale" bottom: "a" top: "c"
        scale_param { bias_term: true } blobs { shape { dim: 2 } data: 3 data: 4 }
        blobs { shape { dim: 2 } data: 5 data: 6 } }""",
    )
    net.blobs["a"].data[...] = 1
    assert net.forward()["c"].ravel().tolist() == [8, 10]


@pytest.mark.parametrize("filler", ["xavier", "msra"])
def test_fillers_take_weights_of_five_axes(tmp_path, filler):
    net = make_net(
        tmp_path,
        inputs((1, 2, 5, 5, 5), (1,))
        + f"""layer {{ name: "c" type: "Convolution" bottom: "a"
        top: "c" convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: "{filler}" }} }} }}""",
    )
    weights = net.params["c"][0].data
    assert weights.shape == (4, 2, 3, 3, 3)
    wanted = {"xavier": np.sqrt(1 / 54), "msra": np.sqrt(2 / 54)}[filler]
    assert weights.std() == pytest.approx(wanted, rel=0.2)


LOSS = """layer {{ name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "a" bottom: "b" top: "loss"
  loss_param {{ ignore_label: -1 normalization: {} }} }}\n"""


@pytest.mark.parametrize(("normalization", "divisor"), [("VALID", 7), ("NONE", 1), ("FULL", 12), ("BATCH_SIZE", 3)])
def test_sigmoid_cross_entropy_passes_ignored_labels_over(tmp_path, normalization, divisor):
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(0, 2, (3, 4)), rng.integers(0, 2, (3, 4))
    ignored = np.isin(np.arange(12), [0, 3, 5, 6, 11]).reshape(3, 4)
    net = make_net(
        tmp_path, "force_backward: true\n" + inputs((3, 4), (3, 4)) + LOSS.format(normalization), caffe.TRAIN
    )
    net.blobs["a"].data[...], net.blobs["b"].data[...] = scores, np.where(ignored, -1, labels)
    losses = np.log1p(np.exp(scores)) - labels * scores
    assert float(net.forward()["loss"]) == pytest.approx(losses[~ignored].sum() / divisor, rel=1e-5)
    net.backward()
    gradient = np.where(ignored, 0, 1 / (1 + np.exp(-scores)) - labels) / divisor
    np.testing.assert_allclose(net.blobs["a"].diff, gradient, rtol=1e-4, atol=1e-7)
    assert not net.blobs["a"].diff[ignored].any()


def test_infogain_with_the_identity_is_softmax_loss(tmp_path):
    identity = caffe_pb2.BlobProto(num=1, channels=1, height=5, width=5, data=np.eye(5).ravel())
    (tmp_path / "identity").write_bytes(identity.SerializeToString())
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(0, 2, (6, 5, 3)), rng.integers(0, 5, (6, 3))
    found = []
    for fields in (
        f'type: "InfogainLoss" infogain_loss_param {{ source: "{tmp_path / "identity"}" axis: 1 }}',
        'type: "SoftmaxWithLoss"',
    ):
        layer = f'layer {{ name: "loss" bottom: "a" bottom: "b" top: "loss" {fields} }}'
        net = make_net(tmp_path, "force_backward: true\n" + inputs((6, 5, 3), (6, 1, 3)) + layer, caffe.TRAIN)
        net.blobs["a"].data[...], net.blobs["b"].data[...] = scores, labels[:, None]
        loss = float(net.forward()["loss"])
        net.backward()
        found.append((loss, net.blobs["a"].diff.copy()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)


def inner_product(outputs):
    return (
        inputs((1, 3), (1,))
        + f"""layer {{ name: "fc" type: "InnerProduct" bottom: "a" top: "fc"
        inner_product_param {{ num_output: {outputs} weight_filler {{ type: "gaussian" }} }} }}"""
    )


def test_hdf5_weights_of_another_shape_are_refused(tmp_path):
    make_net(tmp_path, inner_product(4)).save_hdf5(tmp_path / "weights.h5")
    said = aborts(
        tmp_path, inner_product(5), script=f"caffe.Net(path, caffe.TEST).load_hdf5({str(tmp_path / 'weights.h5')!r})"
    )
    assert "shape mismatch" in said


@pytest.mark.parametrize("name", ["x.caffemodel.h5", "without an ending"])
def test_hdf5_weights_are_known_by_what_they_are(tmp_path, name):
    kept = make_net(tmp_path, inner_product(4))
    kept.save_hdf5(tmp_path / name)
    other = make_net(tmp_path, inner_product(4))
    other.copy_from(tmp_path / name)
    np.testing.assert_array_equal(other.params["fc"][0].data, kept.params["fc"][0].data)
    assert kept.params["fc"][0].data.any()


def test_train_command_takes_hdf5_weights(tmp_path):
    text = """layer { name: "data" type: "DummyData" top: "a" top: "b" dummy_data_param {
        shape { dim: 1 dim: 3 } shape { dim: 1 dim: 4 } } }
      layer { name: "fc" type: "InnerProduct" bottom: "a" top: "fc" inner_product_param { num_output: 4 } }
      layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "b" top: "loss" }"""
    kept = make_net(tmp_path, inner_product(4))
    kept.save_hdf5(tmp_path / "x.caffemodel.h5")
    solver = write_solver(tmp_path, text, base_lr=0, max_iter=1, snapshot_after_train=True)
    subprocess.run(
        [COMMANDS / "caffe", "train", "--solver", solver, "--weights", tmp_path / "x.caffemodel.h5"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    trained = caffe.Net(tmp_path / "net.prototxt", caffe.TEST, weights=tmp_path / "solver_iter_1.caffemodel")
    np.testing.assert_array_equal(trained.params["fc"][0].data, kept.params["fc"][0].data)


V1 = """name: "old" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2
  weight_decay: 1 weight_decay: 0 convolution_param { num_output: 2 kernel_size: 3 } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }"""


def test_a_net_of_2014_is_upgraded_by_the_installed_command(tmp_path):
    (tmp_path / "old.prototxt").write_text(V1)
    subprocess.run(
        [COMMANDS / "upgrade_net_proto_text", "old.prototxt", "new.prototxt"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    net = text_format.Parse((tmp_path / "new.prototxt").read_text(), caffe_pb2.NetParameter())
    assert not net.layers
    assert [(layer.name, layer.type) for layer in net.layer] == [
        ("input", "Input"),
        ("conv", "Convolution"),
        ("relu", "ReLU"),
    ]
    assert [(p.lr_mult, p.decay_mult) for p in net.layer[1].param] == [(1, 1), (2, 0)]
    assert list(net.layer[0].input_param.shape[0].dim) == [1, 3, 8, 8]


def test_a_solver_of_2014_is_upgraded_by_the_installed_command(tmp_path):
    (tmp_path / "old.prototxt").write_text('net: "net.prototxt" base_lr: 0.1 solver_type: ADAGRAD')
    subprocess.run(
        [COMMANDS / "upgrade_solver_proto_text", "old.prototxt", "new.prototxt"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    solver = text_format.Parse((tmp_path / "new.prototxt").read_text(), caffe_pb2.SolverParameter())
    assert solver.type == "AdaGrad"


@pytest.mark.long
def test_weights_of_600_megabytes_are_saved_and_copied(tmp_path):
    text = (
        inputs((1, 12_500), (1,))
        + """layer { name: "fc" type: "InnerProduct" bottom: "a" top: "fc"
        inner_product_param { num_output: 12000 bias_term: false weight_filler { type: "uniform" max: 1 } } }"""
    )
    net = make_net(tmp_path, text)
    net.save(tmp_path / "large.caffemodel")
    assert (tmp_path / "large.caffemodel").stat().st_size > 600_000_000
    wanted = net.params["fc"][0].data[::1000].copy()
    net.params["fc"][0].data[...] = 0
    net.copy_from(tmp_path / "large.caffemodel")
    np.testing.assert_array_equal(net.params["fc"][0].data[::1000], wanted)


def test_swish_and_clip_are_there(tmp_path):
    assert {"Swish", "Clip"} <= set(caffe.layer_type_list())
    net = make_net(
        tmp_path,
        inputs((3,), (1,))
        + """layer { name: "c" type: "Clip" bottom: "a" top: "c"
        clip_param { min: -1 max: 2 } } layer { name: "s" type: "Swish" bottom: "a" top: "s" }""",
    )
    net.blobs["a"].data[...] = [-3, 0, 3]
    found = net.forward()
    assert found["c"].tolist() == [-1, 0, 2]
    np.testing.assert_allclose(found["s"], [-3 / (1 + np.exp(3)), 0, 3 / (1 + np.exp(-3))], rtol=1e-5)


def test_it_says_which_caffe_it_is():
    assert caffe.__version__ == "1.0.0"
    assert caffe.bvlc_commit == "9b891540183ddc834a02b2bd81b31afae71b2153"
    said = subprocess.run([COMMANDS / "caffe", "--version"], check=True, capture_output=True, text=True, timeout=60)
    assert "version 1.0.0" in said.stdout
