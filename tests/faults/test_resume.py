"""A training that was interrupted sees what an uninterrupted one sees, and ends in the same weights."""

import csv
import itertools
import re
from types import SimpleNamespace

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from mindpics.caffe_files.blobs import read_weights
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.caffe_files.snapshots import Snapshots, check
from mindpics.files.findings import errors
from mindpics.files.json_files import read_json
from mindpics.results.verify_run import check_run
from mindpics.training import solver_run
from mindpics.training.history import load_run
from mindpics.training.resume import batches_read
from mindpics.training.train import solve

# 7 pictures a batch of the 400: the LMDB's end falls inside a batch
NET = """
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: TRAIN }}
  data_param {{ source: "{root}/train_lmdb" batch_size: 7 backend: LMDB }}
  transform_param {{ crop_size: 32 mirror: true mean_file: "{root}/mean.binaryproto" }} }}
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: TEST }}
  data_param {{ source: "{root}/test_lmdb" batch_size: 9 backend: LMDB }}
  transform_param {{ crop_size: 32 mean_file: "{root}/mean.binaryproto" }} }}
layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool"
  pooling_param {{ pool: AVE kernel_size: 4 stride: 4 }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param {{ num_output: 24 weight_filler {{ type: "gaussian" std: 0.001 }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "fc" top: "fc" }}
layer {{ name: "drop" type: "Dropout" bottom: "fc" top: "fc" }}
layer {{ name: "score" type: "InnerProduct" bottom: "fc" top: "score"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "gaussian" std: 0.01 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }}
"""


@pytest.fixture
def job(pictures, tmp_path):
    """Return a function: solver fields -> path of a solver of a small net with dropout, crops and mirrors."""

    def make(**fields):
        net = text_format.Parse(NET.format(root=pictures), caffe_pb2.NetParameter())
        write_message(net, tmp_path / "net.prototxt")
        message = caffe_pb2.SolverParameter(
            net=str(tmp_path / "net.prototxt"),
            base_lr=0.0002,
            momentum=0.9,
            lr_policy="fixed",
            max_iter=90,
            test_iter=[4],
            test_interval=20,
            snapshot=1000,
            random_seed=3,
            display=50,
        )
        for name, value in fields.items():
            setattr(message, name, value)
        write_message(message, tmp_path / "solver.prototxt")
        return tmp_path / "solver.prototxt"

    return make


def rows(folder, name):
    with open(folder / f"{name}.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    "fields",
    [{}, {"iter_size": 3}, {"test_initialization": False}, {"type": "Adam"}],
    ids=["plain", "iter_size", "no_first_test", "adam"],
)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(job, tmp_path, fields):
    """Stopped after 1, 37, 60 iterations: inside and at the end of an epoch, at a test and between two."""
    solver = job(**fields)
    whole = solve(solver, tmp_path / "whole", progress=False)
    for stop in (1, 37, 60, 90):
        parts = solve(solver, tmp_path / "parts", iterations=stop, resume=True, progress=False)
    one, other = read_weights(whole.caffemodel), read_weights(parts.caffemodel)
    for name, blobs in one.items():
        for ours, theirs in zip(blobs, other[name], strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
    assert rows(tmp_path / "whole", "train") == rows(tmp_path / "parts", "train")
    # each stop is an end, with a last test of its own; the tests of the whole run are all there
    assert [row for row in rows(tmp_path / "parts", "test") if row in rows(tmp_path / "whole", "test")] == rows(
        tmp_path / "whole", "test"
    )


def test_the_same_pictures_are_seen(job, tmp_path):
    """Labels and pixels of each batch, by the net itself; and without the patch they would be others."""

    def batches(net, count):
        found = []
        for _ in range(count):
            net.forward()
            found.append((net.blobs["label"].data.copy(), net.blobs["data"].data.copy()))
        return found

    def fresh(net):
        caffe.set_random_seed(5)
        return caffe.Net(str(net), caffe.TRAIN)

    net = read_message(job(), caffe_pb2.SolverParameter()).net
    undisturbed = batches(fresh(net), 130)  # 130 x 7 pictures of 400: twice around
    for skip in (0, 1, 57, 58, 120):
        resumed = fresh(net)
        resumed.forward()  # what was read before does not matter
        resumed.skip_batches(skip)
        for wanted, found in zip(undisturbed[skip:], batches(resumed, 130 - skip), strict=True):
            for one, other in zip(wanted, found, strict=True):
                np.testing.assert_array_equal(one, other)
    assert not np.array_equal(undisturbed[57][1], undisturbed[0][1])


@pytest.mark.parametrize(
    ("iteration", "first", "wanted"),
    [
        (0, True, (0, [0])),
        (1, True, (2, [5])),
        (20, True, (40, [5])),
        (21, True, (42, [10])),
        (0, False, (0, [0])),
        (1, False, (2, [0])),
        (20, False, (40, [0])),
        (21, False, (42, [5])),
    ],
)
def test_batches_read_before_an_iteration(iteration, first, wanted):
    message = caffe_pb2.SolverParameter(test_iter=[5], test_interval=20, iter_size=2, test_initialization=first)
    assert batches_read(message, iteration) == wanted


def test_the_seconds_of_a_run_are_those_of_all_its_processes_up_to_the_snapshots_that_they_left(
    job, tmp_path, monkeypatch
):
    """A clock that goes on by a second a look: there is one as a process begins, at each snapshot and at the end."""
    monkeypatch.setattr(solver_run, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    solver, run = job(snapshot=2), tmp_path / "run"

    def seconds(iterations):
        solve(solver, run, iterations=iterations, resume=True, progress=False)
        return read_json(run / "run.json")["seconds"]

    def kill_before(iteration):
        for path in (run / "snapshots").glob(f"net_iter_{iteration}.*"):
            path.unlink()

    assert seconds(5) == 4  # snapshots at 2, 4 and 5
    assert seconds(10) == 4 + 5  # and at 6, 8, 10 and, the last, 10 again
    kill_before(10)
    assert seconds(10) == 4 + 2 + 3
    (run / "snapshots/seconds.json").unlink()  # as a run of an earlier version
    assert seconds(10) is None
    kill_before(10)
    assert seconds(10) is None
    solve(solver, run, iterations=2, overwrite=True, progress=False)
    assert read_json(run / "run.json")["seconds"] == 3


SQUARE = """
layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" include {{ phase: {phase} }} {param}
  inner_product_param {{ num_output: 24 bias_term: false weight_filler {{ type: "xavier" }} }} }}
"""


def test_weights_are_shared_as_the_layers_of_the_training_share_them(job, tmp_path):
    """Layers of the tests have the same names, and weights of their own: the history has one array for the two."""
    solver = job(max_iter=3)
    net = read_message(tmp_path / "net.prototxt", caffe_pb2.NetParameter())
    squares = [
        SQUARE.format(name=name, bottom=bottom, phase=phase, param=param)
        for phase, param in (("TRAIN", 'param { name: "w" }'), ("TEST", ""))
        for name, bottom in (("a", "fc"), ("b", "a"))
    ]
    layers = [*net.layer[:-2], *text_format.Parse("".join(squares), caffe_pb2.NetParameter()).layer, *net.layer[-2:]]
    layers[-2].bottom[0] = "b"
    write_message(caffe_pb2.NetParameter(layer=layers), tmp_path / "net.prototxt")
    assert solve(solver, tmp_path / "run", progress=False).iteration == 3


def test_a_run_without_a_seed_keeps_the_one_it_drew(job, tmp_path):
    solver = job(random_seed=-1)
    run = tmp_path / "run"
    solve(solver, run, iterations=5, progress=False)
    drawn = read_message(run / "solver.prototxt", caffe_pb2.SolverParameter()).random_seed
    assert drawn >= 0
    solve(solver, run, iterations=10, resume=True, progress=False)
    assert read_message(run / "solver.prototxt", caffe_pb2.SolverParameter()).random_seed == drawn


def test_a_run_whose_outputs_have_changed_goes_on_with_a_column_each(job, tmp_path):
    """As Caffe goes on: a loss that is gone has no value from then on, a new one none before."""
    solver, run = job(), tmp_path / "run"
    path = read_message(solver, caffe_pb2.SolverParameter()).net
    net = read_message(path, caffe_pb2.NetParameter())
    for iterations, top in ((3, "loss_before"), (6, "loss_since")):
        net.layer[-1].top[:] = [top]
        write_message(net, path)
        history = solve(solver, run, iterations=iterations, resume=True, display=4)
    losses = [{name for name in row if name.startswith("loss_")} for row in history.train]
    assert losses == [{"loss_before"}] * 3 + [{"loss_since"}] * 3
    assert load_run(run).train == history.train
    assert not errors(check_run(run))


def test_what_is_not_restored_is_said(job, tmp_path, capfd):
    solver = job()
    solve(solver, tmp_path / "run", iterations=5, progress=False)
    (tmp_path / "run/snapshots/net_iter_5.random").unlink()
    capfd.readouterr()
    solve(solver, tmp_path / "run", iterations=6, resume=True)
    assert "not restored: dropout's random state: the snapshot has none" in capfd.readouterr().err


def test_a_python_layer_that_feeds_the_net_is_named_on_resuming(tmp_path, monkeypatch, capfd):
    """Where it stands in its data, it alone knows."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_feed.py").write_text(
        "import caffe\n"
        "class Feed(caffe.Layer):\n"
        "    def setup(self, bottom, top): top[0].reshape(2, 3)\n"
        "    def reshape(self, bottom, top): pass\n"
        "    def forward(self, bottom, top): top[0].data[...] = 1\n"
        "    def backward(self, top, propagate_down, bottom): pass\n"
    )
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "feed" type: "Python" top: "x" python_param { module: "own_feed" layer: "Feed" } }\n'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 3 } }\n'
        'layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "x" top: "loss" }\n'
    )
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 4 solver_mode: CPU snapshot_prefix: "s"'
    )
    solve("solver.prototxt", "run", iterations=2, progress=False, allow_python_layers=True)
    capfd.readouterr()
    solve("solver.prototxt", "run", iterations=4, resume=True, allow_python_layers=True)
    assert "not restored: the position of layer feed (Python)" in capfd.readouterr().err


@pytest.mark.parametrize(("kind", "is_fed"), [("LSTM", False), ("RNN", False), ("RNN", True)])
def test_what_a_recurrent_layer_carries_on_is_named_on_resuming(tmp_path, monkeypatch, capfd, kind, is_fed):
    """No snapshot of Caffe's has it; where the net itself feeds the first step, there is nothing to lose."""
    monkeypatch.chdir(tmp_path)
    fed = 'bottom: "first" top: "last"' if is_fed else ""
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "d" type: "DummyData" top: "x" top: "cont" top: "first" dummy_data_param { '
        "shape { dim: 2 dim: 3 dim: 4 } shape { dim: 2 dim: 3 } shape { dim: 1 dim: 3 dim: 4 } "
        "data_filler { value: 0.5 } data_filler { value: 1 } data_filler { value: 0.1 } } }\n"
        f'layer {{ name: "over time" type: "{kind}" bottom: "x" bottom: "cont" top: "h" {fed} recurrent_param {{ '
        f"expose_hidden: {str(is_fed).lower()} num_output: 4 "
        'weight_filler { type: "uniform" min: -0.5 max: 0.5 } } }\n'
        'layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "x" top: "loss" }\n'
    )
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 4 random_seed: 1 snapshot_prefix: "s"'
    )
    whole = solve("solver.prototxt", "whole", progress=False)
    solve("solver.prototxt", "run", iterations=2, progress=False)
    capfd.readouterr()
    resumed = solve("solver.prototxt", "run", iterations=4, resume=True)
    assert resumed.train[:2] == whole.train[:2] and (resumed.train == whole.train) == is_fed
    said = f"not restored: the state of layer over time ({kind})" in capfd.readouterr().err
    assert said != is_fed


def test_a_broken_random_state_is_refused():
    with pytest.raises(RuntimeError, match="not a state of Caffe's random generator"):
        caffe.set_random_state("1 2 three")
    caffe.set_random_state(caffe.get_random_state())


def test_each_iteration_has_the_rate_that_caffe_steps_with(job, tmp_path):
    """Caffe writes the rate of the iteration to come: the first of a step has the lower one."""
    solver = job(lr_policy="step", stepsize=3, gamma=0.1, base_lr=0.01, max_iter=8, display=1)
    solve(solver, tmp_path / "run", progress=False)
    told = re.findall(r"Iteration (\d+), lr = (\S+)", (tmp_path / "run/caffe.log").read_text())
    rates = {int(iteration): float(rate) for iteration, rate in told}
    ours = {int(row["iteration"]): float(row["lr"]) for row in rows(tmp_path / "run", "train")}
    assert ours == pytest.approx({i: 0.01 * 0.1 ** (i // 3) for i in range(8)}) and ours == pytest.approx(rates)


def test_weights_reach_layers_of_the_training_net_alone(job, tmp_path):
    solver = job(max_iter=1, base_lr=1e-9)
    text = (tmp_path / "net.prototxt").read_text()
    aux = """layer { name: "aux" type: "InnerProduct" bottom: "pool" top: "aux" include { phase: TRAIN }
      inner_product_param { num_output: 10 weight_filler { type: "constant" value: 0 } } }
    layer { name: "aux_loss" type: "SoftmaxWithLoss" bottom: "aux" bottom: "label" include { phase: TRAIN } }"""
    (tmp_path / "net.prototxt").write_text(text + aux)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    net.params["aux"][0].data[...] = 0.5
    net.save(str(tmp_path / "given.caffemodel"))
    history = solve(solver, tmp_path / "run", weights=tmp_path / "given.caffemodel", progress=False)
    np.testing.assert_allclose(read_weights(history.caffemodel)["aux"][0], 0.5, atol=1e-3)


@pytest.mark.parametrize("damaged", ["caffemodel", "solverstate"])
def test_a_snapshot_that_is_not_finite_is_none(job, tmp_path, damaged):
    solve(job(max_iter=3), tmp_path / "run", progress=False)
    state, model, _ = Snapshots(tmp_path / "run/snapshots").newest()
    read = {"caffemodel": caffe_pb2.NetParameter, "solverstate": caffe_pb2.SolverState}[damaged]
    path = {"caffemodel": model, "solverstate": state}[damaged]
    message = read.FromString(path.read_bytes())
    blob = next(layer for layer in message.layer if layer.blobs).blobs[0] if path == model else message.history[0]
    blob.data[0] = np.nan
    path.write_bytes(message.SerializeToString())
    with pytest.raises(ValueError, match=f"{path.name}: found values that are not finite"):
        check(state, model, 3)
