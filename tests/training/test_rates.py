"""train.csv and test.csv beside Caffe's own log of the same run: rates, losses, outputs of any shape and name."""

import csv

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from mindpics.api import load_run
from mindpics.caffe_files.log_lines import Log
from mindpics.training.divergence import DivergedError
from mindpics.training.rates import steps_before
from mindpics.training.train import solve

FED = """layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 6 } shape { dim: 4 } data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3
  weight_filler { type: "gaussian" std: 0.1 } } }
"""
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }\n'
SOLVER = (
    'net: "net.prototxt" base_lr: 0.01 display: 1 max_iter: 8 random_seed: 1 snapshot_prefix: "s" solver_mode: CPU\n'
)
POLICIES = [
    'lr_policy: "fixed"',
    'lr_policy: "step" gamma: 0.5 stepsize: 3',
    'lr_policy: "exp" gamma: 0.9',
    'lr_policy: "inv" gamma: 0.1 power: 0.75',
    'lr_policy: "multistep" gamma: 0.5 stepvalue: 2 stepvalue: 2 stepvalue: 6',
    'lr_policy: "poly" power: 2',
    'lr_policy: "sigmoid" gamma: 1 stepsize: 4',
]


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Return a function: a net and a solver -> (train.csv, test.csv, what Caffe's log says) of a run."""
    monkeypatch.chdir(tmp_path)

    def run(net, solver, **options):
        (tmp_path / "net.prototxt").write_text(net)
        (tmp_path / "solver.prototxt").write_text(solver)
        solve("solver.prototxt", "run", progress=False, **options)
        log = Log()
        for line in (tmp_path / "run/caffe.log").read_text().splitlines():
            log.read(line)
        return read("train"), read("test"), log

    def read(name):
        with open(tmp_path / f"run/{name}.csv", encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    return run


def assert_as_logged(rows, logged):
    """Each value of a log, to the six digits it has, stands in the rows."""
    by_iteration = {int(row["iteration"]): row for row in rows}
    assert logged
    for (name, iteration), value in logged.items():
        assert float(by_iteration[iteration][name]) == pytest.approx(value, rel=1e-5, abs=1e-12), (name, iteration)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_rate_is_that_of_the_log(train, policy):
    rows, _, log = train(FED + LOSS, SOLVER + policy)
    assert len({name for name, _ in log.train}) == 2 and len(rows) == 8
    assert_as_logged(rows, log.train)


def test_iter_size_s_loss_is_the_mean_over_its_passes(train):
    rows, _, log = train(
        FED + LOSS.replace('top: "loss"', 'top: "softmax loss"'), SOLVER + 'lr_policy: "fixed" iter_size: 3'
    )
    assert_as_logged(rows, log.train)
    assert float(rows[0]["loss"]) != pytest.approx(float(rows[0]["softmax loss"]), rel=1e-4)


AUX = LOSS.replace('name: "loss"', 'name: "aux"').replace('top: "loss"', 'top: "aux" loss_weight: 0.5')


@pytest.mark.parametrize(
    ("net", "more"),
    [
        (FED + LOSS + AUX, ""),
        (FED + LOSS.replace('top: "loss"', 'top: "loss" loss_weight: 2'), ""),
        (FED + LOSS, "iter_size: 3"),
    ],
    ids=["of several losses", "with a loss_weight", "of the last pass"],
)
def test_an_output_loss_that_is_another_figure_than_what_is_minimised_is_kept_beside_it(train, net, more):
    rows, tested, log = train(net, SOLVER + f'lr_policy: "fixed" test_iter: 2 test_interval: 4 {more}')
    assert {("loss", 0), ("total_loss", 0)} < log.train.keys()
    assert_as_logged(rows, log.train)
    assert float(rows[0]["loss"]) != pytest.approx(float(rows[0]["total_loss"]), rel=1e-4)
    history = load_run("run")
    losses, _ = history.plot().axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in losses.lines}
    assert drawn["train loss"] == [float(row["loss"]) for row in rows]
    assert drawn["test loss"] == [float(row["loss"]) for row in tested] and "train total_loss" in drawn


def test_an_output_loss_that_is_all_that_is_minimised_is_one_column(train):
    unweighed = AUX.replace("0.5", "0")
    rows, _, _ = train(FED + LOSS + unweighed, SOLVER + 'lr_policy: "fixed"')
    assert list(rows[0]) == ["iteration", "lr", "loss", "aux"]


def test_a_run_that_wrote_what_is_minimised_as_loss_goes_on_with_it_as_total_loss(train, tmp_path):
    rows, _, _ = train(FED + LOSS + AUX, SOLVER + 'lr_policy: "fixed"', iterations=4)
    before = [(row["iteration"], row["lr"], row["total_loss"], row["aux"]) for row in rows]
    lines = ["iteration,lr,loss,aux", *(",".join(row) for row in before), ""]
    (tmp_path / "run/train.csv").write_text("\n".join(lines))
    rows, _, log = train(FED + LOSS + AUX, SOLVER + 'lr_policy: "fixed"', resume=True)
    assert [(row["iteration"], row["lr"], row["total_loss"], row["aux"]) for row in rows[:4]] == before
    assert [row["loss"] != "" for row in rows] == [False] * 4 + [True] * 4
    assert_as_logged(rows[4:], {key: value for key, value in log.train.items() if key[1] >= 4})
    rows, _, _ = train(FED + LOSS, SOLVER + 'lr_policy: "fixed"', resume=True, iterations=9)
    assert rows[8]["total_loss"] == rows[8]["loss"] and rows[8]["aux"] == ""  # of the net without


def test_losses_of_any_shape_name_and_weight_are_those_of_the_log(train):
    net = FED + (
        'layer { name: "sum" type: "Reduction" bottom: "fc" top: "each picture" loss_weight: 0.5 '
        "reduction_param { operation: SUMSQ axis: 1 } }\n"
        'layer { name: "l1" type: "EuclideanLoss" bottom: "data" bottom: "data" top: "zero" loss_weight: 2 }\n'
        'layer { name: "quiet" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" }\n'
        'layer { name: "as quiet" type: "SoftmaxWithLoss" bottom: "data" bottom: "label" }\n'
    )
    rows, tested, log = train(net, SOLVER + 'lr_policy: "fixed" test_iter: 2 test_iter: 3 test_interval: 4')
    assert {"each picture", "each picture[1]", "each picture[3]", "zero"} < set(rows[0])
    assert_as_logged(rows, log.train)
    assert_as_logged(tested, log.test)
    assert {"zero#1", "each picture[3]#1"} < set(tested[0])
    assert [row["iteration"] for row in tested] == ["0", "4", "8"]


def test_a_vector_output_of_a_test_net_is_averaged_value_by_value_after_the_last_snapshot(train, tmp_path):
    net = (
        FED
        + LOSS
        + (
            'layer { name: "right" type: "Accuracy" bottom: "fc" bottom: "label" top: "right" top: "each class" '
            "include { phase: TEST } }\n"
        )
    )
    _, tested, log = train(net, SOLVER + 'lr_policy: "fixed" test_iter: 2 test_interval: 4')
    assert {"right", "each class", "each class[2]"} < set(tested[-1])
    assert_as_logged(tested, log.test)
    assert (tmp_path / "run/snapshots/net_iter_8.solverstate").is_file()


FAR = """layer { name: "far" type: "DummyData" top: "far" dummy_data_param { shape { dim: 4 dim: 2 }
  data_filler { type: "constant" value: 30 } } }
layer { name: "wide" type: "Concat" bottom: "fc" bottom: "far" top: "wide" }
"""


MAP = """layer { name: "twice" type: "Power" bottom: "wide" top: "twice" power_param { scale: 2 } }
layer { name: "map" type: "Reshape" bottom: "twice" top: "map"
  reshape_param { shape { dim: 1 dim: 5 dim: 4 dim: 1 } } }
layer { name: "of map" type: "DummyData" top: "of map" dummy_data_param { shape { dim: 1 dim: 1 dim: 4 dim: 1 }
  data_filler { type: "constant" value: 0 } } }
layer { name: "unread" type: "Silence" bottom: "label" }
"""


@pytest.mark.parametrize(
    "loss",
    [
        'layer { name: "l" type: "EuclideanLoss" bottom: "wide" bottom: "zero" top: "l" }',
        'layer { name: "l" type: "SoftmaxWithLoss" bottom: "wide" bottom: "label" top: "l" '
        "loss_param { normalization: NONE } }",
        MAP + 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "map" bottom: "of map" top: "l" '
        "loss_param { normalize: false } }",
    ],
    ids=["EuclideanLoss", "a sum of SoftmaxWithLoss", "a sum over a picture's positions, as of FCN"],
)
def test_a_loss_above_87_is_no_divergence(train, loss):
    zero = FAR[: FAR.index('layer { name: "wide"')].replace('"far"', '"zero"').replace("dim: 2", "dim: 5")
    silent = 'layer { name: "s" type: "Silence" bottom: "zero" }\n' if "Softmax" in loss else ""
    rows, _, log = train(
        FED + FAR + zero.replace("value: 30", "value: 0") + silent + loss, SOLVER + 'lr_policy: "fixed"'
    )
    assert float(rows[0]["l"]) > 100
    assert_as_logged(rows, log.train)


def test_a_strangers_head_named_like_ours_is_not_watched(train):
    rows, _, _ = train((FED + LOSS).replace('"fc"', '"score_O"'), SOLVER + 'lr_policy: "fixed"')
    assert len(rows) == 8


CERTAIN = FAR + 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "wide" bottom: "label" top: "l" }'


def test_a_mean_of_softmax_that_stays_at_its_clip_is_a_divergence(train):
    net = FED + CERTAIN.replace("value: 30", "value: 3000")
    with pytest.raises(DivergedError, match="iteration 99: l is 87.34"):
        train(net, SOLVER + 'lr_policy: "fixed"', iterations=200)
    rows, _, _ = train(net, SOLVER + 'lr_policy: "fixed"', iterations=101, patience=0, overwrite=True)
    assert len(rows) == 101


def test_a_batch_that_is_surely_wrong_ends_no_training(train):
    """As Caffe goes on; here an update adds 70 to the score of the right class, and 100 is that of a wrong one."""
    net = FED.replace('type: "gaussian" std: 1', 'type: "constant" value: 1')
    net += CERTAIN.replace("value: 30", "value: 100")
    rows, _, log = train(net, SOLVER.replace("0.01", "10") + 'lr_policy: "fixed"')
    assert_as_logged(rows, log.train)
    assert [round(float(row["l"])) for row in rows[::7]] == [87, 0]


def test_a_schedule_that_was_edited_before_resuming_is_told(train, tmp_path, capfd):
    policy = 'lr_policy: "multistep" gamma: 0.1 stepvalue: 2 stepvalue: 100'
    train(FED + LOSS, SOLVER + policy, iterations=4)
    capfd.readouterr()
    solve("solver.prototxt", "run", resume=True, iterations=6)
    assert "asks for" not in capfd.readouterr().err
    (tmp_path / "solver.prototxt").write_text(SOLVER + policy.replace("stepvalue: 2", "stepvalue: 50"))
    solve("solver.prototxt", "run", resume=True)
    said = capfd.readouterr().err
    assert "stepvalue [50, 100] asks for 0 steps of the rate before iteration 6, but the snapshot has taken 1" in said
    with open(tmp_path / "run/train.csv", encoding="utf-8") as stream:
        assert float(list(csv.DictReader(stream))[-1]["lr"]) == pytest.approx(0.001)


@pytest.mark.parametrize(("values", "steps"), [([], 0), ([2, 2, 6], 2), ([3], 1), ([4], 0), ([0, 1, 2], 3)])
def test_steps_before_an_iteration_are_those_of_a_training_without_a_break(values, steps):
    assert steps_before(caffe_pb2.SolverParameter(lr_policy="multistep", stepvalue=values), 4) == steps


@pytest.mark.parametrize("kind", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_layers_that_share_their_weights_are_gone_on_with_by_each_type_of_solver(train, tmp_path, kind):
    shared = 'param { name: "w" } param { name: "b" } inner_product_param'
    net = (
        FED.replace("inner_product_param", shared)
        + LOSS
        + (
            f'layer {{ name: "fc2" type: "InnerProduct" bottom: "data" top: "fc2" {shared} {{ num_output: 3 }} }}\n'
            'layer { name: "fc3" type: "InnerProduct" bottom: "fc2" top: "fc3" inner_product_param { num_output: 3 '
            'weight_filler { type: "gaussian" std: 0.1 } } }\n' + LOSS.replace('"loss"', '"loss2"').replace("fc", "fc3")
        )
    )
    solver = SOLVER + f'type: "{kind}" lr_policy: "fixed"'
    train(net, solver, iterations=8)
    whole = caffe.Net("run/net.prototxt", "run/final.caffemodel", caffe.TRAIN).params["fc3"][0].data.copy()
    assert np.isfinite(whole).all() and whole.any()
    solve("solver.prototxt", "run", progress=False, resume=True, iterations=10)
    assert (tmp_path / "run/snapshots/net_iter_10.solverstate").is_file()
    other = "Adam" if kind not in ("Adam", "AdaDelta") else "SGD"
    (tmp_path / "solver.prototxt").write_text(solver.replace(kind, other))
    with pytest.raises(ValueError, match="that of another type of solver"):
        solve("solver.prototxt", "run", progress=False, resume=True, iterations=12)
