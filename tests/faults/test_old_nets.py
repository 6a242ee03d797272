"""Strangers' nets in every form (new, V1, V0), opened by every tool: what the form hides, the upgraded net shows."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from old_nets import FORMS, in_form, save_weights, write_net, write_weights
from PIL import Image
from small_job import make_crawl

from mindpics.caffe_files.blobs import read_weights
from mindpics.caffe_files.messages import write_message
from mindpics.inference.feature_net import FeatureNet
from mindpics.jobs.fork_first import in_fork
from mindpics.nets.whole import deploy
from mindpics.training.train import solve

TOOLS = Path(__file__).resolve().parents[2] / "tools"
KEPT = "a thesis"
CROP = 32


def writing_net(form, victim):
    """Return a deploy net in a form, with an HDF5Output layer that would write over the file `victim`."""
    net = caffe_pb2.NetParameter()
    net.layer.add(name="data", type="Input", top=["data"], input_param={"shape": [{"dim": [1, 3, CROP, CROP]}]})
    net.layer.add(name="fc7", type="InnerProduct", bottom=["data"], top=["fc7"], inner_product_param={"num_output": 3})
    net.layer.add(name="out", type="HDF5Output", bottom=["fc7", "data"], hdf5_output_param={"file_name": str(victim)})
    return in_form(net, form)


@pytest.fixture
def strangers(pictures, tmp_path, monkeypatch):
    """A folder with what each tool needs beside a net."""
    (tmp_path / "album").mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "album/a.png")
    (tmp_path / "album/list.csv").write_text("id,image\na,a.png\n")
    (tmp_path / "victim").write_text(KEPT)
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "run" solver_mode: CPU'
    )
    shutil.copy(pictures / "mean.binaryproto", tmp_path)
    write_message(writing_net("new", tmp_path / "none"), tmp_path / "plain.prototxt")
    plain = caffe_pb2.NetParameter(layer=writing_net("new", "").layer[:2])
    write_message(plain, tmp_path / "plain.prototxt")
    write_weights(tmp_path / "plain.prototxt", tmp_path, "new")
    monkeypatch.chdir(tmp_path)
    return tmp_path


MEAN = ("--mean", "mean.binaryproto")
NET = ("--net", "net.prototxt", "new.caffemodel")
CALLS = {
    "train_net": ("solver.prototxt", "--out", "run"),
    "lint_net": ("net.prototxt", "--weights", "new.caffemodel"),
    "extract_features": ("net.prototxt", "new.caffemodel", *MEAN, "--csv", "album/list.csv", "--out", "features"),
    "score_net": (*NET, *MEAN, "--lmdb", "LMDB", "--out", "scores.npz"),
    "profile_user": (*NET, *MEAN, "--pictures", "album", "--out", "profile"),
}


def call(monkeypatch, capfd, name, arguments):
    """Run a tool in this process; return (exit status, all that it said)."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOLS / name), run_name="__main__")
    said = "".join(capfd.readouterr())
    code = ended.value.code
    return (1, said + code) if isinstance(code, str) else (code, said)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CALLS)
def test_no_form_of_a_net_writes_a_file(strangers, pictures, monkeypatch, capfd, name, form):
    write_net(writing_net(form, strangers / "victim"), strangers / "net.prototxt")
    arguments = [str(pictures / "test_lmdb") if word == "LMDB" else word for word in CALLS[name]]
    code, said = call(monkeypatch, capfd, name, arguments)
    assert code == 1 and "layer out would write the file" in said and "victim" in said
    assert (strangers / "victim").read_text() == KEPT


@pytest.mark.parametrize("form", FORMS)
def test_the_page_opens_no_net_that_writes_a_file(strangers, small_run, monkeypatch, capfd, form):
    run = strangers / "copied"
    shutil.copytree(small_run, run)
    nets = list((run / "mindpics").glob("nets/prototxt/*/deploy.prototxt"))
    assert nets
    for path in nets:
        write_net(writing_net(form, strangers / "victim"), path)
    code, said = call(monkeypatch, capfd, "serve", [str(run), "--port", "0"])
    assert code == 1 and "layer out would write the file" in said
    assert (strangers / "victim").read_text() == KEPT


@pytest.mark.parametrize("form", FORMS)
def test_caffe_itself_would_have_written_it(strangers, form):
    """Or the tests above would pass for want of a layer."""
    write_net(writing_net(form, strangers / "victim"), strangers / "net.prototxt")
    in_fork(lambda: caffe.Net("net.prototxt", caffe.TEST) and None)
    assert (strangers / "victim").read_bytes() != KEPT.encode()


@pytest.mark.parametrize("field", ["net_param", "train_net_param", "test_net_param"])
def test_a_net_inside_a_solver_is_linted(strangers, monkeypatch, capfd, field):
    solver = caffe_pb2.SolverParameter(base_lr=1, lr_policy="fixed", max_iter=1)
    given = getattr(solver, field)
    (given.add() if field == "test_net_param" else given).CopyFrom(writing_net("new", strangers / "victim"))
    write_message(solver, strangers / "solver.prototxt")
    code, said = call(monkeypatch, capfd, "lint_net", ["solver.prototxt"])
    assert code == 1 and "layer out would write the file" in said


def image_net(folder, form):
    """Write a train net that reads pictures from a list, and its solver; return the solver."""
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    (folder / "list.txt").write_text("".join(f"{folder}/{i}.png {i % 2}\n" for i in range(4)))
    net = caffe_pb2.NetParameter(name="net")
    net.layer.add(
        name="data",
        type="ImageData",
        top=["data", "label"],
        image_data_param={"source": str(folder / "list.txt"), "batch_size": 4},
    )
    net.layer.add(
        name="conv",
        type="Convolution",
        bottom=["data"],
        top=["conv"],
        convolution_param={"num_output": 2, "kernel_size": [3], "pad": [1], "weight_filler": {"type": "xavier"}},
        param=[{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}],
    )
    net.layer.add(
        name="fc",
        type="InnerProduct",
        bottom=["conv"],
        top=["fc"],
        inner_product_param={"num_output": 2, "weight_filler": {"type": "xavier"}},
    )
    net.layer.add(name="loss", type="SoftmaxWithLoss", bottom=["fc", "label"], top=["loss"])
    write_net(in_form(net, form), folder / "net.prototxt")
    solver = caffe_pb2.SolverParameter(
        net=str(folder / "net.prototxt"), base_lr=0.001, momentum=0.9, lr_policy="fixed", max_iter=3, random_seed=1
    )
    solver.solver_type = solver.NESTEROV
    write_message(solver, folder / "solver.prototxt")
    return folder / "solver.prototxt"


@pytest.mark.parametrize("form", FORMS)
def test_a_net_of_each_form_is_trained_as_caffe_train_does(tmp_path, form):
    """Its old solver_type included; Caffe's own solver reads the same files."""
    solver = image_net(tmp_path, form)
    history = solve(solver, tmp_path / "run", progress=False)
    caffe.set_mode_cpu()
    own = caffe.get_solver(str(solver))
    own.step(3)
    trained = read_weights(history.caffemodel)
    assert set(trained) == {"conv", "fc"}
    for name, blobs in trained.items():
        for blob, theirs in zip(blobs, own.net.params[name], strict=True):
            np.testing.assert_array_equal(blob, theirs.data)


@pytest.mark.parametrize("form", [*FORMS, "HDF5"])
def test_fine_tuning_from_weights_of_each_form_is_the_same_to_the_bit(tmp_path, form):
    (tmp_path / form).mkdir()
    solver = image_net(tmp_path, "new")
    trained = []
    for kind in ("new", form):
        net = caffe_pb2.NetParameter()
        net.layer.add(name="data", type="Input", top=["data"], input_param={"shape": [{"dim": [1, 3, 12, 12]}]})
        net.layer.add(
            name="conv",
            type="Convolution",
            bottom=["data"],
            top=["conv"],
            convolution_param={"num_output": 2, "kernel_size": [3], "pad": [1]},
        )
        write_message(net, tmp_path / "deploy.prototxt")
        weights = write_weights(tmp_path / "deploy.prototxt", tmp_path / form, kind)
        history = solve(solver, tmp_path / f"run_{len(trained)}", weights, progress=False)
        trained.append(read_weights(history.caffemodel))
    for name, blobs in trained[0].items():
        for blob, other in zip(blobs, trained[1][name], strict=True):
            np.testing.assert_array_equal(blob, other)


@pytest.mark.parametrize("form", [*FORMS, "HDF5"])
def test_features_of_weights_of_each_form_are_the_same_to_the_bit(tmp_path, form):
    path = tmp_path / "deploy.prototxt"
    write_message(deploy("alexnet", width=0.05, crop=67), path)
    pictures = np.random.default_rng(0).normal(size=(2, 3, 67, 67)).astype(np.float32)
    known, found = (FeatureNet(path, write_weights(path, tmp_path, kind)).run(pictures) for kind in ("new", form))
    np.testing.assert_array_equal(found, known)


def test_the_main_job_fine_tunes_from_old_weights_and_from_hdf5_to_the_same_bits(tmp_path):
    folder = tmp_path / "job"
    make_crawl(folder)
    name, trained = "alexnet_all-in-one_finetune", {}
    net = caffe.Net(str(folder / "weights/alexnet.prototxt"), str(folder / "weights/alexnet.caffemodel"), caffe.TEST)
    for form in ("new", "V0", "HDF5"):
        weights = save_weights(net, folder / "weights", form).relative_to(folder)
        given = ["--posts", "crawl/posts.jsonl", "--weights-alexnet", weights, "--weights-resnet50", "weights/none"]
        command = [sys.executable, "tools/run_experiment", "--scale", "tiny", *given, "--out", "run"]
        row = ["--row", "alexnet/all-in-one/finetune"]
        done = subprocess.run([*command, *row], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        run = folder / "run/mindpics" / name
        facts = json.loads((run / name / "run.json").read_text())
        assert facts["weights"]["path"] == str(weights) and facts["weights_fit"].startswith("12 layers take weights")
        trained[form] = (run / name / "final.caffemodel").read_bytes(), (run / "scores.npz").read_bytes()
    assert len(trained) == 3 and len(set(trained.values())) == 1
