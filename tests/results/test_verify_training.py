"""Each number of a training beside the paper's: batch, crop, heads' rates, dropout, normalisation, steps."""

import pytest
from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import write_message
from mindpics.nets.rows import all_models, messages, paper_counts
from mindpics.nets.scales import PAPER
from mindpics.nets.switches import switched
from mindpics.results.verify_training import check_training


def findings(folder, model, setting=PAPER):
    net, _, solver = messages(model, setting, paper_counts(), data_root="d", net_path="n", snapshot_prefix="s")
    write_message(net, folder / "net.prototxt")
    weights = None if model.init == "scratch" else {"path": "w"}
    return list(check_training(solver, folder / "net.prototxt", {"weights": weights}))


def test_every_committed_net_agrees_with_the_paper_in_all_that_it_says(tmp_path):
    for model in all_models():
        found = findings(tmp_path, model)
        assert {finding.severity for finding in found} == {"ok"}, [finding.message for finding in found]
        said = " ".join(finding.message for finding in found)
        for name in ("momentum", "weight_decay", "base_lr", "stepsize", "batch", "crop", "lr_mult", "normalisation"):
            assert name in said
        assert ("dropout 0.5" in said) == (model.net == "alexnet")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"normalization": "VALID"}, "normalisation VALID; the paper: BATCH_SIZE"),
        ({"normalization": "VALID", "loss": "native"}, "normalisation VALID; the paper: BATCH_SIZE"),
        ({"base_lr": 0.5}, "base_lr 0.5; the paper: 0.01"),
        ({"alexnet_crop": 200}, "crop 200; the paper: 224 or 227"),
    ],
)
def test_another_reading_differs(tmp_path, given, message):
    model = next(model for model in all_models() if model.name == "alexnet_all-in-one_scratch")
    found = findings(tmp_path, model, switched(PAPER, **given))
    assert [finding.message for finding in found if finding.severity == "differs"] == [message]


def test_a_schedule_of_ones_own_differs_from_no_paper(tmp_path):
    model = next(model for model in all_models() if model.name == "alexnet_all-in-one_finetune")
    net, _, solver = messages(model, PAPER, paper_counts(), data_root="d", net_path="n", snapshot_prefix="s")
    write_message(net, tmp_path / "net.prototxt")
    solver.stepsize = solver.max_iter // 2
    (noted,) = [
        finding
        for finding in check_training(solver, tmp_path / "net.prototxt", {"weights": {"path": "w"}})
        if finding.severity != "ok"
    ]
    assert (noted.severity, noted.message) == ("note", "max_iter / stepsize 2; the README's choice: 5")


def test_the_batch_is_that_of_the_training_wherever_its_layer_stands(tmp_path):
    model = next(model for model in all_models() if model.name == "alexnet_all-in-one_scratch")
    net, _, solver = messages(model, PAPER, paper_counts(), data_root="d", net_path="n", snapshot_prefix="s")
    tested = caffe_pb2.LayerParameter(name="data", type="Data", exclude=[{"phase": caffe_pb2.TRAIN}])
    write_message(caffe_pb2.NetParameter(layer=[tested, *net.layer]), tmp_path / "net.prototxt")
    found = list(check_training(solver, tmp_path / "net.prototxt", {"weights": None}))
    assert {finding.severity for finding in found} == {"ok"}


def test_a_batch_in_passes_and_the_other_crop_agree(tmp_path):
    model = next(model for model in all_models() if model.name == "alexnet_all-in-one_scratch")
    found = findings(tmp_path, model, switched(PAPER, batch=8, alexnet_crop=224))
    assert {finding.severity for finding in found} == {"ok"}
