"""The committed nets and solvers are what the generator writes, at the paper's numbers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import read_message
from mindpics.nets.rows import all_models, counts_of, models_of, paper_counts, write_models
from mindpics.nets.scales import MINI, PAPER, SETTINGS
from mindpics.published import ROWS

ROOT = Path(__file__).resolve().parents[2]


def messages_under(root):
    found = {}
    for path in sorted([*root.glob("prototxt/*_*/*.prototxt"), *root.glob("solvers/*.prototxt")]):
        kind = caffe_pb2.SolverParameter if path.parent.name == "solvers" else caffe_pb2.NetParameter
        found[str(path.relative_to(root))] = read_message(path, kind())
    return {name: message for name, message in found.items() if "decaf" not in name}


def test_committed_prototxts_are_the_generated_ones(tmp_path):
    write_models(all_models(), tmp_path, PAPER, paper_counts(), data_root="data/mindpics")
    generated = messages_under(tmp_path)
    assert len(generated) == 3 * 18
    assert messages_under(ROOT) == generated


def test_committed_losses_are_equation_5_read_literally():
    for model in all_models():
        net = read_message(ROOT / "prototxt" / model.name / "train_val.prototxt", caffe_pb2.NetParameter())
        losses = {la.name: json.loads(la.python_param.param_str) for la in net.layer if la.name.startswith("loss_")}
        assert losses == {f"loss_{trait}": {"trait": trait, "normalization": "BATCH_SIZE"} for trait in model.traits}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_native_losses_are_equation_5_read_literally_at_every_scale(setting, tmp_path):
    write_models(all_models(), tmp_path, replace(setting, loss="native"), paper_counts(), data_root="data/mindpics")
    for model in all_models():
        net = read_message(tmp_path / "prototxt" / model.name / "train_val.prototxt", caffe_pb2.NetParameter())
        modes = [la.loss_param.normalization for la in net.layer if la.type == "SoftmaxWithLoss"]
        assert modes == [caffe_pb2.LossParameter.BATCH_SIZE] * len(model.traits)


def test_the_six_rows_of_table_3_in_its_order():
    assert [row.switch for row in ROWS] == [
        "alexnet/independent/scratch",
        "alexnet/all-in-one/scratch",
        "alexnet/independent/finetune",
        "alexnet/all-in-one/finetune",
        "resnet50/independent/finetune",
        "resnet50/all-in-one/finetune",
    ]
    assert [len(models_of(row)) for row in ROWS] == [5, 1, 5, 1, 5, 1]


@pytest.mark.parametrize(
    ("name", "max_iter", "stepsize", "base_lr", "test_iter"),
    [
        # 62.5 and 90 epochs of 96,800 pictures, or of a fifth of them, at batch 128 and 32
        ("alexnet_all-in-one_finetune", 47266, 9454, 0.001, 605),
        ("alexnet_all-in-one_scratch", 68063, 15125, 0.01, 605),
        ("alexnet_independent_finetune_O", 9454, 1891, 0.001, 121),
        ("resnet50_all-in-one_finetune", 189063, 37813, 0.001, 605),
        ("resnet50_independent_finetune_N", 37813, 7563, 0.001, 121),
    ],
)
def test_solver_is_the_papers(name, max_iter, stepsize, base_lr, test_iter):
    solver = read_message(ROOT / "solvers" / f"{name}.prototxt", caffe_pb2.SolverParameter())
    assert (solver.max_iter, solver.stepsize, list(solver.test_iter)) == (max_iter, stepsize, [test_iter])
    assert solver.base_lr == pytest.approx(base_lr)
    assert solver.momentum == pytest.approx(0.9)
    assert solver.weight_decay == pytest.approx(0.0005)
    assert (solver.type, solver.lr_policy) == ("SGD", "step")
    assert solver.net == f"prototxt/{name}/train_val.prototxt"
    assert (ROOT / solver.net).is_file()


def test_paper_counts():
    counts = paper_counts()
    assert sum(counts["train"].values()) == 96800
    assert sum(counts["test"].values()) == 24200
    assert counts["train"]["O"] == 19360


def test_mini_differs_in_numbers_only(tmp_path):
    write_models(all_models(), tmp_path, MINI, paper_counts(), data_root="data/mindpics")
    mini, full = messages_under(tmp_path), messages_under(ROOT)
    for name in full:
        if name.startswith("prototxt"):
            assert [la.name for la in mini[name].layer] == [la.name for la in full[name].layer]


def test_counts_of_a_csv(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("id,trait,split\na,O,train\nb,O,test\nc,N,train\nd,N,train\n")
    assert counts_of(path)["train"] == {"O": 1, "C": 0, "E": 0, "A": 0, "N": 2}


def test_a_broken_prototxt_is_named_with_its_line(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text('name: "x"\nlayer {\n  nmae: "conv1"\n}\n')
    with pytest.raises(
        ValueError, match=r"net.prototxt: found what cannot be read .3:3.*nmae.*; wanted a NetParameter prototxt"
    ):
        read_message(path, caffe_pb2.NetParameter())
