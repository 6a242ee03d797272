"""The suites caffe and data-layer at a small size: every figure is there, and all libraries ran the same net."""

import numpy as np
import pytest

from mindpics.benchmarks import data_layer as data_layer_benchmark
from mindpics.benchmarks import features as features_benchmark
from mindpics.benchmarks import machine, timing
from mindpics.benchmarks import passes as caffe_benchmark


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("caffe")
    return folder, caffe_benchmark.run(folder, ("alexnet",), (2,), (2,), rounds=1, repeats=1, curve=False, width=0.125)


def test_every_library_ran_the_same_net(result):
    _, found = result
    forward, step = found["cases"]
    assert {"ours", "stock Caffe", "OpenCV DNN"} <= set(forward["seconds"])
    assert max(forward["differs_from_stock"].values()) < 1e-4
    assert {"ours", "stock Caffe"} <= set(step["seconds"])
    assert min(value for case in found["cases"] for values in case["seconds"].values() for value in values) > 0


def test_ratios_and_shares_belong_to_the_seconds(result):
    _, found = result
    for case in found["cases"]:
        stock, ours = case["seconds"]["stock Caffe"][0], case["seconds"]["ours"][0]
        assert case["times_stock"]["ours"] == pytest.approx(stock / ours)
        assert case["share_of_sgemm"]["ours"] == pytest.approx(case["gflop"] / ours / case["sgemm_gflops"][0])
    text = caffe_benchmark.format_result(found)
    assert "fc7 of alexnet, 2 pictures" in text and "wanted: at least 1.6 x stock" in text


def test_work_of_alexnet_is_the_published(tmp_path):
    """0.72 billion multiplications and additions for a picture of 227x227 without fc8: 1.44 GFLOP."""
    layers, _ = machine.in_child(_work, tmp_path)
    assert sum(layers) == pytest.approx(1.44, abs=0.02)
    assert caffe_benchmark.Case("alexnet", "step", 2).gflop(layers) == pytest.approx(2 * (3 * sum(layers) - layers[0]))


def _work(folder):
    import caffe

    from mindpics.benchmarks import net_runs
    from mindpics.nets import rows as models
    from mindpics.nets import whole as nets

    models.write_message(nets.features_deploy("alexnet"), folder / "net.prototxt")
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    return [
        net_runs._gflop(net, name, layer)
        for name, layer in zip(net._layer_names, net.layers, strict=True)
        if layer.blobs
    ]


def test_data_layer_is_timed_raw_and_encoded(tmp_path):
    found = data_layer_benchmark.run(tmp_path, pictures=256, rounds=1, repeats=1)
    for kind in ("raw", "JPEG"):
        ours, stock = found["pictures_s"][kind]["ours"][0], found["pictures_s"][kind]["stock Caffe"][0]
        assert ours > 0 and found["times_stock"][kind] == pytest.approx(ours / stock)
    assert (tmp_path / "data_layer_cost.png").is_file() and len(found["costs"]) == 4
    assert "wanted: at least 3" in data_layer_benchmark.format_result(found)


def test_features_are_timed_from_pictures_to_file(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "SPACE", 1 << 25)  # a gigabyte is written and read otherwise
    monkeypatch.setattr(features_benchmark, "PARTS", (2,))
    found = features_benchmark.run(tmp_path, pictures=4, repeats=1, width=0.125)
    assert set(found["side_by_side"]) == {"ours", "stock Caffe", "OpenCV DNN"}
    assert found["apart"]["ours"] < 1e-4 and found["apart"]["OpenCV DNN"] < 0.2  # which warps with other weights
    assert (tmp_path / "features_cost.png").is_file() and found["costs"][0]["sizes"] == [2, 4]
    assert "fc7 of 4 JPEGs" in features_benchmark.format_result(found)


def test_machine_is_measured():
    assert machine.sgemm_gflops(256, 2) > 0.1 and machine.memory_gb_s(16, 2) > 0.1
    with pytest.raises(RuntimeError, match="_fails: found no result at its end"):
        machine.in_child(_fails)
    assert machine.in_child(np.sqrt, 4.0)[0] == 2


def _fails():
    raise SystemExit("on purpose")


def test_the_memory_of_a_process_is_not_that_of_the_one_which_started_it():
    held = np.ones(100_000_000)
    assert machine.in_child(np.sqrt, 4.0)[1] < held.nbytes / 1e9 < machine.peak_memory_gb()
