"""Lists of ImageData, HDF5Data and WindowData layers: each file is there before Caffe aborts on one, days later."""

import h5py
import numpy as np
import pytest
from PIL import Image

from mindpics.files.findings import errors
from mindpics.lint.net import lint_file
from mindpics.training.train import solve

END = """layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 2
  weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
ZERO = """layer { name: "unread" type: "Silence" bottom: "label" }
layer { name: "zero" type: "DummyData" top: "zero" dummy_data_param { shape { dim: 2 } } }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" max_iter: 2 solver_mode: CPU random_seed: 1'
TOPS = 'layer { name: "data" top: "data" top: "label" type: '
IMAGES = TOPS + '"ImageData" image_data_param { source: "list" batch_size: 2 } }\n'
HDF5 = TOPS + '"HDF5Data" hdf5_data_param { source: "list" batch_size: 2 } }\n'
GOOD = {IMAGES: "0.png 0\n1.png 1 \n2.png 1\n", HDF5: "a.h5\n"}
BAD = [
    (IMAGES, None, "error", "list-absent", "list is not there"),
    (HDF5, None, "error", "list-absent", "list is not there"),
    (IMAGES, "", "error", "list", "found an empty list; wanted pictures and labels"),
    (IMAGES, "0.png 0\nnowhere.png 1\n", "error", "list", "list:2: found 'nowhere.png', which is not there"),
    (IMAGES, "0.png 0\n1.png 2\n", "error", "label-range", "takes labels 0..1, but list has 2 (key '1.png')"),
    (HDF5, "a.h5\nb.h5\n", "error", "list", "found b.h5, which is not there"),
    (HDF5, "a.h5\n0.png\n", "error", "list", "found 0.png; wanted an HDF5 file"),
]


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["label"] = rng.random((6, 5)).astype("f4"), np.arange(6) % 2.0
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


@pytest.mark.parametrize("layer", GOOD, ids=["ImageData", "HDF5Data"])
def test_a_good_list_is_trained_on(work, layer):
    (work / "net.prototxt").write_text(layer + END)
    (work / "list").write_text(GOOD[layer].replace(" \n", "\n"))
    assert not errors(lint_file("solver.prototxt", data=True))
    assert solve("solver.prototxt", "run", progress=False).iteration == 2


def test_a_list_without_labels_and_a_file_behind_a_users_block_are_read_as_caffe_reads_them(work):
    named = END.replace('"label" ', '"zero" ').replace('layer { name: "fc"', ZERO + 'layer { name: "fc"')
    with h5py.File(work / "b.h5", "w", userblock_size=512) as file:
        file["data"], file["label"] = np.ones((6, 5), "f4"), np.arange(6) % 2.0
    odd = "a\u2028b 1.png"
    (work / "0.png").rename(work / odd)
    for layer, text in ((IMAGES, f"1.png\n{odd} 7\n2.png"), (HDF5, "b.h5 a.h5")):
        (work / "net.prototxt").write_text(layer + named)
        (work / "list").write_text(text)
        assert not errors(lint_file("solver.prototxt", data=True)), text
        assert solve("solver.prototxt", "run", progress=False, overwrite=True).iteration == 2


@pytest.mark.parametrize(("layer", "text", "severity", "check", "words"), BAD)
def test_a_bad_list_is_named(work, layer, text, severity, check, words):
    (work / "net.prototxt").write_text(layer + END)
    if text is not None:
        (work / "list").write_text(text)
    named = errors(lint_file("solver.prototxt", data=True))
    assert [(finding.severity, finding.check) for finding in named] == [(severity, check)] and words in named[0].message
    with pytest.raises(ValueError, match="list"):
        solve("solver.prototxt", "run", progress=False)


def test_a_list_that_is_not_there_is_a_note_where_data_are_not_asked_for(work):
    (work / "net.prototxt").write_text(IMAGES + END)
    assert [(finding.severity, finding.check) for finding in lint_file("net.prototxt")] == [("note", "data-absent")]
