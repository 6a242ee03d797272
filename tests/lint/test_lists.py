"""Lists of ImageData, HDF5Data and WindowData layers: each file is there before Caffe aborts on one, days later."""

import caffe
import h5py
import numpy as np
import pytest
from caffe_nets import pass_forward
from PIL import Image

from mindpics.caffe_files.lmdbs import write_mean
from mindpics.files.findings import errors
from mindpics.jobs.fork_first import in_fork
from mindpics.lint import pictures
from mindpics.lint.net import lint_file
from mindpics.training.solver_files import build_in_fork, read_solver
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
CROPPED = IMAGES.replace("image_data", "transform_param { crop_size: 9 } image_data")
MEAN_FILE = 'mean_file: "mean.binaryproto"'
MEAN = IMAGES.replace("image_data", f"transform_param {{ {MEAN_FILE} }} image_data")
TWO_VALUES = "image_data", "transform_param { mean_value: 1 mean_value: 2 } image_data"
HDF5 = TOPS + '"HDF5Data" hdf5_data_param { source: "list" batch_size: 2 } }\n'
GOOD = {IMAGES: "0.png 0\n1.png 1 \n2.png 1\n", HDF5: "a.h5\n"}
BAD = [
    (IMAGES, None, "error", "list-absent", "list is not there"),
    (HDF5, None, "error", "list-absent", "list is not there"),
    (IMAGES, "", "error", "list", "found an empty list; wanted pictures and labels"),
    (IMAGES, "0.png 0\nnowhere.png 1\n", "error", "list", "list:2: found 'nowhere.png', which is not there"),
    (IMAGES, "0.png 0\n1.png 2\n", "error", "label-range", "takes labels 0..1, but list has 2 (key '1.png')"),
    (IMAGES, "0.png 0\ntorn.png 1\n", "error", "list", "list: line 2: found torn.png, which does not decode"),
    (IMAGES, "0.png 0\ngif.jpg 1\n", "error", "list", "list: line 2: found gif.jpg, which does not decode"),
    (IMAGES, "0.png 0\nwide.png 1\n", "error", "list", "line 2: found wide.png of (9, 9); wanted (8, 8), as others"),
    (CROPPED, "wide.png 0\n0.png 1\n", "error", "list", "line 2: found 0.png of (8, 8); wanted at least the crop_size"),
    (MEAN, "wide.png 0\n0.png 1\n", "error", "list", "line 2: found 0.png of (8, 8); wanted (9, 9), as the mean of m"),
    (MEAN.replace("mean_", "crop_size: 7 mean_"), "0.png 0\n", "error", "list", "wanted (9, 9), as the mean of mean."),
    (MEAN.replace("batch", "is_color: false batch"), "wide.png 0\n", "error", "list", "of 3 channels; wanted the pic"),
    (IMAGES.replace(*TWO_VALUES), "0.png 0\n", "error", "list", "found 2 mean_value; wanted one, or one for each of 3"),
    (HDF5, "a.h5\nb.h5\n", "error", "list", "found b.h5, which is not there"),
    (HDF5, "a.h5\nlabels.h5\n", "error", "label-range", "takes labels 0..1, but list has -1 (key 'labels.h5')"),
    (HDF5, "a.h5\nlacking.h5\n", "error", "list", "list: found lacking.h5 without a dataset 'label'"),
    (HDF5, "a.h5\nshort.h5\n", "error", "list", "found short.h5 with 5 rows of 'label' and 6 of 'data'"),
    (HDF5, "a.h5\nwords.h5\n", "error", "list", "found words.h5 with 'label' of shape (6,), object"),
    (HDF5, "a.h5\nnone.h5\n", "error", "list", "found none.h5 with no row of 'data'"),
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
    Image.new("RGB", (9, 9)).save(tmp_path / "wide.png")
    write_mean(tmp_path / "mean.binaryproto", np.ones((3, 9, 9), "f4"))
    Image.new("RGB", (8, 8)).save(tmp_path / "gif.jpg", "GIF")
    (tmp_path / "torn.png").write_text("no picture")
    for name, rows, width, labels in (
        ("labels", 6, 5, [0, 1, 0, -1, 0.5, -0.5]),
        ("lacking", 6, 5, None),
        ("short", 6, 5, np.zeros(5)),
        ("words", 6, 5, ["a"] * 6),
        ("none", 0, 5, np.zeros(0)),
        ("narrow", 6, 4, np.zeros(6)),
    ):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = np.ones((rows, width), "f4")
            if labels is not None:
                file["label"] = labels
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


NARROW, WIDE = "0.png 0\n1.png 1\n", "wide.png 0\nwide.png 1\n"
LISTS = {  # transform, options, list, what is wrong with it
    "a size a batch": ("", "", NARROW + WIDE, ""),
    "a size a batch, all drawn": ("", "shuffle: true", NARROW + WIDE, "batches begin anywhere"),
    "a size a batch, none skipped": ("", "rand_skip: 1", NARROW + WIDE, ""),
    "a size a batch, some skipped": ("", "rand_skip: 4", NARROW + WIDE, "batches begin anywhere"),
    "batches that go on behind the end": ("", "", NARROW + WIDE + "2.png 0\n", "batches begin anywhere"),
    "batches of one size that go on behind the end": ("", "", NARROW + "2.png 0\n", ""),
    "pictures alone": ("", "batch_size: 1 shuffle: true", NARROW + WIDE, ""),
    "a mean": (MEAN_FILE, "", WIDE, ""),
    "a mean, other pictures": (MEAN_FILE, "", NARROW, "as the mean"),
    "a mean, pictures made as large": (MEAN_FILE, "new_height: 9 new_width: 9", NARROW + WIDE, ""),
}


@pytest.mark.parametrize("name", LISTS)
def test_pictures_of_other_sides_are_taken_where_caffe_takes_them(work, name):
    transform, options, text, wanted = LISTS[name]
    options += "" if "batch_size" in options else " batch_size: 2"
    options = f'transform_param {{ {transform} }} image_data_param {{ source: "list" {options} }}'
    layer = f'{TOPS} "ImageData" {options} }}'
    pool = 'layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { global_pooling: true } }\n'
    (work / "net.prototxt").write_text(layer + pool + END.replace('bottom: "data"', 'bottom: "pool"'))
    (work / "list").write_text(text)
    named = errors(lint_file("solver.prototxt", data=True))
    assert len(named) == bool(wanted) and all(wanted in finding.message for finding in named)
    if not wanted:
        in_fork(pass_forward, "net.prototxt", 8)
        return
    with pytest.raises(ValueError, match="Check failed"):
        in_fork(pass_forward, "net.prototxt", 8)


def test_of_a_long_list_the_first_pictures_are_looked_at_and_it_is_said(work, monkeypatch):
    (work / "net.prototxt").write_text(IMAGES + END)
    (work / "list").write_text("0.png 0\n1.png 1\n2.png 0\n")
    for name, value, seen in (("PICTURES", 2, 2), ("BYTES", 1, 1)):
        with monkeypatch.context() as patch:
            patch.setattr(pictures, name, value)
            found = lint_file("net.prototxt")
        notes = [finding.message for finding in found if (finding.severity, finding.check) == ("note", "list")]
        assert notes == [f"layer data: list: its first {seen} pictures were looked at"]


def test_an_hdf5_file_of_other_rows_is_named(work):
    (work / "net.prototxt").write_text(HDF5 + END)
    (work / "list").write_text("a.h5\nnarrow.h5\n")
    found = [finding for finding in lint_file("solver.prototxt", data=True) if finding.check == "hdf5-width"]
    assert [finding.severity for finding in found] == ["warning"]
    assert "narrow.h5 has 4 values a row of 'data', and a.h5 5" in found[0].message


FC = 'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 4 } }\n'
MAPS = """layer { name: "conv" type: "Convolution" bottom: "maps" top: "conv"
  convolution_param { num_output: 4 kernel_size: 1 } }
"""
POOL = 'layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { global_pooling: true } }\n'
DROP = 'layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }\n'
EMBED = """layer { name: "end" type: "Embed" bottom: "label" top: "end" embed_param { input_dim: 4 num_output: 2 } }
"""


def end(kind, score, label="label", more=""):
    return f'layer {{ name: "end" type: "{kind}" bottom: "{score}" bottom: "{label}" top: "end" {more} }}\n'


READERS = {  # that take labels 0..3
    "convolution and pooling": MAPS + POOL + end("SoftmaxWithLoss", "pool"),
    "dropout in place": FC + DROP + end("SoftmaxWithLoss", "fc"),
    "a map": MAPS + end("SoftmaxWithLoss", "conv", "labels"),
    "a map of accuracy": MAPS + end("Accuracy", "conv", "labels"),
    "another axis": FC + end("SoftmaxWithLoss", "fc", "rows", "softmax_param { axis: 0 }"),
    "hinge": FC + end("HingeLoss", "fc"),
    "logistic": FC + end("MultinomialLogisticLoss", "fc"),
    "infogain": FC + end("InfogainLoss", "fc", "label", 'infogain_loss_param { source: "eye" }'),
    "embed": EMBED,
}


@pytest.mark.parametrize("name", READERS)
def test_a_label_beyond_the_scores_of_any_layer_is_named(work, name):
    tops = ["data", "maps", "label", "labels", "rows"]
    (work / "eye").write_bytes(caffe.io.array_to_blobproto(np.eye(4).reshape(1, 1, 4, 4)).SerializeToString())
    data = HDF5.replace('top: "data" top: "label"', " ".join(f'top: "{top}"' for top in tops)).replace(": 2 }", ": 4 }")
    (work / "net.prototxt").write_text(data + READERS[name])
    (work / "list").write_text("b.h5")
    for label, wanted in ((3, []), (4, ["label-range"])):
        with h5py.File(work / "b.h5", "w") as file:
            for top, shape in zip(tops, [(4, 3), (4, 2, 5, 5), 4, (4, 1, 5, 5), (4, 1)], strict=True):
                file[top] = np.full(shape, label if top in tops[2:] else 1.0)
        found = errors(lint_file("net.prototxt"))
        assert [finding.check for finding in found] == wanted
        assert all("layer end: takes labels 0..3, but list has 4 (key 'b.h5')" in finding.message for finding in found)


def test_a_label_that_is_ignored_is_none_beyond_the_scores(work):
    (work / "list").write_text("labels.h5")
    for where, wanted in (("loss_param", []), ("accuracy_param", ["label-range"])):
        (work / "net.prototxt").write_text(
            HDF5 + END.replace('top: "loss"', f'top: "loss" {where} {{ ignore_label: -1 }}')
        )
        assert [finding.check for finding in errors(lint_file("net.prototxt"))] == wanted


def test_what_a_thread_reads_as_the_net_is_built_is_refused_with_one_line(work):
    Image.new("RGB", (4000, 4000)).save(work / "large.png")
    (work / "net.prototxt").write_text(
        IMAGES.replace("batch_size: 2", "batch_size: 2 new_height: 8 new_width: 8") + END
    )
    (work / "list").write_text("large.png 0\nlarge.png 1\nlarge.png 1\ntorn.png 0\n")
    with pytest.raises(ValueError, match="found what Caffe refuses .*Could not load torn.png"):
        build_in_fork(*read_solver("solver.prototxt"))


def test_a_net_without_weights_is_trained_as_caffe_runs_it_and_gone_on_with(work):
    (work / "net.prototxt").write_text(
        HDF5 + 'layer { name: "sum" type: "Reduction" bottom: "data" top: "s" loss_weight: 1 }\n'
        'layer { name: "silent" type: "Silence" bottom: "label" }'
    )
    (work / "list").write_text("a.h5")
    assert solve("solver.prototxt", "run", progress=False).iteration == 2
    assert solve("solver.prototxt", "run", progress=False, iterations=4, resume=True).iteration == 4


def test_stochastic_pooling_on_the_cpu_is_named_and_no_run_is_lost_for_it(work):
    (work / "net.prototxt").write_text(IMAGES + END)
    (work / "list").write_text("0.png 0\n1.png 1\n")
    solve("solver.prototxt", "run", progress=False)
    pool = POOL.replace('"conv"', '"data"').replace("global_pooling: true", "pool: STOCHASTIC kernel_size: 2")
    (work / "net.prototxt").write_text(IMAGES + pool + END.replace('bottom: "data"', 'bottom: "pool"'))
    named = errors(lint_file("solver.prototxt"))
    assert [(finding.severity, finding.check) for finding in named] == [("error", "stochastic-pool")]
    with pytest.raises(ValueError, match="layer pool: pool: STOCHASTIC is of a GPU alone"):
        solve("solver.prototxt", "run", progress=False, overwrite=True)
    assert (work / "run/final.caffemodel").is_file()
    (work / "solver.prototxt").write_text(SOLVER.replace("CPU", "GPU"))
    assert not errors(lint_file("solver.prototxt"))
