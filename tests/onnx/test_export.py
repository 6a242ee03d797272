"""Whole nets as ONNX against Caffe: the mini nets, the paper's sizes, the mean, and what is refused."""

import shlex
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from random_weights import save_random_weights
from small_run import BEST

from mindpics.caffe_files.lmdbs import read_mean, write_mean
from mindpics.inference.infer import TraitNets, load_net
from mindpics.inference.picture_net import centre, centre_crop
from mindpics.nets.rows import all_models, paper_counts, write_models
from mindpics.nets.scales import MINI, SETTINGS
from mindpics.onnx import export
from mindpics.onnx.export import TOLERANCE, export_onnx, largest_difference
from mindpics.onnx.graph import to_onnx
from mindpics.traits import TRAITS

ROOT = Path(__file__).resolve().parents[2]
TOOL, PROTOTXT = ROOT / "tools" / "export_onnx", ROOT / "prototxt"
TINY, NAME = SETTINGS["tiny"], "alexnet_all-in-one_finetune"
GRAY = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""


def outputs_of(path, pictures):
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"data": pictures}), strict=True))


def run_tool(*arguments, before=""):
    """Run tools/export_onnx after a line of Python."""
    code = f"import runpy, sys; sys.argv = sys.argv[1:]; {before}\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, TOOL, *arguments], capture_output=True, text=True)


def assert_caffes_outputs(deploy, weights, path, pictures):
    net = caffe.Net(str(deploy), str(weights), caffe.TEST)
    net.blobs["data"].reshape(*pictures.shape)
    net.blobs["data"].data[...] = pictures
    ours, wanted = outputs_of(path, pictures), net.forward()
    assert sorted(ours) == sorted(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=TOLERANCE * max(1, np.abs(values).max()))
        assert np.ptp(values[:, 1]) > 0.01, f"{name} says the same of every picture: nothing was compared"


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    write_models(all_models(), folder, MINI, paper_counts(), data_root="data")
    return folder / "prototxt"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(deploy, caffemodel, mean) of a narrow AlexNet of five heads; the mean image is no constant."""
    folder = tmp_path_factory.mktemp("tiny")
    models = [model for model in all_models() if model.name == NAME]
    write_models(models, folder, TINY, paper_counts(), data_root="data")
    deploy, weights = folder / "prototxt" / NAME / "deploy.prototxt", folder / "net.caffemodel"
    save_random_weights(deploy, weights, gain=100)
    mean = folder / "mean.binaryproto"
    write_mean(mean, np.random.default_rng(0).uniform(60, 180, (3, TINY.size, TINY.size)))
    return deploy, weights, mean


@pytest.mark.parametrize("name", [model.name for model in all_models()])
def test_the_eighteen_mini_nets(mini, tmp_path, name):
    deploy, weights, out = mini / name / "deploy.prototxt", tmp_path / "net.caffemodel", tmp_path / "net.onnx"
    pictures = save_random_weights(deploy, weights, gain=10 if "alexnet" in name else 1)
    difference = export_onnx(deploy, weights, out)
    print(f"{name}: {difference:.1e}")
    assert difference <= TOLERANCE
    assert_caffes_outputs(deploy, weights, out, pictures)


@pytest.mark.long
@pytest.mark.parametrize(("name", "gain"), [(NAME, 10), ("resnet50_all-in-one_finetune", 1)])
def test_the_committed_nets_at_the_papers_size(tmp_path, name, gain):
    deploy, weights, out = PROTOTXT / name / "deploy.prototxt", tmp_path / "net.caffemodel", tmp_path / "net.onnx"
    pictures = save_random_weights(deploy, weights, gain)
    print(f"{name}: {export_onnx(deploy, weights, out):.1e}")
    assert_caffes_outputs(deploy, weights, out, pictures)


def test_the_tool_tells_of_the_mean_and_the_crop_in_the_metadata(tiny, tmp_path):
    deploy, weights, mean = tiny
    out = tmp_path / "new" / "net.onnx"
    done = run_tool(deploy, weights, "--mean", mean, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"{out}: largest difference to Caffe " in done.stdout
    model = onnx.load(out)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["channel_order"] == "BGR" and told["layout"] == "NCHW"
    assert (told["warp"], told["crop"]) == ("72x72", "67x67, centre")
    assert told["mean"] == "to be subtracted before" and told["mean_file"] == "mean.binaryproto"
    assert [float(value) for value in told["mean_bgr"].split()] == pytest.approx([120, 120, 120], abs=3)
    assert len(told["mean_sha256"]) == len(told["caffemodel_sha256"]) == 64
    assert float(told["largest_difference_to_caffe"]) <= TOLERANCE
    assert [output.name for output in model.graph.output] == [f"prob_{trait}" for trait in sorted(TRAITS)]


def test_the_example_of_the_help_runs_as_pasted(small_run, tmp_path):
    printed = run_tool("--help").stdout
    example = printed[printed.index("RUN=") : printed.index("    tools/export_onnx deploy.prototxt")]
    pasted = example.replace("runs/mini/mindpics", shlex.quote(str(small_run / "mindpics")))
    command = pasted.replace("tools/export_onnx", shlex.join([sys.executable, str(TOOL)]))
    done = subprocess.run(["bash", "-ec", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{BEST}.onnx: largest difference to Caffe " in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {f"{BEST}.onnx", f"{BEST}.caffe.log"}


def test_with_the_mean_in_the_graph_its_input_is_the_bgr_crop(tiny, tmp_path):
    deploy, weights, mean = tiny
    export_onnx(deploy, weights, tmp_path / "net.onnx", [mean], with_mean=True)
    pictures = np.random.default_rng(1).integers(0, 256, (5, 3, TINY.size, TINY.size), dtype=np.uint8)
    pictures //= np.arange(1, 6, dtype=np.uint8)[:, None, None, None]
    wanted = TraitNets([(deploy, weights)], mean).scores(pictures)
    edge = (TINY.size - 67) // 2
    ours = outputs_of(tmp_path / "net.onnx", pictures[:, :, edge : edge + 67, edge : edge + 67].astype(np.float32))
    for number, trait in enumerate(TRAITS):
        np.testing.assert_allclose(ours[f"prob_{trait}"], wanted[:, number], rtol=0, atol=TOLERANCE)
    assert np.ptp(wanted[:, :, 1], axis=0).max() > 100 * TOLERANCE


@pytest.mark.parametrize("with_mean", [True, False])
def test_a_scale_is_in_the_graph_or_told(tiny, tmp_path, with_mean):
    deploy, weights, mean = tiny
    switches = ("--mean", mean, "--scale", ".017", *(["--with-mean"] if with_mean else []))
    done = run_tool(deploy, weights, *switches, "--out", tmp_path / "net.onnx")
    assert done.returncode == 0, done.stderr
    pictures = np.random.default_rng(1).integers(0, 256, (5, 3, TINY.size, TINY.size), dtype=np.uint8)
    wanted = TraitNets([(deploy, weights)], mean, scale=0.017).scores(pictures)
    fed = centre(pictures, 67).astype(np.float32)
    if not with_mean:
        fed = centre_crop(pictures, read_mean(mean), 67, 0.017)
    ours = outputs_of(tmp_path / "net.onnx", fed)
    for number, trait in enumerate(TRAITS):
        np.testing.assert_allclose(ours[f"prob_{trait}"], wanted[:, number], rtol=0, atol=TOLERANCE)
    assert np.abs(wanted - TraitNets([(deploy, weights)], mean).scores(pictures)).max() > 100 * TOLERANCE
    told = {entry.key: entry.value for entry in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert told["scale"].startswith("0.017, in the graph" if with_mean else "0.017, to be multiplied by after the mean")


def test_three_numbers_are_a_mean(tiny, tmp_path):
    deploy, weights, _ = tiny
    export_onnx(deploy, weights, tmp_path / "net.onnx", ["104", "117", "123"], size=80, with_mean=True)
    model = onnx.load(tmp_path / "net.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert (told["warp"], told["mean_bgr"]) == ("80x80", "104.0000 117.0000 123.0000") and "mean_file" not in told
    mean = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "data:mean")
    assert (mean == np.array([104, 117, 123], np.float32)[:, None, None]).all()


def test_a_number_is_the_mean_of_a_gray_net(tmp_path):
    deploy, weights = tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel"
    deploy.write_text(GRAY)
    caffe.Net(str(deploy), caffe.TEST).save(str(weights))
    done = run_tool(deploy, weights, "--mean", "128", "--out", tmp_path / "tool.onnx")
    assert done.returncode == 0, done.stderr
    export_onnx(deploy, weights, tmp_path / "net.onnx", [128.0])
    for name in ("tool.onnx", "net.onnx"):
        told = {entry.key: entry.value for entry in onnx.load(tmp_path / name).metadata_props}
        assert (told["channel_order"], told["mean_gray"]) == ("gray", "128.0000") and "mean_file" not in told


def _other_lrn(model):
    node = next(node for node in model.graph.node if node.name == "norm1")
    next(attribute for attribute in node.attribute if attribute.name == "alpha").f *= 1.5


def _other_bias(model):
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "score_O:bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32([0, 8e-5]), bias.name))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_lrn, "blob norm1: found a difference of .* between onnxruntime and Caffe; wanted at most 0.0001"),
        (_other_bias, "output prob_O: found a difference of .* between onnxruntime and Caffe; wanted at most 1e-05"),
    ],
)
def test_a_model_that_differs_from_caffe_is_not_written(tiny, tmp_path, monkeypatch, spoil, message):
    deploy, weights, _ = tiny

    def spoilt(*arguments):
        model = to_onnx(*arguments)
        spoil(model)
        return model

    monkeypatch.setattr(export, "to_onnx", spoilt)
    with pytest.raises(ValueError, match=f"deploy.prototxt: {message}"):
        export_onnx(deploy, weights, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_takes_one_picture_only_is_not_written(tiny, tmp_path):
    deploy, weights, _ = tiny
    net = load_net(deploy, weights)
    fixed = to_onnx(net, deploy)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(ValueError, match="deploy.prototxt: found an ONNX model that does not run: .*Expected: 1"):
        largest_difference(fixed, net, deploy)


def test_a_net_without_statistics_is_refused_since_caffe_itself_gives_no_numbers(mini, tmp_path):
    deploy = mini / "resnet50_all-in-one_finetune" / "deploy.prototxt"
    caffe.set_random_seed(0)
    caffe.Net(str(deploy), caffe.TEST).save(str(tmp_path / "net.caffemodel"))
    with pytest.raises(ValueError, match="found values that are not finite, of Caffe itself"):
        export_onnx(deploy, tmp_path / "net.caffemodel", tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


PYTHON = 'layer {{ name: "mine" type: "Python" bottom: "data" top: "p" python_param {{ module: "{}" layer: "{}" }} }}\n'


@pytest.mark.parametrize(("module", "layer"), [("mindpics.layers", "TraitLoss"), ("of_a_stranger", "Anything")])
def test_a_net_with_a_python_layer_is_refused_with_its_name(tiny, tmp_path, module, layer):
    deploy, weights, _ = tiny
    other = tmp_path / "deploy.prototxt"
    other.write_text(deploy.read_text() + PYTHON.format(module, layer))
    with pytest.raises(ValueError, match=f"^{other}: layer mine: found type Python; wanted one of Input, BatchNorm, "):
        export_onnx(other, weights, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == [other]


def test_the_tool_refuses_in_one_line(tiny, tmp_path):
    train_val = tiny[0].with_name("train_val.prototxt")
    done = run_tool(train_val, tiny[1], "--out", tmp_path / "net.onnx")
    assert done.returncode == 1
    assert done.stderr.startswith(f"export_onnx: {train_val}: layer data: found type Data; wanted one of Input, ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mean", "options", "message"),
    [
        ((), {"with_mean": True}, "found with_mean=True and no mean; wanted one"),
        ((), {"scale": 0.5}, "found scale 0.5 and no mean; wanted one, 0 where nothing is subtracted"),
        ((1, 2, 3), {"size": 40}, "found pictures of 3x40x40; wanted 3 channels and at least the net's input, 3x67x67"),
        (
            ["nowhere.npy"],
            {},
            "nowhere.npy: found no such file; wanted a mean: a binaryproto, a .npy, or three numbers",
        ),
    ],
)
def test_a_mean_that_does_not_fit_is_refused(tiny, tmp_path, mean, options, message):
    with pytest.raises(ValueError, match=message):
        export_onnx(*tiny[:2], tmp_path / "net.onnx", mean, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("base_lr: 1 max_iter: 2", "found a solver; wanted a net"), ("layer {", "Expected"), (None, "no such file")],
)
def test_what_is_no_net_is_refused(tmp_path, text, message):
    if text:
        (tmp_path / "deploy.prototxt").write_text(text)
    with pytest.raises(ValueError, match=f"deploy.prototxt.*{message}"):
        export_onnx(tmp_path / "deploy.prototxt", "net.caffemodel", tmp_path / "net.onnx")


def test_two_numbers_are_no_mean(tmp_path):
    done = run_tool("deploy.prototxt", "net.caffemodel", "--out", tmp_path / "net.onnx", "--mean", "1", "2")
    assert (done.returncode, done.stderr) == (
        1,
        "export_onnx: --mean: found 2 values; wanted a file, or a number a channel\n",
    )


def test_without_the_extra_one_line_says_what_to_install(tiny, tmp_path):
    done = run_tool(*tiny[:2], "--out", tmp_path / "net.onnx", before="sys.modules['onnxruntime'] = None")
    assert done.returncode == 1
    assert done.stderr.startswith("export_onnx: onnx: found no module (import of onnxruntime halted")
    assert done.stderr.endswith("; wanted: pip install 'onnx<1.23' onnxruntime\n")
