"""Nets that Caffe aborts on, large nets, and names that play with the terminal."""

import subprocess
import sys
from pathlib import Path

import caffe
import pytest
from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import write_message
from mindpics.caffe_files.weights import Fit
from mindpics.files.findings import format_findings
from mindpics.files.printable import printable, printable_name
from mindpics.files.tables import read_table
from mindpics.inference.feature_net import FeatureNet
from mindpics.lint.net import lint_file
from mindpics.training.train import solve

TOOLS = Path(__file__).resolve().parents[2] / "tools"
ESCAPES = "\x1b]0;title\x07\x1b[2Jfc\x9b31m\u202e"
END = """
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: %s
  weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
GOOD = (
    """layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }"""
    + END % 2
)
BAD = {
    "negative dims": GOOD.replace("dim: 2 dim: 3", "dim: 2 dim: -3"),
    "huge dims": GOOD.replace("dim: 2 dim: 3", "dim: 2000000 dim: 3000000"),
    "huge layer": GOOD.replace("num_output: 2", "num_output: 2000000000"),
    "ImageData": 'layer { name: "data" type: "ImageData" top: "data" top: "label" '
    'image_data_param { source: "text" batch_size: 2 } }' + END % 2,
    "HDF5Data": 'layer { name: "data" type: "HDF5Data" top: "data" top: "label" '
    'hdf5_data_param { source: "text" batch_size: 2 } }' + END % 2,
    "WindowData": 'layer { name: "data" type: "WindowData" top: "data" top: "label" '
    'window_data_param { source: "text" batch_size: 2 } }' + END % 2,
    "absent list": 'layer { name: "data" type: "ImageData" top: "data" top: "label" '
    'image_data_param { source: "gone" batch_size: 2 } }' + END % 2,
}

TOLD = {  # what lint sees before Caffe is asked
    "ImageData": "layer data: text:1: found 'a', which is not there; wanted PICTURE LABEL",
    "HDF5Data": "layer data: text: found a, which is not there; wanted HDF5 files",
    "WindowData": "layer data: text: line 1: found 'a text'; wanted # and the number of a picture",
    "absent list": "layer data: gone is not there",
}


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("a text\nof some lines\nof no pictures\n")
    (tmp_path / "net.prototxt").write_text(GOOD)
    solver = caffe_pb2.SolverParameter(
        net="net.prototxt", base_lr=0.1, lr_policy="fixed", max_iter=2, random_seed=1, snapshot_prefix="run"
    )
    write_message(solver, tmp_path / "solver.prototxt")
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_a_net_that_caffe_aborts_on_costs_one_line_and_no_run(work, name):
    solve("solver.prototxt", "run", progress=False)
    kept = (work / "run/final.caffemodel").read_bytes()
    (work / "net.prototxt").write_text(BAD[name])
    with pytest.raises(ValueError) as error:
        solve("solver.prototxt", "run", overwrite=True, progress=False)
    assert str(error.value).startswith(TOLD.get(name, "net.prototxt: found what Caffe refuses ("))
    assert "\n" not in str(error.value)
    assert (work / "run/final.caffemodel").read_bytes() == kept


def test_train_net_ends_with_one_line_where_caffe_ends_with_a_stack_trace(work):
    (work / "net.prototxt").write_text(BAD["ImageData"])
    command = [sys.executable, TOOLS / "train_net", "solver.prototxt", "--out", "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"train_net: {TOLD['ImageData']}") and done.stderr.count("\n") == 1


def chain(n, layer):
    first = (
        'layers { name: "data" type: DUMMY_DATA top: "x0" }'
        if "layers" in layer
        else 'layer { name: "data" type: "DummyData" top: "x0" }'
    )
    return "\n".join([first, *(layer.replace("#J", str(i + 1)).replace("#", str(i)) for i in range(n))])


# what once took the square of the number of layers
LARGE = {
    "a chain": 'layer { name: "l#" type: "InnerProduct" bottom: "x#" top: "x#J" }',
    "in place": 'layer { name: "l#" type: "BatchNorm" bottom: "x0" top: "x0" }',
    "all read one": 'layer { name: "l#" type: "Scale" bottom: "x0" top: "y#" }',
    "nobody made it": 'layer { name: "l#" type: "ReLU" bottom: "wrong_name#" top: "x#J" }',
    "made later": 'layer { name: "l#" type: "ReLU" bottom: "x#J" top: "x#" }',
    "one name": 'layer { name: "l" type: "Softmax" bottom: "x#" top: "x#J" }',
    "V1": 'layers { name: "l#" type: RELU bottom: "x#" top: "x#J" }',
}


def steps(path):
    """Count the bytecodes that lint takes: no clock is asked."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        lint_file(path)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", LARGE)
def test_lint_takes_twice_the_steps_for_twice_the_layers(tmp_path, name):
    found = []
    for n in (40, 80, 160):
        (tmp_path / "net.prototxt").write_text(chain(n, LARGE[name]))
        found.append(steps(tmp_path / "net.prototxt"))
    assert found[2] - found[1] < 2.2 * (found[1] - found[0])


def test_names_cannot_play_with_the_terminal(work):
    assert printable("a\nb\tc\x1b[1m\u202e\x85") == "a\nb\tc\\x1b[1m\\u202e\\x85"
    assert printable_name("a\nb ä 猫") == "a\\nb ä 猫"
    net = caffe_pb2.NetParameter()
    net.layer.add(name="data", type="Input", top=["data"], input_param={"shape": [{"dim": [1, 3, 8, 8]}]})
    net.layer.add(
        name=ESCAPES, type="InnerProduct", bottom=["data"], top=[ESCAPES], inner_product_param={"num_output": 2}
    )
    write_message(net, work / "deploy.prototxt")
    caffe.Net("deploy.prototxt", caffe.TEST).save("w.caffemodel")
    net.layer[1].name = ESCAPES + "2"
    net.layer[1].bottom[0] = "\x1b[31mdata"
    write_message(net, work / "bad.prototxt")
    said = format_findings(lint_file("bad.prototxt", "w.caffemodel"))
    assert "missing-bottom" in said
    said += str(Fit(not_in_net=[ESCAPES], not_in_weights=[ESCAPES]))
    for path, blob in (("bad.prototxt", "fc7"), ("deploy.prototxt", "fc7")):
        with pytest.raises(ValueError) as error:
            FeatureNet(path, "w.caffemodel", blob)
        said += str(error.value)
    (work / "table.csv").write_text(f"id,{ESCAPES},{ESCAPES}\n")
    for columns in ((), ("image",)):
        with pytest.raises(ValueError) as error:
            list(read_table("table.csv", columns))
        said += str(error.value)
    assert r"\x1b]0;title\x07" in said and r"\u202e" in said
    assert printable(said) == said
