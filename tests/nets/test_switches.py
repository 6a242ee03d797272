"""The switches of the paper's open readings: what each changes, and that the words give the same again."""

import argparse

import pytest
from caffe.proto import caffe_pb2
from tool_module import run_tool

from mindpics.caffe_files.messages import read_message
from mindpics.nets import switches
from mindpics.nets.rows import all_models, messages, paper_counts, write_models
from mindpics.nets.scales import MINI, PAPER, SETTINGS

ALL = {
    "normalization": "VALID",
    "base_lr": 0.002,
    "epochs": 10.0,
    "batch": 8,
    "frozen_batch_norm": True,
    "alexnet_crop": 224,
    "loss": "native",
    "snapshots": 2,
}


def nets(**given):
    """Return {NET_HEADS_INIT: (train_val, solver)} of the paper's all-in-one nets under some switches."""
    setting = switches.switched(PAPER, **given)
    made = {
        model.name: messages(model, setting, paper_counts(), data_root="d", net_path="n", snapshot_prefix="s")
        for model in all_models()
        if model.heads == "all-in-one"
    }
    return {name: (train, solver) for name, (train, _, solver) in made.items()}


def test_snapshots_are_so_many_over_a_training_in_every_net():
    for name, (_, solver) in nets(snapshots=2).items():
        assert solver.max_iter // solver.snapshot == 2, name
    assert {solver.max_iter // solver.snapshot for _, solver in nets().values()} == {10}
    with pytest.raises(ValueError, match="found snapshots=0; wanted more than 0"):
        nets(snapshots=0)


def test_epochs_scale_length_steps_snapshots_and_tests_together():
    before, after = nets(), nets(epochs=6.25)
    for name in ("alexnet_all-in-one_finetune", "resnet50_all-in-one_finetune"):
        for field in ("max_iter", "stepsize", "snapshot", "test_interval"):
            whole, tenth = (getattr(of[name][1], field) for of in (before, after))
            assert tenth == pytest.approx(whole / 10, abs=1), (name, field)


def test_a_smaller_batch_keeps_an_updates_pictures_and_the_length():
    for name, (train, solver) in nets(batch=8).items():
        whole_train, whole = nets()[name]
        assert train.layer[0].data_param.batch_size == 8
        assert 8 * solver.iter_size == whole_train.layer[0].data_param.batch_size
        assert (solver.max_iter, solver.stepsize) == (whole.max_iter, whole.stepsize)
    with pytest.raises(ValueError, match="found batch=7; wanted a divisor of alexnet's batch, 128"):
        nets(batch=7)


def test_frozen_batch_norm_uses_the_statistics_that_came_with_the_weights():
    train, _ = nets(frozen_batch_norm=True)["resnet50_all-in-one_finetune"]
    norms = [la.batch_norm_param for la in train.layer if la.type == "BatchNorm"]
    assert len(norms) == 53 and all(norm.use_global_stats for norm in norms)
    setting = switches.switched(PAPER, frozen_batch_norm=True)
    assert not setting.recipe("resnet50", "pretrain").frozen


def test_rate_crop_and_normalisation_are_those_given():
    for name, (train, solver) in nets(base_lr=0.002, alexnet_crop=224, normalization="VALID").items():
        assert solver.base_lr == pytest.approx(0.002)
        assert train.layer[0].transform_param.crop_size == 224
        assert all("VALID" in la.python_param.param_str for la in train.layer if la.name.startswith("loss_")), name


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_the_words_of_a_setting_give_the_same_setting_again(setting):
    given = ALL | ({"batch": 7} if setting.name == "tiny" else {})
    parser = argparse.ArgumentParser()
    switches.add_arguments(parser)
    there = switches.switched(setting, **given)
    again = switches.switched(setting, **switches.from_args(parser.parse_args(switches.words(there))))
    assert again == there != setting
    assert switches.words(setting) == []


def test_each_switch_of_a_pretraining_changes_it_and_no_other_does(tmp_path):
    rows = "a,a.png,0,a,train\nb,b.png,1,b,test\n" * 99
    (tmp_path / "rows.csv").write_text(f"id,image,label,category,split\n{rows}")
    line = ["alexnet", "--csv", str(tmp_path / "rows.csv"), "--data", "d", "--out"]

    def made(*words):
        out = tmp_path / "_".join(["net", *words])
        run_tool("make_pretraining_net", *line, out, *words)
        return [(out / f"{name}.prototxt").read_text().replace(str(out), "OUT") for name in ("train_val", "solver")]

    plain = made()
    for name, value in ALL.items():
        words = switches.words_of(name, value)
        if name in switches.PRETRAINING:
            assert made(*words) != plain
        else:
            with pytest.raises(SystemExit):
                made(*words)


def test_a_length_of_nothing_is_refused():
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="found epochs=.*; wanted more than 0"):
            switches.switched(MINI, epochs=value)


def test_a_batch_above_that_of_every_net_is_refused():
    with pytest.raises(ValueError, match="found batch=256; wanted 128, the largest of a net, or a divisor of it"):
        switches.switched(PAPER, batch=256)
    with pytest.raises(ValueError, match="found batch=1 for resnet50, .*; wanted 2 or more"):
        switches.switched(PAPER, batch=1)
    assert switches.switched(PAPER, batch=128).recipe("resnet50", "independent", "finetune").iter_size == 1


def test_a_setting_is_recorded_row_by_row():
    recorded = switches.switched(MINI, base_lr=0.002).recorded()
    assert recorded["crop"]["alexnet all-in-one scratch"] == 99
    assert recorded["batch"]["resnet50 independent finetune"] == 16
    assert recorded["schedule"]["alexnet all-in-one scratch"] == {"epochs": 28, "step_epochs": 22, "base_lr": 0.002}
    assert recorded["given"] == {"base_lr": 0.002} and recorded["normalization"] == "BATCH_SIZE"


def test_the_written_nets_of_every_switch_are_read_back(tmp_path):
    write_models(all_models(), tmp_path, switches.switched(PAPER, **ALL), paper_counts(), data_root="d")
    solver = read_message(tmp_path / "solvers/alexnet_all-in-one_scratch.prototxt", caffe_pb2.SolverParameter())
    assert solver.iter_size == 16
