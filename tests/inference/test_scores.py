"""Scores of saved nets: the same pixels as Caffe's own data layer, one net or five, bad input."""

import shutil
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest
from striped_pictures import CROP, SIZE

from mindpics.caffe_files.datum import to_pixels
from mindpics.caffe_files.lmdbs import read_lmdb, read_mean
from mindpics.caffe_files.messages import write_message
from mindpics.inference.infer import save_scores, score_lmdb
from mindpics.inference.picture_net import centre_crop
from mindpics.nets.whole import deploy
from mindpics.results.metrics import load_activations, load_iterate, load_scores
from mindpics.traits import TRAITS

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.mark.parametrize(("crop", "scale"), [(CROP, 1), (CROP - 1, 1), (SIZE, 1), (CROP, 0.017), (SIZE, 0.00390625)])
def test_centre_crop_is_what_caffes_data_layer_gives_in_test(pictures, tmp_path, crop, scale):
    (tmp_path / "data.prototxt").write_text(
        f'layer {{ name: "data" type: "Data" top: "data" top: "label" '
        f'transform_param {{ crop_size: {crop} scale: {scale} mean_file: "{pictures}/mean.binaryproto" }} '
        f'data_param {{ source: "{pictures}/test_lmdb" batch_size: 20 backend: LMDB }} }}'
    )
    net = caffe.Net(str(tmp_path / "data.prototxt"), caffe.TEST)
    net.forward()
    records = [datum for _, datum in read_lmdb(pictures / "test_lmdb")][:20]
    stored = np.stack([to_pixels(datum) for datum in records])
    ours = centre_crop(stored, read_mean(pictures / "mean.binaryproto"), crop, scale)
    np.testing.assert_array_equal(ours, net.blobs["data"].data)
    np.testing.assert_array_equal([datum.label for datum in records], net.blobs["label"].data)


def save_random_net(tmp_path, name, traits):
    """Write a narrow AlexNet of random weights; return (deploy, caffemodel)."""
    path = tmp_path / f"{name}.prototxt"
    write_message(deploy("alexnet", traits, crop=67, width=0.0625), path)
    caffe.set_random_seed(len(name))
    caffe.Net(str(path), caffe.TEST).save(str(tmp_path / f"{name}.caffemodel"))
    return path, tmp_path / f"{name}.caffemodel"


@pytest.fixture
def large_pictures(tmp_path):
    """An LMDB of 75x75 pictures, large enough for an AlexNet, and its mean."""
    import lmdb
    from caffe.proto import caffe_pb2

    rng = np.random.default_rng(0)
    with lmdb.open(str(tmp_path / "lmdb"), map_size=1 << 26) as env, env.begin(write=True) as transaction:
        for index in range(45):
            datum = caffe_pb2.Datum(channels=3, height=75, width=75, label=index % 10)
            datum.data = rng.integers(0, 256, (3, 75, 75), np.uint8).tobytes()
            transaction.put(f"{index:08d}_pic_{index}".encode(), datum.SerializeToString())
    mean = caffe_pb2.BlobProto(num=1, channels=3, height=75, width=75, data=np.full(3 * 75 * 75, 128.0))
    (tmp_path / "mean.binaryproto").write_bytes(mean.SerializeToString())
    return tmp_path


def test_five_independent_nets_fill_one_scores_file(large_pictures):
    nets = [save_random_net(large_pictures, trait, (trait,)) for trait in TRAITS]
    given = [str(part) for net in nets for part in ("--net", *net)]
    out = large_pictures / "scores.npz"
    subprocess.run(
        [
            sys.executable,
            TOOLS / "score_net",
            *given,
            "--lmdb",
            large_pictures / "lmdb",
            "--mean",
            large_pictures / "mean.binaryproto",
            "--out",
            out,
        ],
        check=True,
        capture_output=True,
    )
    ids, labels, scores = load_scores(out)
    assert list(ids[:2]) == ["pic_0", "pic_1"]
    assert list(labels) == [index % 10 for index in range(45)]
    np.testing.assert_allclose(scores.sum(axis=2), 1, atol=1e-5)
    # the last batch (13 of 32) is scored as any other: one picture at a time gives the same
    one = score_lmdb(nets, large_pictures / "mean.binaryproto", large_pictures / "lmdb", batch=1)[2]
    np.testing.assert_allclose(scores, one, atol=1e-5)
    printed = subprocess.run(
        [sys.executable, TOOLS / "eval_traits", out, "--json", large_pictures / "f.json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.splitlines()[-1].startswith("avg")
    assert (large_pictures / "f.json").exists()


def test_a_trait_that_is_missing_or_given_twice_is_named(large_pictures):
    files = large_pictures / "mean.binaryproto", large_pictures / "lmdb"
    nets = [save_random_net(large_pictures, trait, (trait,)) for trait in "OC"]
    with pytest.raises(ValueError, match="outputs .'prob_C', 'prob_O'.; wanted each of .*prob_N.* once"):
        score_lmdb(nets, *files)
    with pytest.raises(ValueError, match="wanted each of .* once"):
        score_lmdb([save_random_net(large_pictures, "all", TRAITS), nets[0]], *files)


def test_a_net_with_layers_that_the_weights_lack_is_refused(large_pictures):
    _, weights = save_random_net(large_pictures, "O", ("O",))
    path, _ = save_random_net(large_pictures, "all", TRAITS)
    with pytest.raises(ValueError, match="found no weights for score_C, score_E, score_A, score_N"):
        score_lmdb([(path, weights)], large_pictures / "mean.binaryproto", large_pictures / "lmdb")


def test_activations_are_the_output_units_whose_softmax_the_scores_are_over_several_lmdbs(large_pictures):
    lmdb, mean = large_pictures / "lmdb", large_pictures / "mean.binaryproto"
    deployed, weights = save_random_net(large_pictures, "all", TRAITS)
    command = [sys.executable, TOOLS / "score_net", "--net", deployed, weights, "--mean", mean, "--lmdb", lmdb, lmdb]
    out = large_pictures / "all.npz"
    subprocess.run([*command, "--activations", "--batch", "20", "--out", out], check=True, capture_output=True)
    ids, units = load_activations(out)
    scores = load_scores(out)[2]
    assert len(ids) == 90 and np.array_equal(units[:45], units[45:]) and np.array_equal(ids[:45], ids[45:])
    powers = np.exp(units.astype(np.float64))
    np.testing.assert_allclose(powers / powers.sum(axis=2, keepdims=True), scores, rtol=1e-4)
    assert np.ptp(units.sum(axis=2)) > 0  # no log odds: Low's unit is not High's with another sign
    save_scores(out, ids, np.zeros(90, int), scores)
    with pytest.raises(ValueError, match="all.npz.*activations"):
        load_activations(out)


def test_scores_are_of_pixels_scaled_as_in_training(large_pictures):
    lmdb, mean, out = (large_pictures / name for name in ("lmdb", "mean.binaryproto", "all.npz"))
    path, weights = large_pictures / "linear.prototxt", large_pictures / "linear.caffemodel"
    heads = (
        f'layer {{ name: "score_{trait}" type: "InnerProduct" bottom: "data" top: "score_{trait}" inner_product_param '
        '{ num_output: 2 weight_filler { type: "gaussian" std: 0.01 } } }\n'
        f'layer {{ name: "prob_{trait}" type: "Softmax" bottom: "score_{trait}" top: "prob_{trait}" }}\n'
        for trait in TRAITS
    )
    data = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 45 dim: 3 dim: 67 dim: 67 } } }\n'
    path.write_text(data + "".join(heads))
    net = caffe.Net(str(path), caffe.TEST)
    net.save(str(weights))
    stored = np.stack([to_pixels(datum) for _, datum in read_lmdb(lmdb)])
    net.blobs["data"].data[...] = (stored - read_mean(mean))[:, :, 4:71, 4:71] * np.float32(0.017)
    wanted = net.forward()
    command = [sys.executable, TOOLS / "score_net", "--net", path, weights, "--mean", mean, "--lmdb", lmdb]
    subprocess.run([*command, "--scale", ".017", "--out", out], check=True, capture_output=True)
    scores = load_scores(out)[2]
    for number, trait in enumerate(TRAITS):
        np.testing.assert_allclose(scores[:, number], wanted[f"prob_{trait}"], rtol=0, atol=1e-5)
    assert np.abs(score_lmdb([(path, weights)], mean, lmdb)[2] - scores).max() > 0.1


def test_heads_whose_rows_are_not_of_one_picture_after_another_are_refused(large_pictures):
    path, weights = large_pictures / "swapped.prototxt", large_pictures / "swapped.caffemodel"
    text = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 67 dim: 67 } } }
    layer { name: "apart" type: "Slice" bottom: "data" top: "first" top: "second" slice_param { axis: 0 } }
    layer { name: "swapped" type: "Concat" bottom: "second" bottom: "first" top: "s" concat_param { axis: 0 } }
    """
    for trait in TRAITS:
        text += (
            f'layer {{ name: "score_{trait}" type: "InnerProduct" bottom: "s" top: "score_{trait}" inner_product_param '
            '{ num_output: 2 weight_filler { type: "gaussian" std: 0.01 } } }\n'
            f'layer {{ name: "prob_{trait}" type: "Softmax" bottom: "score_{trait}" top: "prob_{trait}" }}\n'
        )
    path.write_text(text)
    caffe.Net(str(path), caffe.TEST).save(str(weights))
    message = r"swapped.prototxt: found the blob score_O of shape \(2, 2\) for 2 pictures, whose rows are not those of"
    with pytest.raises(ValueError, match=message):
        score_lmdb([(path, weights)], large_pictures / "mean.binaryproto", large_pictures / "lmdb")


def test_scores_keep_which_iterate_they_are_of(large_pictures):
    lmdb, mean, out = (large_pictures / name for name in ("lmdb", "mean.binaryproto", "all.npz"))
    deployed, weights = save_random_net(large_pictures, "all", TRAITS)
    run = large_pictures / "run"
    (run / "snapshots").mkdir(parents=True)
    (run / "run.json").write_text('{"iterations": 40, "caffemodel": "run/final.caffemodel"}')
    (run / "test.csv").write_text("iteration,accuracy_O\n20,0.9\n40,0.8\n")
    for name in ("final.caffemodel", "snapshots/net_iter_20.caffemodel", "snapshots/net_iter_40.caffemodel"):
        shutil.copy(weights, run / name)
    best = "best on the test set", 20
    for name, iterate, kept in (
        ("final.caffemodel", "last", ("last", 40)),
        ("final.caffemodel", "best", best),
        ("snapshots/net_iter_40.caffemodel", "best", best),
    ):
        command = [sys.executable, TOOLS / "score_net", "--net", deployed, run / name, "--mean", mean]
        command += ["--lmdb", lmdb, "--out", out, "--iterate", iterate]
        subprocess.run(command, check=True, capture_output=True)
        assert load_iterate(out) == [kept] and len(load_scores(out)[0]) == 45
