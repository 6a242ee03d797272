"""LMDBs as they lie about, beside Caffe itself: what it reads is read, what it aborts on is named by its key."""

import subprocess
import sys
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import caffe_train
from tool_module import run_tool

from mindpics.caffe_files.lmdbs import mean_image, read_lmdb
from mindpics.files.findings import errors
from mindpics.jobs.fork_first import in_fork
from mindpics.lint.net import lint_file
from mindpics.training.train import solve

RNG = np.random.default_rng(0)
NET = """layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "db" batch_size: %d backend: LMDB }
  transform_param { %s } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 2
  weight_filler { type: "gaussian" std: 0.001 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" %s }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.0001 lr_policy: "fixed" max_iter: 4
solver_mode: CPU random_seed: 1 snapshot_prefix: "s"
"""


def raw(*shape, **fields):
    datum = {"channels": shape[0], "height": shape[1], "width": shape[2], "data": RNG.bytes(int(np.prod(shape)))}
    return caffe_pb2.Datum(**datum | fields)


def encoded(*shape, dtype=np.uint8):
    pixels = RNG.integers(0, 256, shape, dtype=dtype)
    return caffe_pb2.Datum(encoded=True, data=cv2.imencode(".png", pixels)[1].tobytes())


GRAY = [raw(1, 8, 8) for _ in range(9)]
FLOATS = [caffe_pb2.Datum(channels=2, height=4, width=4, float_data=RNG.normal(size=32)) for _ in range(9)]
ENCODED_GRAY = [encoded(8, 8) for _ in range(9)]
MIXED = [encoded(8, 8, 3) if i != 5 else encoded(8, 8) for i in range(9)]
SIZES = [encoded(8 + i, 9, 3) for i in range(9)]
SIXTEEN_BITS = [encoded(8, 8, 3, dtype=np.uint16) for _ in range(9)]
FIVE = [raw(3, 8, 8) for _ in range(9)]
# records, batch, transform_param, of the loss
READ = {
    "gray": (GRAY, 4, "", ""),
    "gray with a crop": (GRAY, 4, "crop_size: 4", ""),
    "floats": (FLOATS, 4, "", ""),
    "floats with a crop": (FLOATS, 4, "crop_size: 2 mean_value: 1 mean_value: 2", ""),
    "encoded gray": (ENCODED_GRAY, 4, "crop_size: 4 mean_value: 3", ""),
    "encoded gray in colour": (ENCODED_GRAY, 4, "force_color: true mean_value: 1 mean_value: 2 mean_value: 3", ""),
    "gray and colour in colour": (MIXED, 4, "force_color: true", ""),
    "sixteen bits in colour": (SIXTEEN_BITS, 4, "force_color: true", ""),
    "five channels": ([raw(5, 8, 8) for _ in range(9)], 4, "", ""),
    "sizes with a crop": (SIZES, 4, "crop_size: 8", ""),
    "bytes beside floats": ([raw(1, 2, 2, float_data=[1] * 4) for _ in range(9)], 4, "", ""),
    "a label that is ignored": (FIVE, 4, "", "loss_param { ignore_label: 5 }"),
}
REFUSED = {
    "gray and colour": (
        MIXED,
        4,
        "",
        "",
        "found 1 channels under key '00000005', and 3 under '00000000'.*force_color: true",
    ),
    "sizes": (SIZES, 4, "", "", "wanted one shape"),
    "three mean_value for gray": (GRAY, 4, "mean_value: 1 mean_value: 2 mean_value: 3", "", "each of 1 channels"),
    "force_color and force_gray": (ENCODED_GRAY, 4, "force_color: true force_gray: true", "", "wanted one of them"),
    "too few bytes": ([raw(1, 4, 4, data=b"123")] * 9, 4, "", "", "key '00000000': found a Datum of 3 bytes"),
    "sixteen bits": (SIXTEEN_BITS, 4, "", "", "an encoded picture of uint16"),
}


def write(path, records, key="%08d"):
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for number, datum in enumerate(records):
            datum.label = 5 if records is FIVE and number == 7 else number % 2
            transaction.put((key % number).encode("latin-1"), datum.SerializeToString())


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return a function that writes an LMDB, a net and a solver."""
    monkeypatch.chdir(tmp_path)

    def make(records, batch, transform, loss, key="%08d"):
        write(tmp_path / "db", records, key)
        (tmp_path / "net.prototxt").write_text(NET % (batch, transform, loss))
        (tmp_path / "solver.prototxt").write_text(SOLVER)

    return make


@pytest.mark.parametrize("name", READ)
def test_what_caffe_reads_is_read(made, name):
    made(*READ[name])
    in_fork(caffe_train)
    assert not errors(lint_file("solver.prototxt", data=True))
    history = solve("solver.prototxt", "run", progress=False)
    assert history.iteration == 4
    # and of weights, Caffe's own say which fit
    assert not errors(lint_file("solver.prototxt", history.caffemodel, data=True))


@pytest.mark.parametrize("name", REFUSED)
def test_what_caffe_aborts_on_is_named(made, name):
    *fields, told = REFUSED[name]
    made(*fields)
    with pytest.raises(ValueError):
        in_fork(caffe_train)
    assert errors(lint_file("solver.prototxt", data=True))
    with pytest.raises(ValueError, match=told):
        solve("solver.prototxt", "run", progress=False)


def test_a_label_that_is_nobody_s_is_refused_wherever_it_stands(made):
    made(FIVE, 4, "", "")
    with pytest.raises(ValueError, match="takes labels 0..1, but db has 5 .key '00000007'."):
        solve("solver.prototxt", "run", progress=False)


def test_keys_may_be_of_any_bytes(made):
    made(GRAY, 4, "", "", key="\xff\xfe%d")
    in_fork(caffe_train)
    assert solve("solver.prototxt", "run", progress=False).iteration == 4
    assert [key for key, _ in read_lmdb("db")][:2] == [r"\xff\xfe0", r"\xff\xfe1"]


def test_the_mean_of_floats_is_that_of_their_values(made):
    made(FLOATS, 4, "", "")
    wanted = np.mean([np.reshape(datum.float_data, (2, 4, 4)) for datum in FLOATS], axis=0)
    np.testing.assert_allclose(mean_image("db"), wanted, rtol=1e-6)


MEANS = {
    "gray": GRAY,
    "encoded gray": ENCODED_GRAY,
    "floats": FLOATS,
    "colour": FIVE,
    "encoded colour": [encoded(8, 9, 3) for _ in range(9)],
    "five channels": READ["five channels"][0],
    "bytes beside floats": READ["bytes beside floats"][0],
}


@pytest.mark.parametrize("name", MEANS)
def test_the_mean_is_that_of_compute_image_mean(tmp_path, name, capsys):
    write(tmp_path / "db", MEANS[name])
    command = Path(sys.executable).with_name("compute_image_mean")
    subprocess.run([command, tmp_path / "db", tmp_path / "bvlc"], check=True, capture_output=True)
    assert run_tool("compute_mean", tmp_path / "db", tmp_path / "ours") == 0
    wanted, found = (caffe_pb2.BlobProto.FromString((tmp_path / file).read_bytes()) for file in ("bvlc", "ours"))
    np.testing.assert_allclose(found.data, wanted.data, rtol=1e-5, atol=1e-6)
    assert capsys.readouterr().out.count("mean ") == wanted.channels
    for blob in (wanted, found):
        blob.ClearField("data")
    assert found == wanted
