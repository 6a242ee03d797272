"""BVLC's own unit tests, by tools/caffe/test: what the quick can show always, the rest with --caffe."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tool_module import load_tool

ROOT = Path(__file__).resolve().parents[2]
TEST = load_tool(ROOT / "tools/caffe/test")
REWRITE = load_tool(ROOT / "tools/caffe/bvlc/through_registry").rewrite
# What nets of this project use and --fast-layers leaves out; a second each, and three to compile.
QUICK = (
    "accuracy_layer",
    "blob",
    "convolution_layer",
    "db",
    "euclidean_loss_layer",
    "hdf5data_layer",
    "image_data_layer",
    "infogain_loss_layer",
    "io",
    "sigmoid_cross_entropy_loss_layer",
    "softmax_with_loss_layer",
    "upgrade_proto",
)
FLOATS = "--filter=-*/1.*"  # without those of double, in which neither pycaffe nor a layer of tools/caffe/fast computes
OURS = [f"tests/caffe/test_{name}.py" for name in ("fast", "data", "batch_norm", "python_layer", "pycaffe_suite")]


def counts(*args):
    """Run tools/caffe/test; return how many tests it ran, passed, listed as BVLC's own failures, and failed."""
    done = subprocess.run([sys.executable, ROOT / "tools/caffe/test", *args], stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    found = re.search(r"^(\d+) run, (\d+) passed, (\d+) listed, (\d+) failed$", done.stdout, re.MULTILINE)
    assert found, f"tools/caffe/test ended with {done.returncode}"
    assert (done.returncode == 0) == (found[4] == "0")
    return tuple(map(int, found.groups()))


def test_some_of_bvlcs_tests_pass_with_stock_layers():
    assert counts(FLOATS, "--only", *QUICK) == (84, 83, 1, 0)


def test_all_of_bvlcs_tests_that_use_fast_layers_pass_with_them():
    run, passed, listed, failed = counts(FLOATS, "--fast-layers")
    assert passed == run >= 276 and (listed, failed) == (0, 0)


@pytest.mark.caffe
@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ("", (1140, 1138, 2, 0)),
        ("--fast-layers", (524, 524, 0, 0)),
        ("--sanitize address", (1140, 1138, 2, 0)),
        ("--sanitize address --fast-layers", (524, 524, 0, 0)),
        ("--sanitize thread --fast-layers", (524, 524, 0, 0)),
    ],
)
def test_all_of_bvlcs_tests_pass(args, wanted):
    assert counts(*args.split()) == wanted


@pytest.mark.caffe
@pytest.mark.parametrize("sanitizer", ["address", "thread"])
def test_our_tests_of_caffe_pass_sanitized(sanitizer):
    command = [sys.executable, "tools/caffe/test", "--sanitize", sanitizer, "--pytest", *OURS]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def test_layers_named_in_a_test_are_made_by_the_registry():
    text = (
        "LRNLayer<Dtype> layer(param);\nshared_ptr<Layer<Dtype> > other(\n  new LRNLayer<Dtype>(param));\n"
        "layer.reset(new LRNLayer<float>(param));\nTileLayer<Dtype> tile(param);\n"
    )
    made = 'caffe::registered<caffe::LRNLayer, {}>("LRN", param)'
    assert REWRITE(text, ["LRN", "ReLU"]) == (
        f"auto layer_made = {made.format('Dtype')}; LRNLayer<Dtype>& layer = *layer_made;\n"
        f"shared_ptr<Layer<Dtype> > other(\n  {made.format('Dtype')});\n"
        f"layer = {made.format('float')};\nTileLayer<Dtype> tile(param);\n"
    )


@pytest.fixture
def gtest(tmp_path):
    """A program that lists and runs as gtest does: B.two ends the process, A.three fails."""
    path = tmp_path / "gtest"
    path.write_text(f"""#!{sys.executable}
import os, sys
if "--gtest_list_tests" in sys.argv:
    sys.exit(print("A.\\nB/0.  # TypeParam = float\\n".replace("A.\\n", "A.\\n  one\\n  three\\n") + "  two\\n  four"))
for name in sys.argv[-1].partition("=")[2].split(":"):
    print(f"[ RUN      ] {{name}}", flush=True)
    if name == "B/0.two":
        print("Check failed: 1 == 2", flush=True)
        os.abort()
    if name == "A.three":
        print("Value of: 1\\n[  FAILED  ] A.three (0 ms)")
    else:
        print(f"[       OK ] {{name}} (0 ms)")
""")
    path.chmod(0o755)
    return [str(path)]


def test_a_test_that_ends_the_process_is_a_failure_and_the_others_still_run(gtest, tmp_path):
    names = TEST.list_tests(gtest, "*", None)
    assert names == ["A.one", "A.three", "B/0.two", "B/0.four"]
    found = TEST.run_tests(gtest, names, None, tmp_path)
    assert found["A.one"] is found["B/0.four"] is None
    assert found["A.three"] == ["Value of: 1"]
    assert found["B/0.two"] == ["Check failed: 1 == 2", "the process ended here, with status -6"]


def test_a_failure_counts_unless_listed_and_a_listed_test_that_passes_counts_too(capsys):
    listed = {"A.one": "BVLC's own build fails as well", "A.three": "so it does here, but was not run"}
    assert TEST.report({"A.one": ["Value of: 1"], "A.two": None}, listed)
    assert "2 run, 1 passed, 1 listed, 0 failed" in capsys.readouterr().out
    assert not TEST.report({"A.one": ["Value of: 1"], "A.two": ["Value of: 1"]}, listed)
    assert not TEST.report({"A.one": None}, listed)
    assert "take it off" in capsys.readouterr().out
