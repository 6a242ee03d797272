"""train_net's switches: a solver and its net under other readings."""

import json

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from mindpics.caffe_files.fields import set_layers
from mindpics.training.readings import read_otherwise
from mindpics.training.solver_files import read_solver
from mindpics.training.train import solve


def read(job, **given):
    message, (net,) = read_solver(job[0])
    read_otherwise(message, net, given)
    return message, net


def test_epochs_scale_length_steps_snapshots_and_tests(small_job):
    before, after = read(small_job)[0], read(small_job, epochs=18)[0]
    for field in ("max_iter", "stepsize", "snapshot", "test_interval"):
        assert getattr(after, field) == pytest.approx(2 * getattr(before, field), abs=1), field


def test_epochs_of_a_solver_without_a_length_or_a_batch_are_refused_in_words(small_job):
    message, (net,) = read_solver(small_job[0])
    message.max_iter = 0
    with pytest.raises(ValueError, match="and no max_iter that stepsize and snapshot and test_interval belong to"):
        read_otherwise(message, net, {"epochs": 2})
    message.ClearField("stepsize"), message.ClearField("snapshot"), message.ClearField("test_interval")
    message.max_iter = 0
    read_otherwise(message, net, {"epochs": 2})
    assert message.max_iter == 40
    net.layer[0].data_param.batch_size = 0
    with pytest.raises(ValueError, match="a batch_size or iter_size of 0"):
        read_otherwise(message, net, {"epochs": 2})


def test_a_field_that_is_asked_for_twice_is_refused(small_job):
    for asked in (
        {"iterations": 5, "otherwise": {"epochs": 2}},
        {"fields": {"max_iter": 5}, "otherwise": {"epochs": 2}},
        {"fields": {"max_iter": 5}, "iterations": 6},
        {"fields": {"random_seed": 5}, "seed": 6},
        {"fields": {"base_lr": 0.5}, "otherwise": {"base_lr": 0.6}},
        {"fields": {"snapshot": 5}, "otherwise": {"snapshots": 2}},
        {"fields": {"stepsize": 5}, "otherwise": {"epochs": 2}},
        {"fields": {"iter_size": 2}, "otherwise": {"batch": 5}},
        {"fields": {"layer[loss_O].normalization": "FULL"}, "otherwise": {"normalization": "VALID"}},
    ):
        with pytest.raises(ValueError, match="found .*=.* and .*=.*; wanted one of them, since both set the same"):
            read_solver(small_job[0], **asked)


def test_snapshots_are_so_many_of_the_length_that_is_asked_for(small_job, tmp_path):
    message, _ = read(small_job, epochs=18, snapshots=4)
    assert message.snapshot == message.max_iter // 4
    solve(small_job[0], tmp_path / "run", progress=False, otherwise={"snapshots": 2})
    assert len(list((tmp_path / "run/snapshots").glob("*.caffemodel"))) == 2


def test_a_batch_in_passes_trains_on_as_many_pictures_an_update(small_job, tmp_path):
    message, net = read(small_job, batch=5)
    assert (message.iter_size, net.layer[0].data_param.batch_size) == (4, 5)
    history = solve(small_job[0], tmp_path / "run", iterations=3, progress=False, otherwise={"batch": 5})
    assert history.iteration == 3
    assert json.loads((tmp_path / "run/run.json").read_text())["otherwise"] == {"batch": 5}
    with pytest.raises(ValueError, match="found batch=3; wanted a divisor of .*'s batch, 20"):
        read(small_job, batch=3)
    with pytest.raises(ValueError, match="found batch=1 for .*BVLC's Scale does not add up .*; wanted 2 or more"):
        read(small_job, batch=1)


STAGED = """
layer { name: "data" type: "Data" top: "data" top: "label" exclude { phase: TRAIN }
        data_param { source: "ROOT/test_lmdb" batch_size: 50 backend: LMDB } }
layer { name: "other" type: "Data" top: "data" top: "label" include { phase: TRAIN stage: "other" }
        data_param { source: "ROOT/test_lmdb" batch_size: 30 backend: LMDB } }
layer { name: "data" type: "Data" top: "data" top: "label" include { stage: "mine" }
        data_param { source: "ROOT/train_lmdb" batch_size: 20 backend: LMDB } }
"""


def test_the_data_of_the_training_are_told_as_caffe_tells_them(pictures):
    """A layer may be kept out by an exclude rule, or by a stage that the solver does not name."""
    net = text_format.Parse(STAGED.replace("ROOT", str(pictures)), caffe_pb2.NetParameter())
    message = caffe_pb2.SolverParameter(train_state={"stage": ["mine"]}, test_state=[{"stage": ["test"]}])
    read_otherwise(message, net, {"batch": 5, "epochs": 2})
    assert (message.iter_size, message.max_iter) == (4, 2 * 400 / 20)
    assert [layer.data_param.batch_size for layer in net.layer] == [50, 30, 5]
    set_layers([net], {"layer[data].batch_size": 10}, message)
    assert [layer.data_param.batch_size for layer in net.layer] == [50, 30, 10]
    net.layer[0].exclude[0].stage.append("none")
    net.layer[2].include[0].phase = caffe_pb2.TEST
    set_layers([net], {"layer[data].batch_size": 40}, message)
    assert [layer.data_param.batch_size for layer in net.layer] == [40, 30, 10]


def test_rate_normalisation_and_batch_norm_are_those_given(small_job):
    message, net = read(small_job, base_lr=0.5, normalization="VALID", frozen_batch_norm=True)
    assert message.base_lr == 0.5
    losses = [json.loads(la.python_param.param_str) for la in net.layer if la.name.startswith("loss_")]
    assert losses == [{"trait": trait, "normalization": "VALID"} for trait in "OCEAN"]
    assert all(la.batch_norm_param.use_global_stats for la in net.layer if la.type == "BatchNorm")


def test_a_switch_that_changes_nothing_is_refused():
    net = caffe_pb2.NetParameter(name="toy")
    for given in ({"normalization": "VALID"}, {"frozen_batch_norm": True}, {"batch": 2}, {"epochs": 1.0}):
        with pytest.raises(ValueError, match="toy"):
            read_otherwise(caffe_pb2.SolverParameter(), net, given)
