"""fc7 of an uploaded picture, handed to a ranker of users."""

from pathlib import Path

import numpy as np

from mindpics.caffe_files.lmdbs import read_mean
from mindpics.files.feature_files import ABOUT
from mindpics.files.json_files import read_json
from mindpics.inference.feature_net import FeatureNet, load_mean
from mindpics.inference.picture_traits import net_files
from mindpics.inference.reading import Reading, load_reading
from mindpics.posts import crops
from mindpics.posts.picture_files import packed_reader

ALIKE = 0.999  # cosine; other threads add in another order


class Users:
    """A feature net before an object that ranks.

    Parameters
    ----------
    ranker
        Has `rank(text, features or None)` -> dict, and `paths`, the pictures it compares with.
    net : mindpics.inference.feature_net.FeatureNet
        One caller at a time.
    mean : float32 [channels, height, width]
    reading : mindpics.inference.reading.Reading, optional
        Of the ranker's own features; `net` is before or after ReLU as it says.
    """

    def __init__(self, ranker, net, mean, reading=None):
        self.ranker, self.net, self.mean, self.reading = ranker, net, mean, reading or Reading()
        if net.before_relu != self.reading.before_relu:
            raise ValueError(
                f"net: found a blob before ReLU: {net.before_relu}; wanted the run's reading, {self.reading}"
            )
        net.require_mean(mean)

    @property
    def fit(self):
        """How a picture is given the mean's size: a name of `mindpics.posts.crops.FITS`."""
        return self.reading.fit

    @property
    def shape(self):
        """Channels, height and width of a picture before it is cropped."""
        return self.mean.shape

    def answer(self, text, pixels):
        """Return what the ranker says of a text (may be empty) and uint8 [height, width, channels] (may be None)."""
        return self.ranker.rank(text, None if pixels is None else self._features(pixels.transpose(2, 0, 1)))

    def paths(self):
        """Return the picture files that the ranker compares with."""
        return self.ranker.paths

    def check_features(self, first):
        """Raise ValueError unless the net gives the ranker's first picture the features it had in the run."""
        read = packed_reader(self.shape, crops.MAX_PIXELS, self.fit)
        ours = self._features(np.frombuffer(read(self.paths()[0]), np.uint8).reshape(self.shape))
        same = ours.shape == first.shape
        cosine = float(ours @ first / max(np.linalg.norm(ours) * np.linalg.norm(first), 1e-12)) if same else 0
        if cosine < ALIKE:
            raise ValueError(
                f"the net's features of {self.paths()[0]} are not the run's (cosine {cosine:.3f}): "
                "it was trained again since; run tools/reproduce"
            )

    def _features(self, channels):
        return self.net.features(channels[None], self.mean, self.reading.ten_crops, self.reading.scale)[0]


def open_users(ranker, features, run, name):
    """Return (Users, which net it has): the net that made a ranker's features, checked against its first picture.

    Parameters
    ----------
    ranker
        As of `Users`, with `matrices`, of which the second holds the features.
    features : str
        NAME, whose NAME.json may say which net and mean that was.
    run : mindpics.results.run_files.RunFiles
    name : str
        NET_HEADS_INIT of the run's own net, taken where nothing is recorded or the run has moved.

    Raises
    ------
    ValueError
        When the net or its mean is not there, or gives other features.
    """
    reading, about = load_reading(features), read_json(Path(f"{features}{ABOUT}"))
    made_by = [about.get("deploy", ""), about.get("weights", "")]
    has_own = run.mindpics.nets.net(name).deploy.is_file()
    if "mean" in about and (all(Path(path).is_file() for path in made_by) or not has_own):
        net = FeatureNet(*made_by, about["blob"], reading.before_relu)
        mean = load_mean(about["mean"], about["size"], net.channels)
        weights = Path(made_by[1])
        is_own = run.mindpics.row(name).training(name).weights.resolve() == weights
        called = name if is_own else weights.name
    else:
        net = FeatureNet(*net_files(run, name), before_relu=reading.before_relu)
        mean, called = read_mean(run.mindpics.mean), name
    users = Users(ranker, net, mean, reading)
    users.check_features(ranker.matrices[1][0])
    return users, f"{net.blob} of {called}"
