"""A file of one kind given for another: each tool names the file in one line, before Caffe can abort on it."""

import json

import caffe
import cv2
import numpy as np
import pytest
from tool_module import run_tool

from mindpics.caffe_files.lmdbs import write_mean

NET = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "fc7" type: "InnerProduct" bottom: "data" top: "fc7" inner_product_param { num_output: 4
  weight_filler { type: "gaussian" std: 1 } } }
"""
LOSS = 'layer { name: "loss" type: "EuclideanLoss" bottom: "fc7" bottom: "fc7" top: "loss" }\n'
SOLVER = 'net: "train.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 solver_mode: CPU snapshot_prefix: "s"\n'
FILES = {
    "caffemodel": "s_iter_1.caffemodel",
    "solverstate": "s_iter_1.solverstate",
    "mean": "mean.binaryproto",
    "net": "deploy.prototxt",
    "solver": "solver.prototxt",
    "list": "pins.jsonl",
}
# tool, its command line with {} for the file, the kind that it wants there
PLACES = {
    "features' net": ("extract_features", "{} s_iter_1.caffemodel --mean 1 2 3 --size 8 --jsonl pins.jsonl", "net"),
    "features' weights": (
        "extract_features",
        "deploy.prototxt {} --mean 1 2 3 --size 8 --jsonl pins.jsonl",
        "caffemodel",
    ),
    "features' mean": ("extract_features", "deploy.prototxt s_iter_1.caffemodel --mean {} --jsonl pins.jsonl", "mean"),
    "features' list": (
        "extract_features",
        "deploy.prototxt s_iter_1.caffemodel --mean mean.binaryproto --jsonl {}",
        "list",
    ),
    "scores' net": ("score_net", "--net {} s_iter_1.caffemodel --mean mean.binaryproto --lmdb db", "net"),
    "scores' weights": ("score_net", "--net deploy.prototxt {} --mean mean.binaryproto --lmdb db", "caffemodel"),
    "scores' mean": ("score_net", "--net deploy.prototxt s_iter_1.caffemodel --mean {} --lmdb db", "mean"),
    "ONNX's net": ("export_onnx", "{} s_iter_1.caffemodel", "net"),
    "ONNX's weights": ("export_onnx", "deploy.prototxt {}", "caffemodel"),
    "ONNX's mean": ("export_onnx", "deploy.prototxt s_iter_1.caffemodel --mean {} --with-mean", "mean"),
    "a training's solver": ("train_net", "{}", "solver"),
    "a training's weights": ("train_net", "solver.prototxt --weights {}", "caffemodel"),
    "a mean's LMDB": ("compute_mean", "{}", None),
    "fine-tuning's pins": ("finetune_fc7", "--pins {} --split split.csv --weights s_iter_1.caffemodel", None),
    "fine-tuning's split": ("finetune_fc7", "--pins users.jsonl --split {} --weights s_iter_1.caffemodel", None),
    "fine-tuning's weights": ("finetune_fc7", "--pins users.jsonl --split split.csv --weights {}", "caffemodel"),
    "a profile's posts": ("profile_user", "--posts {} --author a", None),
    "a profile's pictures": ("profile_user", "--pictures {}", None),
    "a profile's row": ("profile_user", "--pictures pictures --row {}", None),
    "a profile's net": (
        "profile_user",
        "--pictures pictures --net {} s_iter_1.caffemodel --mean mean.binaryproto",
        "net",
    ),
    "a profile's weights": (
        "profile_user",
        "--pictures pictures --net deploy.prototxt {} --mean mean.binaryproto",
        "caffemodel",
    ),
    "a profile's mean": (
        "profile_user",
        "--pictures pictures --net deploy.prototxt s_iter_1.caffemodel --mean {}",
        "mean",
    ),
    "a publication's row": ("publish_model", "{}", None),
    "a served run": ("serve", "{} --port 0", None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file of each kind, made by Caffe."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "deploy.prototxt").write_text(NET)
    (folder / "train.prototxt").write_text(NET + LOSS)
    (folder / "solver.prototxt").write_text(SOLVER)
    (folder / "pins.jsonl").write_text('{"id": "a", "image": "a.png"}\n')
    (folder / "split.csv").write_text("id,user,split\na,u,train\nb,u,validation\n")
    pins = [{"id": name, "image": "pictures/a.png", "user": "u", "board": "", "text": "a"} for name in "ab"]
    (folder / "users.jsonl").write_text("".join(json.dumps(pin) + "\n" for pin in pins))
    (folder / "pictures").mkdir()
    cv2.imwrite(str(folder / "pictures/a.png"), np.zeros((9, 9, 3), np.uint8))
    write_mean(folder / "mean.binaryproto", np.ones((3, 8, 8), np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        caffe.get_solver("solver.prototxt").solve()
    return folder


@pytest.mark.parametrize("place", PLACES)
def test_a_file_of_one_kind_given_for_another_is_named(folder, monkeypatch, place):
    monkeypatch.chdir(folder)
    tool, line, wanted = PLACES[place]
    for kind, name in FILES.items():
        if kind == wanted:
            continue
        out = {"compute_mean": ["out"], "serve": []}.get(tool, ["--out", "out"])
        with pytest.raises(ValueError) as error:
            run_tool(tool, *line.format(name).split(), *out)
        said = str(error.value)
        assert name in said and "\n" not in said, (kind, said)
        assert not (folder / "out").exists()


@pytest.mark.parametrize("kind", FILES)
def test_lint_names_it_too(folder, monkeypatch, capsys, kind):
    monkeypatch.chdir(folder)
    if kind not in ("net", "solver"):
        assert run_tool("lint_net", FILES[kind]) == 1
        assert FILES[kind] in capsys.readouterr().out
    if kind != "caffemodel":
        assert run_tool("lint_net", "solver.prototxt", "--weights", FILES[kind]) == 1
        assert FILES[kind] in capsys.readouterr().out
