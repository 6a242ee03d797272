"""fc7 of an upload is the run's own, or the mismatch is said."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from caffe_nets import make_net
from page_server import serving
from tool_module import run_tool

from mindpics.caffe_files.lmdbs import read_mean
from mindpics.inference.feature_net import FeatureNet, load_mean, ten_crops
from mindpics.inference.features import extract_features
from mindpics.inference.picture_traits import net_files
from mindpics.inference.reading import Reading
from mindpics.inference.uploads import Decoder
from mindpics.inference.users import Users, open_users
from mindpics.posts import crops
from mindpics.results.run_files import RunFiles
from pinterest_id.experiment import Experiment
from pinterest_id.identify import open_identifier
from pinterest_id.options import Options
from pinterest_id.plan import NET
from pinterest_id.study import FOLDER, read_study
from pinterest_id.tables import write_report

SMALL = """layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: %d dim: 8 dim: 8 } } }
layer { name: "fc7" type: "InnerProduct" bottom: "data" top: "fc7"
  inner_product_param { num_output: 9 weight_filler { type: "gaussian" std: 1 } } }
"""


def test_an_upload_is_read_as_the_runs_pictures_were(small_run):
    """A run of DeCAF's own reading, no warp, ten crops, before ReLU, and of a scale."""
    run, reading = RunFiles(small_run), Reading("crop", before_relu=True, ten_crops=True, scale=0.5)
    net, mean = FeatureNet(*net_files(run, NET), before_relu=True), read_mean(run.mindpics.mean)
    seen = []
    ranker = SimpleNamespace(rank=lambda text, features: seen.append(features))
    users = Users(ranker, net, mean, reading)
    pixels = np.random.default_rng(0).integers(0, 256, (75, 75, 3), np.uint8)
    users.answer("moon", pixels)
    views = ten_crops(pixels.transpose(2, 0, 1)[None], mean, net.crop, 0.5)
    np.testing.assert_allclose(seen[0], np.mean([net.run(view)[0] for view in views], axis=0), rtol=1e-4, atol=1e-6)
    assert users.fit == "crop"
    with pytest.raises(ValueError, match="before ReLU"):
        Users(ranker, FeatureNet(*net_files(run, NET)), mean, reading)


def test_features_are_checked_against_the_runs(small_run):
    run = RunFiles(small_run)
    ranker, net = open_identifier(small_run / FOLDER), FeatureNet(*net_files(run, NET))
    mean, first = read_mean(run.mindpics.mean), ranker.matrices[1][0]
    users = Users(ranker, net, mean)
    users.check_features(first)
    assert users.shape == (3, 75, 75) and users.answer("moon", None)["by"] == "text"
    for other in (first[:9], -first, np.zeros_like(first)):
        with pytest.raises(ValueError, match=r"the net's features of .*0.png are not the run's \(cosine"):
            users.check_features(other)


@pytest.mark.parametrize("fit", ["warp", "crop"])
@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (1, (9, 13)), (3, (13, 9))])
def test_an_upload_to_a_gray_net_or_a_rectangle_is_read_as_its_features_were(tmp_path, fit, channels, size):
    net = make_net(tmp_path, SMALL % channels)
    net.save(str(tmp_path / "net.caffemodel"))
    net, mean = (
        FeatureNet(tmp_path / "net.prototxt", tmp_path / "net.caffemodel"),
        load_mean([10] * channels, size, channels),
    )
    picture = tmp_path / "a.png"
    picture.write_bytes(crops.pack(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8), "png"))
    extract_features(net, [("a", picture)], tmp_path / "fc7", mean, fit=fit)
    row, seen = np.load(tmp_path / "fc7.npy")[0], []
    ranker = SimpleNamespace(rank=lambda text, features: seen.append(features), paths=[picture])
    users = Users(ranker, net, mean, Reading(fit))
    users.check_features(row)
    decoder = Decoder()
    users.answer("", decoder(picture.read_bytes(), users.shape, users.fit))
    decoder.close()
    np.testing.assert_allclose(seen[0], row, rtol=1e-5)


def test_a_mean_of_other_channels_than_the_nets_is_refused_before_caffe_aborts(small_run):
    net = FeatureNet(*net_files(RunFiles(small_run), NET))
    with pytest.raises(ValueError, match="mean: found pictures of 1x75x75; wanted 3 channels and at least"):
        Users(None, net, np.zeros((1, 75, 75), np.float32))


@pytest.fixture
def of_given_weights(small_run, tmp_path):
    """A run of pins alone whose fc7 is of weights from elsewhere, as at the paper's scale; and those weights."""
    deploy, trained = net_files(RunFiles(small_run), NET)
    weights = tmp_path / "given.caffemodel"
    shutil.copyfile(trained, weights)
    pins, folder = small_run.parent / "clipart" / "pins.jsonl", tmp_path / "run" / FOLDER
    words = ["--mean", 104, 117, 123, "--size", 75, "--no-warp", "--jsonl", pins, "--out", folder / "fc7"]
    run_tool("extract_features", deploy, weights, *words)
    Experiment(pins, folder / "fc7", folder, Options(sizes=(8, 2, 2), C_grid=(1,))).run()
    write_report(folder)
    return folder.parent, weights


def test_a_run_without_a_net_of_its_own_is_shown_by_the_net_that_made_its_features(of_given_weights):
    root, _ = of_given_weights
    with serving(root) as client:
        assert "pins to compare with, fc7 of given.caffemodel" in client.said
        drawn = open_identifier(root / FOLDER).paths[0].read_bytes()
        status, _, answer = client.post("/api/users", "moon", drawn)
        assert status == 200 and answer["by"] == "text and picture"


def test_a_recorded_net_that_is_gone_is_named_or_the_runs_own_is_taken(of_given_weights, small_run):
    root, weights = of_given_weights
    weights.unlink()
    identifier, run = open_identifier(root / FOLDER), RunFiles(root, study=read_study)
    with pytest.raises(ValueError, match="given.caffemodel: found no such file; wanted a caffemodel"):
        open_users(identifier, identifier.features, run, NET)
    (root / "mindpics").symlink_to(small_run / "mindpics")  # the same weights
    assert open_users(identifier, identifier.features, run, NET)[1] == f"fc7 of {NET}"
