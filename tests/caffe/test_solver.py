"""Solvers as pycaffe and the caffe command of BVLC Caffe 1.0 run them."""

import re
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import make_net, write_solver

CAFFE = str(Path(sys.executable).with_name("caffe"))
NET = """
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 1 dim: 2 } data_filler { type: "constant" value: 3 }
  shape { dim: 1 dim: 1 } data_filler { type: "constant" value: 0 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 1 bias_term: false weight_filler { type: "constant" value: 1 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


@pytest.fixture
def pretrained(tmp_path):
    """A caffemodel whose fc holds 5 and 7."""
    (tmp_path / "pretrained").mkdir()
    net = make_net(tmp_path / "pretrained", NET)
    net.params["fc"][0].data[...] = [[5, 7]]
    path = str(tmp_path / "pretrained" / "pretrained.caffemodel")
    net.save(path)
    return path


def test_weights_field(tmp_path, pretrained):
    path = write_solver(tmp_path, NET, weights=[pretrained], test_iter=[1], test_interval=10)
    solver = caffe.get_solver(path)
    for net in (solver.net, solver.test_nets[0]):
        assert net.params["fc"][0].data.tolist() == [[5, 7]]
    fields = caffe_pb2.SolverParameter.DESCRIPTOR.fields_by_name
    assert (fields["weights"].number, fields["layer_wise_reduce"].number) == (42, 41)


def test_train_command_takes_weights(tmp_path, pretrained):
    path = write_solver(tmp_path, NET, base_lr=0, max_iter=1, snapshot_after_train=True)
    subprocess.run([CAFFE, "train", f"-solver={path}", f"-weights={pretrained}"], check=True, timeout=60)
    saved = caffe.Net(str(tmp_path / "net.prototxt"), str(tmp_path / "solver_iter_1.caffemodel"), caffe.TEST)
    assert saved.params["fc"][0].data.tolist() == [[5, 7]]


@pytest.mark.parametrize("prefix", [None, "folder"])
def test_snapshot_prefix_is_completed(tmp_path, prefix):
    folder = tmp_path / "folder" if prefix else tmp_path
    folder.mkdir(exist_ok=True)
    given = {"snapshot_prefix": str(folder)} if prefix else {}
    caffe.SGDSolver(write_solver(tmp_path, NET, **given)).snapshot()
    assert sorted(p.name for p in folder.glob("solver_iter_0.*")) == [
        "solver_iter_0.caffemodel",
        "solver_iter_0.solverstate",
    ]


def test_snapshot_and_restore_go_on_as_if_never_stopped(tmp_path):
    path = write_solver(tmp_path, NET, base_lr=0.001, momentum=0.9)
    straight, stopped = caffe.SGDSolver(path), caffe.SGDSolver(path)
    straight.step(6)
    stopped.step(3)
    stopped.snapshot()
    resumed = caffe.SGDSolver(Path(path))
    resumed.restore(tmp_path / "solver_iter_3.solverstate")
    resumed.step(3)
    assert resumed.iter == 6
    np.testing.assert_array_equal(resumed.net.params["fc"][0].data, straight.net.params["fc"][0].data)


def test_log_gives_the_rate_and_the_net(tmp_path):
    path = write_solver(tmp_path, NET, base_lr=0, max_iter=4, display=2)
    done = subprocess.run([CAFFE, "train", f"-solver={path}"], check=True, capture_output=True, text=True)
    rates = re.findall(r"Iteration (\d+) \(\S+ iter/s, \S+s/2 iters\), loss = 18\n", done.stderr)
    assert rates[:2] == ["0", "2"]
    for line in (
        "Creating Layer fc",
        "fc <- data",
        "Top shape: 1 1 (1)",
        "Memory required for data: ",
        "Network initialization done.",
    ):
        assert line in done.stderr


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"lr_policy": "step", "stepsize": 2, "gamma": 0.1}, [1, 1, 0.1, 0.1, 0.01]),
        ({"lr_policy": "multistep", "stepvalue": [1, 3], "gamma": 0.5}, [1, 0.5, 0.5, 0.25, 0.25]),
        ({"lr_policy": "poly", "max_iter": 4, "power": 1}, [1, 0.75, 0.5, 0.25, 0]),
    ],
)
def test_lr_and_param(tmp_path, policy, expected):
    solver = caffe.SGDSolver(write_solver(tmp_path, NET, weight_decay=0, **policy))
    found = []
    for _ in expected:
        found += [solver.lr]
        solver.step(1)
    assert found == pytest.approx(expected)
    assert solver.param.base_lr == 1
    assert solver.param.max_iter == policy.get("max_iter", 0)


def test_apply_update(tmp_path):
    solver = caffe.SGDSolver(write_solver(tmp_path, NET, base_lr=0.5))
    weights = solver.net.params["fc"][0]
    weights.diff[...] = [[2, 4]]
    solver.apply_update()
    assert weights.data.tolist() == [[0, -1]]


def test_share_weights(tmp_path):
    solver = caffe.SGDSolver(write_solver(tmp_path, NET))
    other = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    solver.share_weights(other)
    solver.net.params["fc"][0].data[...] = 9
    assert other.params["fc"][0].data.tolist() == [[9, 9]]


def test_callbacks(tmp_path):
    solver, calls = caffe.SGDSolver(write_solver(tmp_path, NET, base_lr=0)), []
    solver.add_callback(lambda: calls.append("start"), lambda: calls.append("gradients ready"))
    for when in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(solver.net, when)(lambda layer, when=when: calls.append((when, layer)))
    solver.step(1)
    layers = range(len(solver.net.layers))
    assert calls == [
        "start",
        *((f"{when}_forward", i) for i in layers for when in ("before", "after")),
        *((f"{when}_backward", i) for i in reversed(layers) for when in ("before", "after")),
        "gradients ready",
    ]


def test_callback_error_ends_the_step(tmp_path):
    solver = caffe.SGDSolver(write_solver(tmp_path, NET, base_lr=0))
    solver.add_callback(lambda: None, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        solver.step(3)
    assert solver.iter == 0
