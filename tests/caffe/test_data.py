"""Data layers read, draw random numbers, crop and subtract means as BVLC Caffe 1.0's."""

import subprocess
import sys

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe_nets import data_layer, make_net, write_lmdb, write_solver

from mindpics.caffe_files.datum import to_pixels

SEED = 1701
WEIGHTS = """
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "uniform" min: -1 max: 1 } } }
"""


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (7, 3, 12, 10), dtype=np.uint8)


@pytest.fixture(scope="module")
def database(pictures, tmp_path_factory):
    return write_lmdb(tmp_path_factory.mktemp("raw") / "lmdb", pictures, range(7))


def test_train_and_test_layer_share_a_database(tmp_path, database):
    """In a process of its own: a reader shared by both, as Caffe once had it, waits for ever here."""
    net = data_layer(database, batch_size=3) + WEIGHTS
    path = write_solver(tmp_path, net + LOSS, test_iter=[2], test_interval=1, base_lr=0)
    script = f"import caffe; a, b = caffe.SGDSolver({path!r}), caffe.SGDSolver({path!r}); a.step(3); b.step(3)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, capture_output=True)


LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }'


def test_each_layer_reads_from_the_start_and_round(tmp_path, database):
    nets = [make_net(tmp_path, data_layer(database, batch_size=3)) for _ in range(2)]
    for expected in ([0, 1, 2], [3, 4, 5], [6, 0, 1]):
        for net in nets:
            assert net.forward(["label"])["label"].tolist() == expected


@pytest.mark.parametrize(("transform", "draws"), [({}, 1), ({"crop_size": 8}, 3), ({"mirror": True}, 3)])
def test_random_draws_of_the_set_up(tmp_path, database, transform, draws):
    """One draw seeds the prefetch thread, two the transformer; the weights that follow show how many."""
    caffe.set_random_seed(SEED)
    net = make_net(tmp_path, data_layer(database, **transform) + WEIGHTS, caffe.TRAIN)
    weights = net.params["fc"][0].data.ravel()
    size = weights.size + draws
    caffe.set_random_seed(SEED)
    sequence = (
        make_net(
            tmp_path,
            f"""
        layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 1 dim: {size} }} }} }}
        """
            + WEIGHTS.replace("num_output: 5", "num_output: 1"),
        )
        .params["fc"][0]
        .data.ravel()
    )
    np.testing.assert_array_equal(weights, sequence[draws:])


def expected_crops(pictures, mean, crop):
    """BVLC's draws: the second of the seed's starts the transformer's own; a picture takes three of them."""
    draws = np.random.RandomState(np.random.RandomState(SEED).randint(0, 2**32, 2, dtype=np.uint32)[1])
    for picture in pictures:
        mirror, top, left = draws.randint(0, 2**32, 3, dtype=np.uint32)
        top %= picture.shape[1] - crop + 1
        left %= picture.shape[2] - crop + 1
        cropped = (picture.astype(np.float32) - mean)[:, top : top + crop, left : left + crop]
        yield cropped[:, :, ::-1] if mirror % 2 else cropped


@pytest.mark.parametrize("encoded", [False, True], ids=["raw", "encoded"])
def test_mean_crop_and_mirror(tmp_path, pictures, encoded):
    mean = np.random.default_rng(1).uniform(0, 255, pictures.shape[1:]).astype(np.float32)
    blob = caffe_pb2.BlobProto(num=1, channels=3, height=12, width=10, data=mean.ravel())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    source = write_lmdb(tmp_path / "lmdb", pictures, range(7), encoded)
    layer = data_layer(source, 7, crop_size=8, mirror=True, mean_file=str(tmp_path / "mean.binaryproto"))

    caffe.set_random_seed(SEED)
    trained = make_net(tmp_path, layer, caffe.TRAIN).forward()["data"]
    np.testing.assert_array_equal(trained, list(expected_crops(pictures, mean, 8)))

    centre = make_net(tmp_path, layer.replace("mirror: true", ""), caffe.TEST).forward()["data"]
    np.testing.assert_array_equal(centre, (pictures.astype(np.float32) - mean)[:, :, 2:10, 1:9])


def test_of_a_datum_with_more_bytes_than_it_says_the_first_are_read(tmp_path, pictures):
    with lmdb.open(str(tmp_path / "lmdb"), map_size=1 << 20) as environment, environment.begin(write=True) as records:
        datum = caffe_pb2.Datum(channels=3, height=12, width=10, data=pictures[0].tobytes() + b"padding")
        records.put(b"0", datum.SerializeToString())
    found = make_net(tmp_path, data_layer(tmp_path / "lmdb")).forward()["data"]
    np.testing.assert_array_equal(found[0], pictures[0])
    np.testing.assert_array_equal(to_pixels(datum), pictures[0])
