"""Lists of WindowData layers: lint complains where Caffe aborts, warns where Caffe goes on with what nobody means."""

import numpy as np
import pytest
from caffe_nets import pass_forward
from PIL import Image

from mindpics.caffe_files.lmdbs import write_mean
from mindpics.files.findings import errors
from mindpics.jobs.fork_first import in_fork
from mindpics.lint import pictures
from mindpics.lint.net import lint_file
from mindpics.training.train import solve

NET = """layer { name: "data" type: "WindowData" top: "data" top: "label" transform_param { crop_size: 6 %s }
  window_data_param { source: "list" batch_size: 8 fg_threshold: 0.6 bg_threshold: 0.3 %s } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" max_iter: 2 solver_mode: CPU random_seed: 1'
FRONT, BACK, UNSEEN = "2 .7 0 0 7 7", "2 .2 1 2 3 4", "-5 .4 -9 -9 99 99"
PAD, SQUARE, CACHED = "context_pad: 1", 'crop_mode: "square"', "cache_images: true"
MEAN = 'mean_file: "mean.binaryproto"'


def block(number, picture, *windows, channels=3):
    return "\n".join([f"# {number}", picture, f"{channels} 8 8 {len(windows)}", *windows, ""])


def picture(*windows, name="0.png"):
    return block(0, name, FRONT, BACK, *windows)


OF_ANOTHER = block(0, "0.png", BACK) + block(0, "wide.png", FRONT)
CASES = {  # window_data_param, transform_param, list; severity and words of what is wrong; whether Caffe aborts
    "good": ("", "", block(0, "0.png", FRONT, UNSEEN) + block(1, "wide.png", BACK), "", "", False),
    "good, without its last line's end": ("", "", picture().rstrip(), "", "", False),
    "good, and a word more": ("", "", picture() + "#", "", "", False),
    "good, in a folder": ('root_folder: "folder/"', "", picture(name="1.png"), "", "", False),
    "good, cached": (CACHED, "", picture(), "", "", False),
    "good, and a picture without windows that is not there": ("", "", picture() + block(1, "no.png"), "", "", False),
    "nothing": ("", "", "", "error", "found an empty list", True),
    "no number": ("", "", "0.png 1\n", "error", "line 1: found '0.png 1'; wanted # and the number of a pic", True),
    "a block of other words": ("", "", picture() + "0.png 1 2\n", "error", "line 6: found '0.png 1'; wanted #", True),
    "a remark": (
        "",
        "",
        picture() + "# more:\n" + block(1, "no.png", FRONT),
        "warning",
        "Caffe reads no further",
        False,
    ),
    "the end amid windows": ("", "", picture().replace("8 2", "8 3"), "error", "line 5: found the list's end", None),
    "a word": ("", "", picture("1 .7 0 0 x 3"), "error", "up to line 6: found a word that is none", None),
    "half a number": ("", "", picture("1 .7 0 0 3.5 3"), "error", "up to line 6: found a word that is none", None),
    "no foreground": ("", "", block(0, "0.png", BACK), "error", "no window with an overlap fg_threshold on", True),
    "no background": ("", "", block(0, "0.png", FRONT), "error", "no window with an overlap below bg_thre", True),
    "a foreground of label 0": ("", "", picture("0 .9 0 0 3 3"), "error", "foreground with label 0; wanted 1 on", True),
    "a label beyond the scores": ("", "", picture("3 .9 0 0 3 3"), "error", "takes labels 0..2, but list has 3", None),
    "a label that is never drawn": ("fg_fraction: 0.1", "", picture("3 .9 0 0 3 3"), "", "", False),
    "no picture": ("", "", picture() + block(1, "no.png", BACK), "warning", "line 6: no.png is not there or", False),
    "a picture that is none": ("", "", picture() + block(1, "torn.png", BACK), "warning", "line 6: torn.png", False),
    "a GIF": ("", "", picture() + block(1, "gif.jpg", BACK), "warning", "gif.jpg is not there or does not", False),
    "no picture, cached": (CACHED, "", picture() + block(1, "no.png"), "error", "found no.png, which is not", True),
    "no picture of them, cached": (CACHED, "", picture(name="torn.png"), "error", "torn.png, which does not d", True),
    "beyond the right": (
        "",
        "",
        picture("1 .7 0 0 8 7"),
        "error",
        "found a window [0, 0, 8, 7] of 0.png; wanted",
        True,
    ),
    "beyond the top": ("", "", picture("1 .2 0 -1 7 7"), "error", "inside it, 8 wide and 8 high", True),
    "nothing wide": ("", "", picture("1 .2 3 0 2 7"), "error", "found a window [3, 0, 2, 7]", True),
    "beyond, with context": (PAD, "", picture("1 .7 0 0 9 9"), "", "", False),
    "beyond, in a square": (SQUARE, "mirror: true", picture("1 .7 0 0 9 3", "1 .7 -2 2 3 3"), "", "", False),
    "outside, with context": (PAD, "", picture("1 .7 20 0 27 7"), "error", "found a window [20, 0, 27, 7]", True),
    "outside, in a square": (SQUARE, "", picture("1 .7 0 -30 7 -20"), "error", "found a window [0, -30, 7, -20]", True),
    "a sliver, with context": (PAD, "", picture("1 .7 7 0 600 7"), "error", "found a window [7, 0, 600, 7]", True),
    "context alone": ("context_pad: 3", "", picture(), "error", "found context_pad 3; wanted less than half", None),
    "more than all": ("fg_fraction: 1.5", "", picture(), "error", "found fg_fraction 1.5; wanted one from 0 to", None),
    "another picture": ("", "", OF_ANOTHER, "warning", "line 5: # 0 is not # 1, its place", False),
    "no picture of this number": ("", "", block(9, "0.png", FRONT, BACK), "error", "found # 9; wanted # 0", None),
    "gray": ("", "", block(0, "0.png", FRONT, BACK, channels=1), "error", "found 1 channels of its last pic", None),
    "a mean": ("", MEAN, picture(), "", "", False),
    "a small mean": ("", MEAN.replace("mean.", "small."), picture(), "error", "(3, 5, 6); wanted at least (3", None),
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    Image.new("RGB", (8, 8)).save("0.png")
    Image.new("RGB", (12, 9)).save("wide.png")
    Image.new("L", (8, 8)).save("folder/1.png")
    Image.new("RGB", (8, 8)).save("gif.jpg", "GIF")
    (tmp_path / "torn.png").write_text("no picture")
    write_mean("mean.binaryproto", np.ones((3, 8, 8), "f4"))
    write_mean("small.binaryproto", np.ones((3, 5, 6), "f4"))
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_lint_and_caffe_agree(work, name):
    options, transform, text, severity, words, is_abort = CASES[name]
    (work / "net.prototxt").write_text(NET % (transform, options))
    (work / "list").write_text(text)
    named = [finding for finding in lint_file("solver.prototxt", data=True) if finding.severity in ("error", "warning")]
    named = [finding for finding in named if finding.check in ("list", "windows", "label-range", "caffe-refuses")]
    assert [finding.severity for finding in named] == [severity] * bool(severity)
    assert all(words in finding.message for finding in named)
    if is_abort:
        with pytest.raises(ValueError, match="Check failed|Window file|SIG"):
            in_fork(pass_forward, "net.prototxt", 4)
    elif is_abort is False:
        in_fork(pass_forward, "net.prototxt", 4)


def test_a_warning_of_windows_keeps_no_training_from_them_and_an_error_does(work):
    (work / "net.prototxt").write_text(NET % ("", ""))
    (work / "list").write_text(picture() + block(1, "no.png", BACK))
    found = [finding for finding in lint_file("solver.prototxt", data=True) if finding.check == "windows"]
    assert [finding.severity for finding in found] == ["warning"]
    assert solve("solver.prototxt", "run", progress=False).iteration == 2
    (work / "list").write_text(picture("1 .7 0 0 8 7"))
    with pytest.raises(ValueError, match="list: line 1: found a window"):
        solve("solver.prototxt", "run", progress=False, overwrite=True)


def test_of_a_long_list_the_first_pictures_are_looked_at_and_all_labels(work, monkeypatch):
    (work / "net.prototxt").write_text(NET % ("", ""))
    (work / "list").write_text(picture() + block(1, "no.png", BACK) + block(2, "0.png", "3 .9 0 0 3 3"))
    for name, value in (("PICTURES", 1), ("BYTES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(pictures, name, value)
            found = lint_file("net.prototxt")
        notes = [finding.message for finding in found if (finding.severity, finding.check) == ("note", "list")]
        assert notes == ["layer data: list: of its pictures the first 1 with windows were looked at"]
        assert [finding.check for finding in errors(found)] == ["label-range"]
