"""The whole experiment, in stages that meet through files in one folder.

    pins.jsonl, features -> split.csv, rejected.jsonl, run.json
                         -> models/{text,image}/C*.npz, curve.csv, final.npz
                         -> scores/*.npz -> table*.csv, figures (pinterest_id.tables)

What the same inputs and options gave before is not computed again.
"""

import hashlib
import json
import logging
import platform
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.fingerprints import fingerprint
from mindpics.files.own_folder import Kind
from pinterest_id.cascade import LAMBDAS, cascade, linear
from pinterest_id.choice_of_C import Data, choose_and_refit
from pinterest_id.classifiers import C_GRID
from pinterest_id.feature_files import FeatureFile
from pinterest_id.fusion import fit_late_fusion, late_fusion
from pinterest_id.projection import save_projection
from pinterest_id.records import count_reasons, read_pins, write_rejections
from pinterest_id.refine import TOP, refine
from pinterest_id.scores import Scores, save_scores
from pinterest_id.splits import PAPER_COUNTS, PARTS, split_users, write_split
from pinterest_id.text import PinTfidf, word_statistics
from pinterest_id.word_tables import write_dictionary, write_word_tables

IDENTIFICATION = Kind("a run of run_identification", proof=("split.csv", "*.ids.txt"))  # features may lie in it
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What the paper leaves open or a user may want otherwise; the defaults are the paper's."""

    sizes: tuple = PAPER_COUNTS
    seed: int = 0
    drop_small_users: bool = False
    keep_empty_text: bool = False
    stop_words: str = "snowball"
    normalize_images: bool = True
    classifier: str = "joint"
    tol: float = 1e-3
    C_grid: tuple = C_GRID
    refine_modality: str = "mean"
    refine_top: int = TOP


class Experiment:
    """One run: a set of pins, one or more kinds of image features, a folder.

    Parameters
    ----------
    pins : path
        pins.jsonl.
    features : path
        NAME of NAME.npy and NAME.ids.txt: fc7.
    out : path
    options : Options
    fine_tuned : path, optional
        Features of the same pins by a net fine-tuned on the users' training pictures; adds rows.
    progress : bool
    """

    def __init__(self, pins, features, out, options=None, fine_tuned=None, progress=False):
        self.out = Path(out)
        self.options = options or Options()
        self.progress = progress
        self.pins_path = Path(pins)
        self.features = {"image": FeatureFile(features)}
        if fine_tuned:
            self.features["fine_tuned"] = FeatureFile(fine_tuned)
        self.seconds = {}

    def run(self):
        """Run all stages up to the scores; `pinterest_id.tables.write_report` makes tables of them.

        Raises
        ------
        ValueError
            On pins, features or options that do not go together, or a folder that holds other things; it says which.
        """
        own_folder.require(self.out, IDENTIFICATION, adds=True)
        with self._timed("pins"):
            self.split()
        with self._timed("text"):
            text = self.fit_text()
        for name in self.features:
            with self._timed(name):
                image = self.fit_images(name)
            with self._timed(f"fusion, {name}"):
                self.fuse(text, image, "" if name == "image" else f"_{name}")
            if name == "image":
                with self._timed("projection"):
                    self.project(text, image)
        self.write_facts()

    @contextmanager
    def _timed(self, stage):
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begun, 2)
        logger.info("%s: %.1f s", stage, self.seconds[stage])

    def split(self):
        """Read, match and split the pins; order them by part and user, so that matrices are slices."""
        pins, rejected = read_pins(self.pins_path, self.options.keep_empty_text)
        for features in self.features.values():
            pins, without = features.match(pins)
            rejected += without
        if not pins:
            raise ValueError(f"{self.pins_path}: no pin is left; {count_reasons(rejected)}")
        users = [pin.user for pin in pins]
        parts, dropped = split_users(users, self.options.sizes, self.options.seed, self.options.drop_small_users)
        write_split(self.out / "split.csv", pins, parts)
        write_rejections(self.out / "rejected.jsonl", rejected)
        write_word_tables(self.out, pins, self.options.stop_words)
        self._order(pins, parts)
        self.facts = {
            "pins": len(pins), "rejected": count_reasons(rejected),
            "users": len(self.users), "users_dropped": dict(dropped),
            "parts": {part: int(np.sum(parts == part)) for part in PARTS},
            "words_per_pin": word_statistics([pin.text for pin in pins]),
        }  # fmt: skip

    def _order(self, pins, parts):
        rank = {part: i for i, part in enumerate(PARTS)}
        kept = [i for i, part in enumerate(parts) if part in rank]
        order = sorted(kept, key=lambda i: (rank[parts[i]], pins[i].user))
        self.pins = [pins[i] for i in order]
        self.parts = parts[order]
        self.ids = [pin.id for pin in self.pins]
        self.users, self.codes = np.unique([pin.user for pin in self.pins], return_inverse=True)
        self.n_train, self.n_seen = (int(np.sum(np.isin(self.parts, PARTS[:k]))) for k in (1, 2))

    def fit_text(self):
        """Fit the text classifier; return its log probabilities and tf-idf matrices."""
        texts = [pin.text for pin in self.pins]
        first = PinTfidf(self.options.stop_words).fit(texts[: self.n_train])
        final = PinTfidf(self.options.stop_words).fit(texts[: self.n_seen])
        matrix = final.transform(texts)
        known = first.transform(texts[: self.n_seen])
        data = self._data(known, lambda: (matrix[: self.n_seen], matrix[self.n_seen :]))
        self.facts["dictionary"] = {"train": len(first.vocabulary_), "train and validation": len(final.vocabulary_)}
        write_dictionary(self.out / "models" / "dictionary.csv", final)
        return self._fit("text", data, matrix, [self.pins_path], self.options.stop_words)

    def fit_images(self, name):
        """Fit the image classifier on features `name`; return its log probabilities and the matrix."""
        matrix = self.features[name].matrix(self.ids, self.options.normalize_images)
        data = self._data(matrix[: self.n_seen], lambda: (matrix[: self.n_seen], matrix[self.n_seen :]))
        return self._fit(name, data, matrix, self.features[name].paths, self.options.normalize_images)

    def _data(self, known, final):
        names = self.users[self.codes]
        return Data(
            known[: self.n_train], known[self.n_train :], final,
            names[: self.n_train], names[self.n_train : self.n_seen],
        )  # fmt: skip

    def _fit(self, name, data, matrix, inputs, option):
        folder = self.out / "models" / name
        validation, test, _ = choose_and_refit(
            data, folder, self.options.classifier, self.options.C_grid, self.options.tol,
            self._key(inputs, option), self.progress,
        )  # fmt: skip
        return Fitted(validation, test, matrix)

    def fuse(self, text, image, suffix=""):
        """Save the scores of every row of Table 2, and of the late fusion."""
        codes, seen = self.codes[self.n_train : self.n_seen], slice(self.n_seen)
        cf = cascade(text.test, image.test)
        both, unseen = (text.matrix, image.matrix), slice(self.n_seen, None)
        with self._timed(f"refine{suffix}"):
            refined = refine(
                cf, [m[unseen] for m in both], [m[seen] for m in both], self.codes[seen],
                self.options.refine_modality, self.options.refine_top, self.progress,
            )  # fmt: skip
        weights = fit_late_fusion([text.validation, image.validation], codes)
        self.facts[f"late_fusion_weights{suffix}"] = dict(zip(("text", "image"), map(float, weights), strict=True))
        rows = {"images": image.test, "cf": cf, "cf_ref": refined}
        rows["late_fusion"] = late_fusion([text.test, image.test], weights)
        if not suffix:
            rows["text"] = text.test
            rows |= {f"linear_{weight:g}": linear(text.test, image.test, weight) for weight in LAMBDAS}
        for slug, logs in rows.items():
            self._save(f"{slug}{suffix}", logs)

    def _save(self, slug, logs):
        test = slice(self.n_seen, None)
        scores = Scores(np.array(self.ids[test]), self.codes[test], self.users, logs)
        save_scores(self.out / "scores" / f"{slug}.npz", scores)

    def project(self, text, image):
        """Save the first two principal components of all pins, and the variance of ten (figure 3)."""
        matrices = {"text": text.matrix, "image": image.matrix}
        save_projection(self.out / "projection.npz", self.ids, matrices, self.options.seed)

    def write_facts(self):
        """Write run.json: options, inputs, counts, versions, seconds of each stage."""
        facts = {
            "options": asdict(self.options),
            "inputs": {"pins": str(self.pins_path)} | {name: f.name for name, f in self.features.items()},
            **self.facts,
            "versions": {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
            | {"python": platform.python_version()},
            "seconds": self.seconds,
        }
        with atomic_write(self.out / "run.json") as stream:
            json.dump(facts, stream, indent=1)

    def _key(self, inputs, option):
        """Return a hash of what a modality's matrices are made of."""
        facts = [[fingerprint(path) for path in inputs], option, self.ids, self.n_train, self.n_seen]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Fitted:
    """A modality: log probabilities [N, K] of the validation and test pins, and the matrix of all pins."""

    validation: np.ndarray
    test: np.ndarray
    matrix: object
