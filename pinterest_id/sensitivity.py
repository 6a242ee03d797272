"""Open readings of the Pinterest paper, varied one at a time: the stages and the answers of each."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mindpics.files.json_files import read_json
from mindpics.jobs.stages import Stage
from mindpics.results.sensitivity import FOLDER, Answers, Change, Varied, move, no_scores
from mindpics.results.study import tested_a_trained
from pinterest_id import metrics
from pinterest_id.layout import ExperimentFiles
from pinterest_id.plan import features, identification, plan, stand_in
from pinterest_id.scores import load_scores
from pinterest_id.tables import name_of

PAPER = "Pinterest"
IMAGE_ROWS, TEXT_ROWS, REFINED = ("images", "cf", "cf_ref"), ("text", "cf", "cf_ref"), ("cf_ref",)
COSINE = "the mean of text's and image's"


@dataclass(frozen=True)
class Reading:
    """One open choice read otherwise.

    Attributes
    ----------
    name : str
        Of its folder, and on the command line.
    choice, default, reading : str
    rows : tuple of str
        Score files whose accuracy it may move.
    run, extract : tuple of str
        More words of tools/run_identification, and of tools/extract_features.
    instead : dict
        Score file of the default run that has a row's scores under this reading: nothing is fitted.
    """

    name: str
    choice: str
    default: str
    reading: str
    rows: tuple
    run: tuple = ()
    extract: tuple = ()
    instead: dict | None = None

    def change(self, row):
        return Change(PAPER, f"{name_of(row)}, accuracy", self.choice, self.default, self.reading)


READINGS = (
    Reading("unit-features", "scale of fc7", "as it is", "rows of length 1", IMAGE_ROWS, ("--unit-features",)),
    Reading("before-relu", "fc7", "after ReLU", "before ReLU", IMAGE_ROWS, extract=("--before-relu",)),
    Reading("ten-crops", "crops", "the centre", "mean of ten", IMAGE_ROWS, extract=("--ten-crops",)),
    Reading("stop-words", "stop words", "NLTK's", "scikit-learn's", TEXT_ROWS, ("--stop-words", "scikit-learn")),
    Reading("no-stop-words", "stop words", "NLTK's", "none", TEXT_ROWS, ("--stop-words", "none")),
    Reading(
        "multinomial",
        "classifier",
        "one-vs-rest",
        "multinomial",
        ("text", "images", "cf", "cf_ref"),
        ("--classifier", "multinomial"),
    ),
    Reading("cosine-text", "cosine of", COSINE, "text", REFINED, ("--refine", "text")),
    Reading("cosine-image", "cosine of", COSINE, "image", REFINED, ("--refine", "image")),
    Reading("cosine-concat", "cosine of", COSINE, "both side by side", REFINED, ("--refine", "concat")),
    Reading("one-C", "C", "each modality's own", "one for both", ("cf", "cf_ref"), ("--one-C",)),
    Reading(
        "lambda", "lambda multiplies", "the image", "the text", ("linear_0.3",), instead={"linear_0.3": "linear_0.7"}
    ),
)


def stages(root, chosen, scale="mini", seed=0, gpu=None, source=None):
    """Return the stages of the default up to its scores, and of the chosen readings.

    Parameters
    ----------
    root : str
        Folder of the run.
    chosen : sequence of Reading
    scale : str
        A name of `mindpics.nets.scales.SETTINGS`.
    seed : int
    gpu : int or None
    source : pinterest_id.plan.Source
    """
    source = source or stand_in(root)
    made = plan(root, scale, seed, gpu, source)
    last = next(place for place, stage in enumerate(made) if stage.name == "identify")
    fitted = [reading for reading in chosen if reading.instead is None]
    return made[: last + 1] + [stage for each in fitted for stage in _own(root, each, seed, gpu, source)]


def varied(roots, chosen_names, left_out=()):
    """Return the `mindpics.results.sensitivity.Varied` of chosen readings over runs that differ in the seed.

    Parameters
    ----------
    roots : list of path
    chosen_names : collection of str
    left_out : collection of str
        Of `mindpics.jobs.turns.run_jobs`: scores that an earlier call left there are not taken.
    """
    chosen = [reading for reading in READINGS if reading.name in chosen_names]
    return [_varied(roots, reading, row, left_out) for reading in chosen for row in reading.rows]


def _own(root, reading, seed, gpu, source):
    default, out, made = f"{root}/pinterest_id", _folder(root, reading), []
    fc7 = f"{default}/fc7"
    if reading.extract:
        fc7 = f"{out}/fc7"
        cost = 30 if "--ten-crops" in reading.extract else 8
        made = [replace(features(source, fc7, gpu, f"{reading.name}_fc7", reading.extract, cost), may_fail=True)]
    words = (*identification(source, fc7, seed, out), "--fits-of", default, "--scores-only", *reading.run)
    read = (source.pins, f"{fc7}.npy", f"{fc7}.ids.txt", ExperimentFiles(default).split)
    written = tuple(map(ExperimentFiles(out).scores_of, reading.rows))
    note = " ".join([*reading.extract, *reading.run])
    return [*made, Stage(f"{reading.name}_identify", words, read, written, cost=8, note=note, may_fail=True)]


def _varied(roots, reading, row, left_out):
    moved = Varied(reading.change(row), [])
    for root in roots:
        default, other = ExperimentFiles(f"{root}/pinterest_id"), ExperimentFiles(_folder(root, reading))
        after = default.scores_of(reading.instead[row]) if reading.instead else other.scores_of(row)
        if after in left_out or not Path(after).is_file():
            moved.notes.append(no_scores(root))
            continue
        moved.moves.append(move(_answers(default.scores_of(row)), _answers(after)))
        moved.test_to_train.append(tested_a_trained(read_json(default.facts).get("parts", {})))
    return moved


def _folder(root, reading):
    return f"{root}/{FOLDER}/{reading.name}"


def _answers(path):
    scores = load_scores(path)
    return Answers(scores.ids, np.zeros(len(scores.ids), int), metrics.right(scores.codes, scores.logs))
