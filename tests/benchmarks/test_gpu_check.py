"""The check of a GPU: every part of it runs, small, on the CPU; what it says of what it finds."""

import io
import json
import os
import runpy
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
import pytest
from caffe import layers
from caffe.proto import caffe_pb2

from mindpics.benchmarks import gpu_agreement, gpu_check, gpu_curves, gpu_speed
from mindpics.benchmarks.gpu_check import Sizes, passed
from mindpics.benchmarks.gpu_engines import CUDNN, PLAIN, engines
from mindpics.benchmarks.gpu_report import format_result, wanted
from mindpics.benchmarks.machine import GpuWatch, describe_gpu
from mindpics.caffe_files.datum import to_pixels
from mindpics.caffe_files.lmdbs import read_lmdb
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.datasets.generated_lmdb import picture, write_generated

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "gpu_check"


def in_this_process(function, *args):
    """Run a part here: a process of its own each takes a second to import Caffe."""
    return function(*args), psutil.Process().memory_info().rss / 1e9


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """(what the tool printed, what it wrote): all parts, on the CPU."""
    path = tmp_path_factory.mktemp("gpu") / "found.json"
    # the tool and its engines set variables of the environment, which must not reach the tests that follow
    with mock.patch.dict(os.environ), pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.setattr(gpu_check, "in_child", in_this_process)
        patch.setattr(sys, "argv", ["gpu_check", "--cpu", "--scale", ".02", "--json", str(path)])
        runpy.run_path(str(TOOL), run_name="__main__")  # which ends in SystemExit where a part has failed
    return said.getvalue(), json.loads(path.read_text())


@pytest.mark.long
def test_each_part_has_a_process_of_its_own():
    done = subprocess.run([sys.executable, TOOL, "--cpu", "--scale", ".02"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("A REHEARSAL ON THE CPU"), done.stdout + done.stderr


def test_the_rehearsal_says_that_it_is_one_and_wants_nothing(rehearsal):
    text, found = rehearsal
    assert text.startswith("A REHEARSAL ON THE CPU at scale 0.02; no GPU was used.")
    assert "Figures are wanted of a GPU at scale 1 only." in text and found["wanted"] == []
    assert found["failures"] == [] and found["gpu"] is None


def test_our_layers_agree_with_stock_s(rehearsal):
    _, found = rehearsal
    whats = {row["what"] for row in found["comparisons"]}
    assert {
        f"{body}: {part}" for body in gpu_agreement.BODIES for part in ("outputs", "gradients", "first 10 losses")
    } < whats
    assert any(what.startswith("12 layers; worst") for what in whats)
    assert all(row["ok"] and row["at_most"] < 1 for row in found["comparisons"] if "losses" not in row["what"])
    assert all(row["apart"] > 0 for row in found["comparisons"] if "outputs" in row["what"])  # not one and the same


def test_everything_is_timed(rehearsal):
    text, found = rehearsal
    for of in found["speed"].values():
        assert {"CPU, stock layers", "CPU, our layers"} <= set(of["runs"])
        for run in of["runs"].values():
            assert run["images_s"] == pytest.approx(of["batch"] / run["step_s"]) and run["peak_gb"] > 0
    training = found["training"]["of"]
    assert set(training) == set(gpu_speed.SOURCES)
    for source in (gpu_speed.RAW, gpu_speed.JPEG):
        share = 1 - training[gpu_speed.RESIDENT]["step_s"] / training[source]["step_s"]
        assert training[source]["waiting"] == pytest.approx(max(0, share)) and source in text
    assert "Python losses in place of native ones" in text and "iter_size 1" in text


def test_without_a_gpu_it_is_one_line_and_status_1(tmp_path):
    done = subprocess.run([sys.executable, TOOL, "--gpu", "99"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("gpu_check: --gpu 99: ") and done.stderr.count("\n") == 1
    assert "tools/setup --cuda" in done.stderr


@pytest.mark.parametrize("scale", [0, -1, 2])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(ValueError, match="wanted above 0 and at most 1"):
        Sizes(scale)


def test_differences_are_seen():
    reference = {"a": np.ones(4), "b": np.zeros(2)}
    assert gpu_agreement.apart(reference, reference) == {"a": 0, "b": 0}
    assert gpu_agreement.apart({"a": np.ones(4) * 1.1, "b": np.zeros(2)}, reference)["a"] == pytest.approx(0.1)
    assert gpu_agreement.apart({"b": np.zeros(2)}, reference)["a"] == float("inf")
    curve = np.linspace(3.5, 1, 100)
    assert gpu_curves.apart(curve, curve) == (0, 0)
    first, later = gpu_curves.apart(np.where(np.arange(100) < 50, curve, curve + 1), curve)
    assert first == 0 and later == pytest.approx(1 / 3.5)


def test_a_wrong_net_is_too_far_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("MINDPICS_ENGINE", "fast")
    reference, (ours,) = engines(None)
    gpu_agreement.write_whole(tmp_path, "AlexNet", 2, 67, 1 / 16)
    moved = gpu_agreement.whole(reference, tmp_path, "AlexNet")
    same = gpu_agreement.whole(ours, tmp_path, "AlexNet")
    net = read_message(tmp_path / "whole_AlexNet.prototxt", caffe_pb2.NetParameter())
    next(layer for layer in net.layer if layer.name == "pool2").pooling_param.pool = caffe_pb2.PoolingParameter.AVE
    write_message(net, tmp_path / "whole_AlexNet.prototxt")
    wrong = gpu_agreement.whole(ours, tmp_path, "AlexNet")
    for part in ("outputs", "gradients"):
        most = gpu_agreement.at_most(moved, part, "float32")
        assert max(same[part].values()) <= most < max(wrong[part].values())


def test_a_wrong_layer_is_too_far_apart(tmp_path, monkeypatch):
    """An exponent one thousandth off is seen in a layer that does something."""
    monkeypatch.setenv("MINDPICS_ENGINE", "fast")
    known = gpu_agreement.single_layers(engines(None)[0], tmp_path)
    assert max(np.abs(array).max() for array in known.values()) > 1
    shape, _ = gpu_agreement.LAYERS["LRN"]
    monkeypatch.setitem(
        gpu_agreement.LAYERS, "LRN", (shape, lambda x: layers.LRN(x, local_size=5, alpha=1, beta=0.751))
    )
    of = gpu_agreement.apart(gpu_agreement.single_layers(engines(None)[0], tmp_path), known)
    assert {name for name, value in of.items() if value > gpu_agreement.LEAST["float32"]} == {
        "LRN: top",
        "LRN: bottom's gradient",
    }
    assert {value for name, value in of.items() if not name.startswith("LRN")} == {0}


def test_a_part_that_ends_early_costs_its_own_figures_only():
    parts = gpu_check.Parts(None, 2)
    assert parts("first", _aborts) is None and parts("second", np.sqrt, 4.0).result == 2
    assert parts.failures == ["first: _aborts: found no result at its end; wanted one (see above)"]
    assert not passed({"failures": parts.failures, "comparisons": []})


def test_a_run_that_is_cut_short_leaves_what_it_found(tmp_path, monkeypatch):
    row = {"what": "x", "engine": PLAIN, "apart": 0.0, "at_most": 1.0, "ok": True}
    monkeypatch.setattr(gpu_check, "_agreement", lambda *args: [row])
    monkeypatch.setattr(gpu_check, "_speed", mock.Mock(side_effect=KeyboardInterrupt))
    written = []
    with pytest.raises(KeyboardInterrupt):
        gpu_check.run(tmp_path, None, 0.02, lambda result: written.append(json.dumps(result)))
    assert [json.loads(text)["comparisons"] for text in written] == [[row]]


def _aborts():
    os.abort()


def found_on_a_gpu(**changes):
    """What a run on a GPU would have found, invented."""
    runs = {
        CUDNN: {"forward_s": 0.01, "step_s": 0.02, "images_s": 6400, "peak_gb": 3.0},
        "PyTorch": {"forward_s": 0.02, "step_s": 0.01, "images_s": 12800, "peak_gb": 3.5},
    }
    source = {"step_s": 0.02, "images_s": 6400, "busy": 0.95, "peak_gb": 2.0}
    return {
        "gpu": 0,
        "scale": 1.0,
        "device": {},
        "machine": {"processor": "a processor", "cores": 2, "memory_gb": 8},
        "reference": "CPU",
        "failures": [],
        "seconds": 1,
        "comparisons": [{"what": "x", "engine": PLAIN, "apart": 2.0, "at_most": 1.0, "ok": False}],
        "speed": {"alexnet": {"batch": 128, "runs": runs}, "resnet50": {"batch": 32, "runs": runs}},
        "training": {"engine": CUDNN, "batch": 128, "of": {gpu_speed.RAW: source}},
        "smaller_batches": {1: 5.0, 2: 3.9},
        **changes,
    }


def test_each_wanted_figure_is_reached_or_not_or_was_not_measured():
    found = found_on_a_gpu()
    found["wanted"] = wanted(found)
    reached = {row["what"]: row["reached"] for row in found["wanted"]}
    assert reached["AlexNet all-in-one from raw LMDB, images/s"] is True  # 6400 of 4825
    assert reached["the same: GPU busy"] is True
    assert reached["alexnet, forward: cuDNN float32, times PyTorch float32"] is True
    assert reached["alexnet, step: cuDNN float32, times PyTorch float32"] is False
    assert reached["resnet50, batch 32: GB"] is False
    text = format_result(found)
    assert "TOO FAR APART" in text and "not reached; fits with iter_size 2" in text and not passed(found)
    silent = found_on_a_gpu(speed={}, smaller_batches={}, training={"engine": CUDNN, "batch": 128, "of": {}})
    assert {row["reached"] for row in wanted(silent)} == {None}


NVIDIA_SMI = """#!/bin/sh
case "$*" in
  *--id=1*name,driver_version*) echo "A GPU, 580.00, 8192" ;;
  *--id=1*utilization.gpu*)
    echo "0, 1000"; sleep .3
    echo "100, 3000"; echo "[N/A], [N/A]"; echo "80, 2500"; exec sleep 60 ;;
  *) echo "No devices were found"; exit 6 ;;
esac
"""


def test_memory_and_load_are_what_nvidia_smi_says(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,1")
    assert describe_gpu(1) == {"name": "A GPU", "driver": "580.00", "memory_gb": 8.6} and describe_gpu(0) == {}
    with GpuWatch(1) as watch:
        began = time.time()
        while len(watch.samples) < 3 and time.time() < began + 20:
            time.sleep(0.01)
    assert watch.peak_gb == pytest.approx(2000 * 2**20 / 1e9)
    assert watch.busy(began, time.time()) == pytest.approx(0.9)
    assert watch.busy(0, 1) is None


def test_without_nvidia_smi_nothing_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with GpuWatch(0) as watch:
        pass
    assert watch.peak_gb is None and watch.busy(0, time.time()) is None and describe_gpu(0) == {}


@pytest.mark.parametrize("encoded", [False, True])
def test_generated_pictures_differ_by_trait_and_pole(tmp_path, encoded):
    write_generated(tmp_path / "lmdb", 20, 64, encoded=encoded)
    found = {}
    for _, datum in read_lmdb(tmp_path / "lmdb"):
        found.setdefault(datum.label, to_pixels(datum).astype(float))
    assert sorted(found) == list(range(10)) and found[0].shape == (3, 64, 64)
    for label, pixels in found.items():
        across, down = pixels.mean(axis=(0, 1)).std(), pixels.mean(axis=(0, 2)).std()
        assert (across > down) == (label % 2 == 0)
    assert picture(0, 64, np.random.default_rng(0)).dtype == np.uint8
