"""Features by real Caffe on small nets: which blob, before or after ReLU, crops, resuming, bad input."""

import hashlib
import json
import os
import resource
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from skimage.data import astronaut
from threadpoolctl import threadpool_limits
from tool_module import run_tool

from mindpics.caffe_files.datum import to_pixels
from mindpics.caffe_files.lmdbs import read_lmdb, write_mean
from mindpics.caffe_files.messages import write_message
from mindpics.inference import features
from mindpics.inference.feature_net import FeatureNet, load_mean, ten_crops
from mindpics.inference.features import extract_features, read_items
from mindpics.inference.picture_net import PictureNet, centre_crop
from mindpics.inference.predictor import Predictor
from mindpics.inference.reading import Reading, load_reading
from mindpics.nets.whole import deploy, features_deploy
from mindpics.training import device
from pinterest_id.feature_files import FeatureFile

ROOT = Path(__file__).resolve().parents[2]
SIZE, CROP = 75, 67


@pytest.fixture
def net_files(tmp_path):
    """A narrow AlexNet of random weights up to fc7: (deploy, caffemodel)."""
    path, model = tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel"
    write_message(features_deploy("alexnet", crop=CROP, width=0.0625), path)
    caffe.set_random_seed(3)
    net = caffe.Net(str(path), caffe.TEST)
    net.params["fc7"][1].data[...] = np.linspace(-0.01, 0.01, net.params["fc7"][1].data.size)  # some ReLUs close
    net.save(str(model))
    return path, model


@pytest.fixture
def pictures(tmp_path):
    """pins.jsonl of seven pictures, one of which is broken, and a pin without picture."""
    rng, lines = np.random.default_rng(0), []
    for index in range(7):
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(tmp_path / f"{index}.png")
        lines.append({"id": f"p{index}", "image": f"{index}.png"})
    (tmp_path / "3.png").write_bytes(b"GIF89a broken")
    lines.append({"id": "p7", "image": None})
    path = tmp_path / "pins.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


MEAN = np.full((3, SIZE, SIZE), 120, np.float32)


def expected(net_files, picture, layers):
    """fc7 of one picture, by Caffe's plain forward."""
    pixels = np.asarray(Image.open(picture))[:, :, ::-1].transpose(2, 0, 1)
    net = caffe.Net(str(net_files[0]), str(net_files[1]), caffe.TEST)
    net.blobs["data"].data[...] = centre_crop(pixels[None], MEAN, CROP)
    net.forward(end=layers)
    return net.blobs["fc7"].data.ravel().copy()


@pytest.mark.parametrize(("before_relu", "layer"), [(False, "drop7"), (True, "fc7")])
def test_rows_are_the_blob_of_each_picture(net_files, pictures, tmp_path, before_relu, layer):
    net = FeatureNet(*net_files, before_relu=before_relu)
    counts = extract_features(net, read_items(pictures), tmp_path / "fc7", MEAN, batch=4)
    array, ids = np.load(tmp_path / "fc7.npy"), (tmp_path / "fc7.ids.txt").read_text().split()
    assert counts == (6, 1) and ids == ["p0", "p1", "p2", "p4", "p5", "p6"]
    assert array.dtype == np.float32 and array.shape == (6, 256)
    for row, id_ in zip(array, ids, strict=True):
        np.testing.assert_allclose(row, expected(net_files, tmp_path / f"{id_[1:]}.png", layer), rtol=1e-4, atol=1e-7)
    assert (array < 0).any() == before_relu
    rejected = json.loads((tmp_path / "fc7.rejected.jsonl").read_text())
    assert rejected["id"] == "p3" and "no picture of a known format" in rejected["reason"]


def test_any_blob_is_flattened(net_files, pictures, tmp_path):
    net = FeatureNet(*net_files, blob="pool5")
    extract_features(net, read_items(pictures), tmp_path / "pool5", MEAN)
    assert np.load(tmp_path / "pool5.npy").shape == (6, net.net.blobs["pool5"].data[0].size)


INPUT = """layer { name: "%s" type: "Input" top: "%s"
  input_param { shape { dim: 3 dim: %d dim: %d dim: %d } } }
"""
FC = """layer { name: "fc" type: "InnerProduct" bottom: "%s" top: "fc"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
"""
FIXED = 'layer { name: "r" type: "Reshape" bottom: "data" top: "r" reshape_param { shape { dim: 3 dim: -1 } } }\n'
BOTH = 'layer { name: "c" type: "Concat" bottom: "other" bottom: "data" top: "c" }\n'
INFO = 'layer { name: "im_info" type: "Input" top: "im_info" input_param { shape { dim: 1 dim: 3 } } }\n'


def data(channels=3, height=8, width=8, name="data"):
    return INPUT % (name, name, channels, height, width)


# deploy net, what is given beside it, height and width that pictures are warped to, and those of the crop
ODD_DEPLOYS = {
    "a batch of three, whatever comes": (data() + FIXED + FC % "r", "--size 8", (8, 8), (8, 8)),
    "another input, first": (data(2, name="other") + data() + BOTH + FC % "c", "--size 8", (8, 8), (8, 8)),
    "im_info, as detectors have it": (INFO + data() + FC % "data", "--size 8", (8, 8), (8, 8)),
    "one channel": (data(1) + FC % "data", "--size 8", (8, 8), (8, 8)),
    "one channel, 256": (data(1) + FC % "data", "", (256, 256), (8, 8)),
    "wide": (data(3, 9, 20) + FC % "data", "", (9, 20), (9, 20)),
    "high, of one channel": (data(1, 21, 6) + FC % "data", "", (21, 6), (21, 6)),
    "wide, a crop of what is wider": (data(3, 9, 20) + FC % "data", "--size 12x33", (12, 33), (9, 20)),
    "above 256": (data(3, 260, 260) + FC % "data", "", (260, 260), (260, 260)),
    "one pixel": (data(3, 1, 1) + FC % "data", "--size 1", (1, 1), (1, 1)),
}


@pytest.fixture
def photographs(tmp_path):
    """pins.jsonl of a JPEG and of a PNG, neither of them square, neither of them gray."""
    picture = Image.fromarray(astronaut()[:300])
    picture.save(tmp_path / "a.jpg", quality=80)
    picture.save(tmp_path / "b.png")
    (tmp_path / "pins.jsonl").write_text("".join(f'{{"id": "{n}", "image": "{n}"}}\n' for n in ("a.jpg", "b.png")))
    return tmp_path / "pins.jsonl"


def as_converted(pins, size, channels):
    """Return the pictures of pins as BVLC's convert_imageset stores them, [C, H, W]."""
    names = [json.loads(line)["image"] for line in pins.read_text().splitlines()]
    (pins.parent / "list.txt").write_text("".join(f"{name} 0\n" for name in names))
    switches = f"--resize_height={size[0]}", f"--resize_width={size[1]}", f"--gray={str(channels == 1).lower()}"
    places = f"{pins.parent}/", pins.parent / "list.txt", pins.parent / "converted"
    converter = Path(sys.executable).parent / "convert_imageset"
    subprocess.run([converter, *switches, *places], check=True, capture_output=True)
    return [to_pixels(datum) for _, datum in read_lmdb(pins.parent / "converted")]


def write_odd(name, folder):
    """Write the deploy net and its weights; return (net, arguments of the tool)."""
    deploy_file, model = folder / "deploy.prototxt", folder / "w.caffemodel"
    deploy_file.write_text(ODD_DEPLOYS[name][0])
    caffe.set_random_seed(5)
    net = caffe.Net(str(deploy_file), caffe.TEST)
    net.save(str(model))
    return net, (deploy_file, model)


@pytest.mark.parametrize("name", ODD_DEPLOYS)
def test_any_deploy_that_caffe_opens_is_run(tmp_path, photographs, name):
    _, given, size, crop = ODD_DEPLOYS[name]
    net, files = write_odd(name, tmp_path)
    channels = net.blobs["data"].data.shape[1]
    options = "--blob", "fc", "--jsonl", photographs, "--out", tmp_path / "fc", "--mean", *["10"] * channels
    assert run_tool("extract_features", *files, *options, *given.split()) == 0
    rows = np.load(tmp_path / "fc.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = Predictor(*files, [10] * channels, size=size)
    paths = [tmp_path / "a.jpg", tmp_path / "b.png"]
    np.testing.assert_array_equal(predictor.predict(paths)[:, :4], rows)
    np.testing.assert_array_equal(predictor.features(paths, "fc"), rows)
    for row, pixels in zip(rows, as_converted(photographs, size, channels), strict=True):
        top, start = ((whole - part) // 2 for whole, part in zip(size, crop, strict=True))
        net.blobs["data"].data[...] = 0
        net.blobs["data"].data[0] = pixels[:, top : top + crop[0], start : start + crop[1]].astype(np.float32) - 10
        net.forward()
        np.testing.assert_allclose(row, net.blobs["fc"].data[0], rtol=1e-4, atol=1e-2)


OTHER = FC.replace('"fc"', '"other"')
RESHAPE = 'layer { name: "r" type: "Reshape" bottom: "fc" top: "r" reshape_param { shape { dim: %s dim: -1 } } }\n'
SOFTMAX = 'layer { name: "prob" type: "Softmax" bottom: "r" top: "prob" }\n'
ROWS = 'layer { name: "r" type: "Concat" bottom: "fc" bottom: "other" top: "%s" concat_param { axis: 0 } }\n'
TILE = 'layer { name: "r" type: "Tile" bottom: "fc" top: "r" tile_param { axis: 0 tiles: 2 } }\n'
SWAP = """layer { name: "s" type: "Slice" bottom: "fc" top: "x" top: "y" top: "z" slice_param { axis: 0 } }
layer { name: "r" type: "Concat" bottom: "x" bottom: "z" bottom: "y" top: "r" concat_param { axis: 0 } }
"""
CONSTANT = """layer { name: "c" type: "DummyData" top: "c" dummy_data_param { shape { dim: 1 dim: 4 }
  data_filler { type: "constant" value: 2 } } }
layer { name: "flat" type: "Flatten" bottom: "c" top: "flat" flatten_param { axis: 0 } }
layer { name: "r" type: "Scale" bottom: "fc" bottom: "flat" top: "r" }
"""
# what stands between fc and a softmax; whether the net takes any number of pictures
OF_ONE_PICTURE = {
    "one row of whatever comes": (RESHAPE % "1", False),
    "two rows of whatever comes, as of two pictures": (RESHAPE % "2", False),
    "rows of each of two layers": (OTHER % "data" + ROWS % "r", False),
    "a row of each": (RESHAPE % "0", True),
    "a constant of one row": (CONSTANT, True),
}
# the same in a net of three pictures; whether the rows are those of the first picture, of the second, of the third
OF_THREE_PICTURES = {
    "two rows of each": (RESHAPE % "6", True),
    "four rows of each": (RESHAPE % "12", True),
    "all in one row, and taken apart": (
        (RESHAPE % "1").replace('"r"', '"w"') + (RESHAPE % "3").replace('"fc"', '"w"'),
        True,
    ),
    "a layer's rows, then another's": (OTHER % "data" + ROWS % "r", False),
    "all rows twice": (TILE, False),
    "as many rows as pictures, of two layers": (
        OTHER % "data" + ROWS.replace('"r"', '"six"') % "six" + (RESHAPE % "3").replace('"fc"', '"six"'),
        False,
    ),
    "the second picture last": (SWAP, False),
}


@pytest.mark.parametrize("name", OF_ONE_PICTURE)
def test_pictures_of_a_batch_are_not_mixed(tmp_path, name):
    between, takes_any = OF_ONE_PICTURE[name]
    deploy_file, model = tmp_path / "deploy.prototxt", tmp_path / "w.caffemodel"
    fc = FC.replace("std: 1", "std: 0.001") % "data"
    deploy_file.write_text(data().replace("dim: 3", "dim: 1", 1) + fc + between + SOFTMAX)
    net = caffe.Net(str(deploy_file), caffe.TEST)
    net.save(str(model))
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    predictor = Predictor(deploy_file, model, (0, 0, 0), size=8)
    for _ in range(2):
        for row, pixels in zip(predictor.predict(pictures), pictures, strict=True):
            net.blobs["data"].data[0] = pixels[..., ::-1].transpose(2, 0, 1)
            np.testing.assert_allclose(row, net.forward()["prob"].ravel(), rtol=1e-5)
    assert PictureNet(deploy_file, net).is_fixed != takes_any


@pytest.mark.parametrize("name", OF_THREE_PICTURES)
def test_rows_that_are_not_of_one_picture_after_another_are_refused(tmp_path, name):
    between, in_order = OF_THREE_PICTURES[name]
    deploy_file, model = tmp_path / "deploy.prototxt", tmp_path / "w.caffemodel"
    deploy_file.write_text(data() + FC.replace("std: 1", "std: 0.001") % "data" + between + SOFTMAX)
    net = caffe.Net(str(deploy_file), caffe.TEST)
    net.save(str(model))
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    predictor = Predictor(deploy_file, model, (0, 0, 0), size=8)
    if in_order:
        net.blobs["data"].data[...] = pictures[:3, ..., ::-1].transpose(0, 3, 1, 2)
        wanted = net.forward()["prob"].reshape(3, -1)
        np.testing.assert_allclose(predictor.predict(pictures)[:3], wanted, rtol=1e-5)
        np.testing.assert_allclose(predictor.features(pictures, "prob")[:3], wanted, rtol=1e-5)
    else:
        message = r"the blob prob of shape .* for 3 pictures, whose rows are not those of one picture after another"
        for values_of in (predictor.predict, partial(predictor.features, blob="prob")):
            with pytest.raises(ValueError, match=message):
                values_of(pictures)


def test_a_rectangular_mean_image_says_how_large_pictures_are(tmp_path, photographs):
    net, files = write_odd("wide", tmp_path)
    mean = np.random.default_rng(0).uniform(90, 150, (3, 11, 24)).astype(np.float32)
    write_mean(tmp_path / "mean.binaryproto", mean)
    options = "--blob", "fc", "--jsonl", photographs, "--out", tmp_path / "fc"
    assert run_tool("extract_features", *files, "--mean", tmp_path / "mean.binaryproto", *options) == 0
    for row, pixels in zip(np.load(tmp_path / "fc.npy"), as_converted(photographs, (11, 24), 3), strict=True):
        net.blobs["data"].data[0] = (pixels - mean)[:, 1:10, 2:22]
        net.forward()
        np.testing.assert_allclose(row, net.blobs["fc"].data[0], rtol=1e-4, atol=1e-2)
    views = ten_crops(np.zeros((1, 3, 11, 24), np.uint8), mean, (9, 20))
    np.testing.assert_array_equal(views[3][0], -mean[:, 2:, 4:])


def test_what_the_other_input_gets_is_told(tmp_path, pictures, capsys):
    _, files = write_odd("another input, first", tmp_path)
    mean = "--size", "8", "--mean", "1", "2", "3"
    run_tool("extract_features", *files, "--blob", "fc", "--jsonl", pictures, *mean, "--out", tmp_path / "fc")
    assert "input other: zeros, as Caffe leaves it; the pictures are data" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="inputs other are left zero"):
        Predictor(*files, (1, 2, 3), size=8)


def test_inputs_that_take_no_pictures_and_blobs_without_rows_are_named(tmp_path):
    deploy_file, model = tmp_path / "deploy.prototxt", tmp_path / "w.caffemodel"
    deploy_file.write_text(data(2) + FC % "data")
    caffe.Net(str(deploy_file), caffe.TEST).save(str(model))
    with pytest.raises(ValueError, match=r"found the inputs {'data': \(3, 2, 8, 8\)}; wanted one of"):
        FeatureNet(deploy_file, model, blob="fc")
    with pytest.raises(ValueError, match=r"found the inputs .*; wanted one of \[N, 3 or 1, height, width\]"):
        Predictor(deploy_file, model, (1, 2, 3))
    whole = 'layer { name: "s" type: "Reduction" bottom: "fc" top: "sum" }'
    deploy_file.write_text(data() + FC % "data" + whole)
    caffe.Net(str(deploy_file), caffe.TEST).save(str(model))
    with pytest.raises(ValueError, match=r"found the blob sum of shape \(\) for 3 pictures; wanted rows of each"):
        FeatureNet(deploy_file, model, blob="sum")
    with pytest.raises(ValueError, match=r"found the blob sum of shape \(\) for 3 pictures; wanted rows of each"):
        Predictor(deploy_file, model, (1, 2, 3)).predict([np.zeros((8, 8, 3), np.uint8)])


def test_outputs_of_unequal_width_are_named_and_each_can_be_had(tmp_path):
    deploy_file, model = tmp_path / "deploy.prototxt", tmp_path / "w.caffemodel"
    two = FC.replace('"fc"', '"two"').replace("num_output: 4", "num_output: 2")
    deploy_file.write_text(data() + FC % "data" + two % "data")
    caffe.Net(str(deploy_file), caffe.TEST).save(str(model))
    predictor, pictures = Predictor(deploy_file, model, (1, 2, 3)), [np.zeros((8, 8, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"found outputs of {'fc': 4, 'two': 2} values a picture; wanted as many"):
        predictor.predict(pictures)
    assert predictor.features(pictures, "two").shape == (1, 2)


def test_arrays_for_a_gray_net_and_gray_arrays_for_a_colour_net(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    gray = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pixels])
    of_gray = Predictor(*write_odd("one channel", tmp_path)[1], 10, size=8)
    wanted = of_gray.predict(list(gray))
    np.testing.assert_array_equal(of_gray.predict(pixels), wanted)
    np.testing.assert_array_equal(of_gray.predict(gray[..., None]), wanted)
    of_colour = Predictor(*write_odd("a batch of three, whatever comes", tmp_path)[1], (10, 10, 10), size=8)
    repeated = np.repeat(gray[..., None], 3, axis=3)
    np.testing.assert_array_equal(of_colour.predict(list(gray)), of_colour.predict(repeated))
    for alone in (pixels[0], gray[0], gray[0][..., None]):
        for predictor in (of_gray, of_colour):
            np.testing.assert_array_equal(predictor.predict(alone), predictor.predict([alone]))
        np.testing.assert_array_equal(of_colour.features(alone, "fc"), of_colour.predict(alone))
    np.testing.assert_array_equal(of_gray.predict(gray), wanted)
    for pictures in ([np.zeros((8, 8, 4), np.uint8)], np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(ValueError, match=r"found an array uint8 \(8, 8, 4\); wanted uint8 \[H, W, 3\], RGB"):
            of_gray.predict(pictures)


@pytest.mark.parametrize("name", ["one channel", "a batch of three, whatever comes"])
def test_pixels_less_the_mean_are_scaled_as_in_training(tmp_path, photographs, name):
    net, files = write_odd(name, tmp_path)
    channels, scale = net.blobs["data"].data.shape[1], 0.00390625
    predictor = Predictor(*files, [10] * channels, size=8, scale=scale)
    paths = [tmp_path / "a.jpg", tmp_path / "b.png"]
    rows = predictor.predict(paths)
    np.testing.assert_array_equal(predictor.features(paths, "fc"), rows[:, :4])
    for row, pixels in zip(rows, as_converted(photographs, (8, 8), channels), strict=True):
        net.blobs["data"].data[...] = 0
        net.blobs["data"].data[0] = (pixels.astype(np.float32) - 10) * np.float32(scale)
        net.forward()
        np.testing.assert_allclose(row[:4], net.blobs["fc"].data[0], rtol=1e-4, atol=1e-5)
    options = "--blob", "fc", "--jsonl", photographs, "--out", tmp_path / "fc", "--size", "8"
    options += "--mean", *["10"] * channels
    assert run_tool("extract_features", *files, *options, "--scale", str(scale)) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "fc.npy"), rows[:, :4])
    assert load_reading(tmp_path / "fc") == Reading(scale=scale)
    assert FeatureFile(tmp_path / "fc").said().endswith(", centre crop, scaled by 0.00390625")
    with pytest.raises(SystemExit):
        run_tool("extract_features", *files, *options, "--scale", "nan")


@pytest.mark.parametrize(
    ("name", "mean"),
    [("a batch of three, whatever comes", [0]), ("one channel", [1, 2]), ("one channel", [])],
)
def test_another_number_of_means_than_channels_is_refused_in_words(tmp_path, name, mean):
    files = write_odd(name, tmp_path)[1]
    with pytest.raises(ValueError, match=f"mean: found .*, {len(mean)} of . channels; wanted a binaryproto"):
        Predictor(*files, mean, size=8)


def test_ten_crops_are_corners_centre_and_their_mirrors(net_files, pictures, tmp_path):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (1, 3, SIZE, SIZE), np.uint8)
    views = ten_crops(picture, MEAN, CROP)
    assert views.shape == (10, 1, 3, CROP, CROP)
    edge = SIZE - CROP
    np.testing.assert_array_equal(views[1][0], picture[0, :, :CROP, edge:] - MEAN[:, :CROP, edge:])
    np.testing.assert_array_equal(views[4], centre_crop(picture, MEAN, CROP))
    np.testing.assert_array_equal(views[5:], views[:5, ..., ::-1])
    np.testing.assert_array_equal(ten_crops(picture, MEAN, CROP, 0.5), views / 2)
    net = FeatureNet(*net_files)
    extract_features(net, read_items(pictures), tmp_path / "ten", MEAN, oversample=True)
    pixels = np.asarray(Image.open(tmp_path / "0.png"))[:, :, ::-1].transpose(2, 0, 1)[None]
    by_hand = np.mean([net.run(view)[0] for view in ten_crops(pixels, MEAN, CROP)], axis=0)
    np.testing.assert_allclose(np.load(tmp_path / "ten.npy")[0], by_hand, rtol=1e-4, atol=1e-7)


def test_a_killed_run_goes_on_with_the_shards_it_has(net_files, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 4)
    net, items, runs = FeatureNet(*net_files), read_items(pictures), []
    run = net.run

    def counted(data):
        if runs:
            raise KeyboardInterrupt
        runs.append(len(data))
        return run(data)

    net.run = counted
    with pytest.raises(KeyboardInterrupt):
        extract_features(net, items, tmp_path / "fc7", MEAN)
    assert not (tmp_path / "fc7.npy").exists()
    net.run = lambda data: (runs.append(len(data)), run(data))[1]
    extract_features(net, items, tmp_path / "fc7", MEAN)
    assert sum(runs) == 6 and not (tmp_path / "fc7.shards").exists()
    assert extract_features(net, items, tmp_path / "fc7", MEAN) == (6, 1) and sum(runs) == 6
    net_files[1].write_bytes(net_files[1].read_bytes() + b"\x08\x00")  # a field more: other weights to a hash
    extract_features(net, items, tmp_path / "fc7", MEAN)
    assert sum(runs) == 12


def test_a_shard_without_a_picture_that_can_be_read_costs_no_other(net_files, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 1)
    assert extract_features(FeatureNet(*net_files), read_items(pictures), tmp_path / "fc7", MEAN) == (6, 1)
    assert np.load(tmp_path / "fc7.npy").shape == (6, 256)


def test_shards_are_joined_with_few_files_open(net_files, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 1)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def run_tasks(write, shards):
        yield from (write(*shard) for shard in shards)
        taken = set(map(int, os.listdir("/proc/self/fd")))
        fifth = [number for number in range(len(taken) + 5) if number not in taken][4]
        resource.setrlimit(resource.RLIMIT_NOFILE, (fifth, limits[1]))

    items = read_items(pictures)
    try:
        assert extract_features(FeatureNet(*net_files), items, tmp_path / "fc7", MEAN, run_tasks=run_tasks) == (6, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_wrong_blob_lists_those_there_are(net_files):
    with pytest.raises(ValueError, match=r"found no blob 'fc9'; wanted one of data, conv1, .*fc6, fc7"):
        FeatureNet(*net_files, blob="fc9")
    with pytest.raises(ValueError, match="found no ReLU in place that overwrites pool5, of the layers Pool"):
        FeatureNet(*net_files, blob="pool5", before_relu=True)


def test_weights_must_be_there_and_fit(net_files, tmp_path):
    with pytest.raises(ValueError, match="nowhere.caffemodel: found no such file; wanted a caffemodel"):
        FeatureNet(net_files[0], tmp_path / "nowhere.caffemodel")
    message = caffe.proto.caffe_pb2.NetParameter.FromString(net_files[1].read_bytes())
    kept = [layer for layer in message.layer if layer.name != "conv3"]
    del message.layer[:]
    message.layer.extend(kept)
    (tmp_path / "half.caffemodel").write_bytes(message.SerializeToString())
    with pytest.raises(ValueError, match="half.caffemodel: found no weights for conv3"):
        FeatureNet(net_files[0], tmp_path / "half.caffemodel")
    FeatureNet(net_files[0], tmp_path / "half.caffemodel", blob="conv2")  # conv3 is not needed
    write_message(features_deploy("alexnet", crop=CROP, width=0.125), tmp_path / "wide.prototxt")
    with pytest.raises(ValueError, match="layer conv1 has blobs"):
        FeatureNet(tmp_path / "wide.prototxt", net_files[1])


def test_heads_above_the_blob_may_lack_weights(net_files, tmp_path):
    write_message(deploy("alexnet", crop=CROP, width=0.0625), tmp_path / "heads.prototxt")
    assert FeatureNet(tmp_path / "heads.prototxt", net_files[1]).run(np.zeros((2, 3, CROP, CROP))).shape == (2, 256)


def test_means(tmp_path, net_files, pictures):
    assert load_mean(["1", "2", "3"], 5)[:, 0, 0].tolist() == [1, 2, 3]
    np.save(tmp_path / "mean.npy", MEAN)
    np.testing.assert_array_equal(load_mean([str(tmp_path / "mean.npy")], 9), MEAN)
    with pytest.raises(ValueError, match="no such file; wanted a mean: a binaryproto"):
        load_mean(["gone.binaryproto"], 9)
    with pytest.raises(ValueError, match="mean: found a b 3; wanted a binaryproto, a .npy, or three numbers"):
        load_mean(["a", "b", "3"], 9)
    for values in (["nan"] * 3, [1, 2, "1e39"]):
        with pytest.raises(ValueError, match="mean: found values that are not finite; wanted a binaryproto, a .npy"):
            load_mean(values, 9)
    for wrong, message in (
        (np.full((3, 4, 4), np.nan), "values that are not finite"),
        (np.full((3, 4, 4), "a"), "<U1"),
    ):
        np.save(tmp_path / "wrong.npy", wrong)
        with pytest.raises(ValueError, match=rf"wrong.npy: found {message}; wanted \[3, height, width\] of finite"):
            load_mean([str(tmp_path / "wrong.npy")], 9)
    with pytest.raises(ValueError, match="found pictures of 3x60x60; wanted .* at least the net's input, 3x67x67"):
        extract_features(FeatureNet(*net_files), read_items(pictures), tmp_path / "x", MEAN[:, :60, :60])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "a"}, r"line 1: found \['id'\]; id and image are wanted"),
        ({"id": "a", "image": "../b.png"}, "line 1: found image '../b.png'"),
    ],
)
def test_a_bad_list_of_pictures(tmp_path, line, message):
    (tmp_path / "list.jsonl").write_text(json.dumps(line))
    with pytest.raises(ValueError, match=message):
        read_items(tmp_path / "list.jsonl")


def test_the_tool(net_files, pictures, tmp_path):
    command = [sys.executable, ROOT / "tools" / "extract_features", *net_files, "--jsonl", pictures, "--size", "75"]
    done = subprocess.run(
        [*command, "--mean", "120", "120", "120", "--out", tmp_path / "f" / "fc7"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "fc7 after layer drop7" in done.stdout and "6 pictures; rejected: 1" in done.stdout
    assert np.load(tmp_path / "f" / "fc7.npy", mmap_mode="r").shape == (6, 256)
    failed = subprocess.run(
        [*command, "--mean", "1", "--blob", "fc9", "--out", "x"], check=False, capture_output=True, text=True
    )
    assert failed.returncode == 1 and "extract_features:" in failed.stderr and "no blob 'fc9'" in failed.stderr


def test_the_committed_deploy_net_is_the_generated_one():
    committed = caffe.proto.caffe_pb2.NetParameter()
    text_format.Parse((ROOT / "prototxt" / "decaf_fc7" / "deploy.prototxt").read_text(), committed)
    assert committed == features_deploy("alexnet")
    net = caffe.Net(str(ROOT / "prototxt" / "decaf_fc7" / "deploy.prototxt"), caffe.TEST)
    assert net.blobs["fc7"].data.shape == (1, 4096) and list(net.outputs) == ["fc7"]


def test_a_cluster_writes_the_same_bytes_by_shards(net_files, pictures, tmp_path, monkeypatch):
    from mindpics.jobs import cluster

    monkeypatch.setattr(features, "SHARD", 2)
    net = FeatureNet(*net_files)
    items = read_items(pictures)
    with threadpool_limits(1):  # as the workers of a cluster have; another number gives other last digits
        assert extract_features(net, items, tmp_path / "here", MEAN) == (6, 1)
    with cluster.connect("local", workers=2) as dask:
        run_tasks = partial(dask.run_tasks, set_device=device.set_device)
        assert extract_features(net, items, tmp_path / "there", MEAN, run_tasks=run_tasks) == (6, 1)
    for ending in (".npy", ".ids.txt", ".rejected.jsonl"):
        here, there = ((tmp_path / f"{name}{ending}").read_bytes() for name in ("here", "there"))
        assert here == there


def test_decafs_own_reading_is_a_switch_and_written_down(net_files, tmp_path):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (SIZE, 2 * SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    (tmp_path / "pins.jsonl").write_text('{"id": "a", "image": "wide.png"}\n')
    command = [
        sys.executable,
        ROOT / "tools" / "extract_features",
        *net_files,
        "--jsonl",
        tmp_path / "pins.jsonl",
        "--size",
        str(SIZE),
        "--mean",
        "120",
        "120",
        "120",
        "--out",
        tmp_path / "fc7",
    ]
    subprocess.run([*command, "--no-warp", "--ten-crops", "--before-relu"], check=True, capture_output=True)
    assert load_reading(tmp_path / "fc7") == Reading("crop", before_relu=True, ten_crops=True)
    centre = pixels[:, SIZE // 2 : SIZE // 2 + SIZE, ::-1].transpose(2, 0, 1)[None]  # SIZE high: nothing is scaled
    sha1 = hashlib.sha1(net_files[1].read_bytes()).hexdigest()[:10]
    words = f"fc7 of {net_files[1]} (SHA-1 {sha1}), shorter side scaled and centre cut, before ReLU, ten crops"
    assert FeatureFile(tmp_path / "fc7").said() == words
    net = FeatureNet(*net_files, before_relu=True)
    by_hand = np.mean([net.run(view)[0] for view in ten_crops(centre, MEAN, CROP)], axis=0)
    found = np.load(tmp_path / "fc7.npy")[0]
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-6)
    subprocess.run(command, check=True, capture_output=True)  # another reading is extracted anew
    assert load_reading(tmp_path / "fc7") == Reading() and not np.allclose(np.load(tmp_path / "fc7.npy")[0], found)


def test_features_are_kept_while_nothing_that_they_depend_on_changes(net_files, pictures, tmp_path):
    items, runs = read_items(pictures), []

    def extract(net=None, mean=MEAN, **options):
        net = net or FeatureNet(*net_files)
        run = net.run
        net.run = lambda data: (runs.append(len(data)), run(data))[1]
        extract_features(net, items, tmp_path / "fc7", mean, **options)
        return len(runs) and (sum(runs), runs.clear())[0]

    assert extract() == 6 and extract() == 0
    assert extract(fit="crop") == 6 and extract(fit="crop") == 0
    for part in ("ids.txt", "rejected.jsonl"):
        (tmp_path / f"fc7.{part}").unlink()
        assert extract(fit="crop") == 6 and (tmp_path / f"fc7.{part}").is_file()
    assert extract(scale=0.5) == 6 and extract(scale=0.5) == 0
    assert extract(FeatureNet(*net_files, before_relu=True)) == 6
    assert extract(mean=MEAN + 1) == 6
    Image.new("RGB", (SIZE, SIZE)).save(tmp_path / "0.png")
    assert extract(mean=MEAN + 1) == 6 and extract(mean=MEAN + 1) == 0
    net_files[0].write_text(net_files[0].read_text() + "# another net\n")
    assert extract(mean=MEAN + 1) == 6
