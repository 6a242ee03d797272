"""Traits of one picture by an all-in-one net: scores, nearest MindPics, occlusion map."""

import base64

import cv2
import numpy as np

from mindpics.caffe_files.lmdbs import read_mean
from mindpics.files.feature_files import read_features
from mindpics.inference.infer import load_net
from mindpics.inference.occlusion import GRID, occlusion_map
from mindpics.inference.picture_net import PictureNet, centre_crop, run
from mindpics.jobs.commands import as_typed
from mindpics.posts.nearest import Nearest
from mindpics.posts.posts import picture_path
from mindpics.posts.summary import read_mindpics
from mindpics.results.run_files import PAPERS_BEST, POOL
from mindpics.traits import POLES, TRAIT_NAMES, TRAITS

SHOWN = 8  # nearest MindPics


class PictureTraits:
    """A net in TEST phase, the mean it subtracts, and MindPics to compare with.

    Parameters
    ----------
    net : caffe.Net
        Outputs prob_O .. prob_N, and has a blob pool5. One caller at a time.
    mean : float32 [channels, height, width]
    mindpics : list of dict
        Rows of mindpics.csv, each with its "path".
    features : float32 [N, D]
        pool5 of them, in that order; none, and no nearest pictures are found.
    grid : int
        Of the occlusion map.
    """

    fit = "warp"  # as LMDBs are made

    def __init__(self, net, mean, mindpics=(), features=None, grid=GRID):
        lacking = {f"prob_{trait}" for trait in TRAITS} - set(net.outputs)
        if lacking:
            raise ValueError(f"net: found no output {', '.join(sorted(lacking))}; wanted an all-in-one net")
        self.net, self.mean, self.mindpics, self.grid = net, mean, list(mindpics), grid
        self.nearest = Nearest(features) if self.mindpics else None

    @property
    def shape(self):
        """Channels, height and width to which a picture is warped before it is cropped."""
        return self.mean.shape

    def answer(self, pixels):
        """Return what the net says of a picture, as values that JSON takes.

        Parameters
        ----------
        pixels : uint8 [height, width, channels], BGR

        Returns
        -------
        dict
            "traits": a dict a trait, its "high" the probability of the pole High (equation 3);
            "nearest": MindPics by the cosine of pool5; "occlusion": {trait: [grid][grid]}, how much
            "high" falls when that place is covered; "seen": the crop that the net saw, a PNG as data URI.
        """
        crop = self.net.blobs["data"].data.shape[-1]
        channels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        picture = centre_crop(channels[None], self.mean, crop)
        high, feature = self._run(picture)
        drops = occlusion_map(lambda pictures: self._run(pictures)[0], picture[0], self.grid)
        whole = centre_crop(channels[None], np.zeros_like(self.mean), crop)[0]
        return {
            "traits": [_trait(trait, float(value)) for trait, value in zip(TRAITS, high[0], strict=True)],
            "nearest": self._nearest(feature[0]),
            "occlusion": {trait: np.round(drop, 5).tolist() for trait, drop in zip(TRAITS, drops, strict=True)},
            "seen": _png(whole.transpose(1, 2, 0)),
        }

    def paths(self):
        """Return the picture files of the MindPics, in the order of "index"."""
        return [row["path"] for row in self.mindpics]

    def _run(self, pictures):
        """Return P(High) [N, 5] and pool5 [N, D] of float32 [N, 3, crop, crop]."""
        outputs = run(self.net, pictures)
        high = np.stack([outputs[f"prob_{trait}"].reshape(-1, 2)[:, 1] for trait in TRAITS], axis=1)
        return high, self.net.blobs[POOL].data.reshape(len(pictures), -1).copy()

    def _nearest(self, feature):
        if self.nearest is None:
            return []
        neighbours = zip(*self.nearest.find(feature, SHOWN), strict=True)
        facts = ("trait", "pole", "word")
        return [
            {"index": int(place), "cosine": round(float(cosine), 4)} | {key: self.mindpics[place][key] for key in facts}
            for place, cosine in neighbours
        ]


def open_traits(run, model=None):
    """Return (PictureTraits, what is to be said of it) of a run of tools/reproduce.

    Parameters
    ----------
    run : mindpics.results.run_files.RunFiles
    model : str, optional
        NET_all-in-one_INIT; by default the paper's best, or the best that is there.

    Raises
    ------
    ValueError
        When the run has no such net (it names the command that makes one), or its mean is not the net's.
    """
    name = choose_model(run, model)
    deploy, weights = net_files(run, name)
    rows, features = _compared(run, name)
    net, mean = load_net(deploy, weights), read_mean(run.mindpics.mean)
    PictureNet(deploy, net, channels=(len(mean),)).require_mean(mean, run.mindpics.mean)
    return PictureTraits(net, mean, rows, features), _about(run, name, rows)


def net_files(run, name):
    """Return the deploy prototxt and the caffemodel of a model of a run; ValueError when one is not there."""
    files = (run.mindpics.nets.net(name).deploy, _weights(run, name))
    for path in (*files, run.mindpics.mean):
        if not path.is_file():
            raise ValueError(f"{path}: found no such file; wanted it, made by: {_command(run, name)}")
    return files


def _command(run, name):
    return as_typed(["tools/reproduce", "--row", name.replace("_", "/"), "--out", run.root])


def _weights(run, name):
    return run.mindpics.row(name).training(name).weights


def choose_model(run, model=None):
    """Return the NET_all-in-one_INIT of a run that is asked for, or the paper's best, or the best that is there.

    Parameters
    ----------
    run : mindpics.results.run_files.RunFiles
    model : str, optional

    Raises
    ------
    ValueError
        When the run has no such net.
    """
    trained = [name for name in run.models() if "all-in-one" in name and _weights(run, name).is_file()]
    there = {name: run.models()[name]["avg"] for name in trained}
    if model and model not in there:
        raise ValueError(
            f"{run.root}: found no all-in-one net {model!r}; wanted one of {', '.join(there) or '(none there)'}"
        )
    if not there:
        raise ValueError(f"{run.root}: found no all-in-one net; wanted one, made by: {_command(run, PAPERS_BEST)}")
    return model or (PAPERS_BEST if PAPERS_BEST in there else max(there, key=there.get))


def _about(run, name, rows):
    row = run.models()[name]
    return (
        f"{name.replace('_', ' ')}, right on {row['avg']:.1f}% (95% interval {row['low95']:.1f} to "
        f"{row['high95']:.1f}) of {row['n']:.0f} test pictures, mean over traits; "
        f"{len(rows) or 'no'} MindPics to compare with"
    )


def _compared(run, name):
    """Return the rows of mindpics.csv that have features and a picture, and those features."""
    table = run.mindpics.selection
    if not (run.features(name).with_suffix(".npy").is_file() and table.is_file() and run.pictures):
        return [], None
    array, ids = read_features(run.features(name))
    features, rows = dict(zip(ids, array, strict=True)), []
    for row in read_mindpics(table):
        if row["id"] in features:
            row["path"] = picture_path(run.pictures, row["image"], f"{table}, {row['id']}")
            rows.append(row)
    return rows, np.array([features[row["id"]] for row in rows])


def _trait(trait, high):
    pole = POLES[int(high > 0.5)]
    return {"trait": trait, "name": TRAIT_NAMES[trait], "high": round(high, 5), "pole": pole}


def _png(pixels):
    encoded = cv2.imencode(".png", np.ascontiguousarray(pixels.astype(np.uint8)))[1]
    return f"data:image/png;base64,{base64.b64encode(encoded.tobytes()).decode()}"
