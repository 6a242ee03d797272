"""fc7 of an upload is the run's own, or the mismatch is said."""

from types import SimpleNamespace

import numpy as np
import pytest

from mindpics.caffe_files.lmdbs import read_mean
from mindpics.inference.feature_net import FeatureNet, ten_crops
from mindpics.inference.picture_traits import net_files
from mindpics.inference.reading import Reading
from mindpics.inference.users import Users
from mindpics.results.run_files import RunFiles
from pinterest_id.identify import open_identifier
from pinterest_id.plan import NET
from pinterest_id.study import FOLDER


def test_an_upload_is_read_as_the_runs_pictures_were(small_run):
    """A run of DeCAF's own reading: no warp, ten crops, before ReLU."""
    run, reading = RunFiles(small_run), Reading("crop", before_relu=True, ten_crops=True)
    net, mean = FeatureNet(*net_files(run, NET), before_relu=True), read_mean(run.mindpics.mean)
    seen = []
    ranker = SimpleNamespace(rank=lambda text, features: seen.append(features))
    users = Users(ranker, net, mean, reading)
    pixels = np.random.default_rng(0).integers(0, 256, (75, 75, 3), np.uint8)
    users.answer("moon", pixels)
    views = ten_crops(pixels.transpose(2, 0, 1)[None], mean, net.crop)
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
    assert users.size == 75 and users.answer("moon", None)["by"] == "text"
    for other in (first[:9], -first, np.zeros_like(first)):
        with pytest.raises(ValueError, match=r"the net's features of .*0.png are not the run's \(cosine"):
            users.check_features(other)
