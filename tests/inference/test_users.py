"""fc7 of an upload is the run's own, or the mismatch is said."""

import numpy as np
import pytest

from mindpics.caffe_files.lmdbs import read_mean
from mindpics.inference.feature_net import FeatureNet
from mindpics.inference.picture_traits import net_files
from mindpics.inference.users import Users
from mindpics.results.run_files import RunFiles
from pinterest_id.identify import open_identifier
from pinterest_id.plan import NET


def test_features_are_checked_against_the_runs(small_run):
    run = RunFiles(small_run)
    ranker, net = open_identifier(run.pinterest), FeatureNet(*net_files(run, NET))
    mean, first = read_mean(run.mindpics / "mean.binaryproto"), ranker.matrices[1][0]
    users = Users(ranker, net, mean)
    users.check_features(first)
    assert users.size == 75 and users.answer("moon", None)["by"] == "text"
    for other in (first[:9], -first, np.zeros_like(first)):
        with pytest.raises(ValueError, match=r"the net's features of .*0.png are not the run's \(cosine"):
            users.check_features(other)
