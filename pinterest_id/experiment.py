"""Whole experiment, in steps that meet through files in one folder.

    pins.jsonl, features -> split.csv, rejected.jsonl, run.json
                         -> models/{text,image}/C*.npz, curve.csv, final.npz
                         -> scores/*.npz -> table*.csv, figures (pinterest_id.tables)

What the same inputs and options gave before is not computed again.
"""

import platform
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mindpics.files.json_files import write_json
from pinterest_id.arrange import arrange, require_run_or_room
from pinterest_id.cascade import LAMBDAS, cascade, linear
from pinterest_id.choice_of_C import Data, Fitted, Fitting, choose, choose_together, refit, require_fits, take_fits
from pinterest_id.feature_files import FeatureFile
from pinterest_id.fusion import fit_late_fusion, late_fusion
from pinterest_id.layout import ExperimentFiles
from pinterest_id.options import Options
from pinterest_id.projection import save_projection
from pinterest_id.refine import refine
from pinterest_id.scores import Scores, save_scores
from pinterest_id.text import PinTfidf
from pinterest_id.word_tables import write_dictionary


class Experiment:
    """One run: a set of pins, one or more kinds of image features, a folder.

    Parameters
    ----------
    pins : path
        pins.jsonl.
    features : path or FeatureFile
        NAME of NAME.npy and NAME.ids.txt: fc7.
    out : path
    options : Options
    fine_tuned : path or FeatureFile, optional
        Features of the same pins by a net fine-tuned on the users' training pictures; adds rows.
    text : FeatureFile, optional
        A ready-made tf-idf matrix of the pins, in place of the words of their texts.
    progress : bool
    fits_of : path, optional
        Folder of another run, whose models are taken over: those of the same matrix and users are not fitted again.
    """

    def __init__(self, pins, features, out, options=None, fine_tuned=None, text=None, progress=False, fits_of=None):
        self.out = Path(out)
        self.options = options or Options()
        self.fitting = Fitting(self.options.classifier, self.options.tol, progress)
        self.progress = progress
        self.pins_path = Path(pins)
        self.features = {"image": _features(features)}
        if fine_tuned:
            self.features["fine_tuned"] = _features(fine_tuned)
        self.text = text
        self.fits_of = fits_of
        self.seconds = {}

    @property
    def files(self):
        """Where what is written lies: an `ExperimentFiles`."""
        return ExperimentFiles(self.out)

    def run(self, command=""):
        """Run all stages up to the scores; `pinterest_id.tables.write_report` makes tables of them.

        Parameters
        ----------
        command : str
            What runs it, for run.json.

        Raises
        ------
        ValueError
            On pins, features or options that do not go together, or a folder that holds other things; it says which.
        """
        require_run_or_room(self.out)
        if self.fits_of:
            require_fits(self.fits_of)
        with self._timed("pins"):
            self.arrange()
        take_fits(self.out, self.fits_of)
        if self.options.one_C:
            self.one_C, self.not_converged = self.choose_one_C()
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
        self.write_facts(command)

    @contextmanager
    def _timed(self, stage):
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begun, 6)  # never 0: a benchmark takes its logarithm

    def arrange(self):
        """Read, match, split and order the pins."""
        files = [*self.features.values(), *([self.text] if self.text else [])]
        self.pins = arrange(self.pins_path, files, self.options, self.out)
        self.facts, self.one_C, self.not_converged = {**self.pins.facts, "C": {}}, None, {}

    def fit_text(self):
        """Fit the text classifier; return its log probabilities and tf-idf matrices."""
        return self._fit("text", *self._text())

    def choose_one_C(self):
        """Return the C that text and images have in common, and {folder: what is said of fits of its grid}."""
        (first, _), image = self._text(), self._images("image")
        data = {self.files.model(name): self._data(m, m) for name, m in (("text", first), ("image", image))}
        return choose_together(data, self.options.C_grid, self.fitting)

    def _text(self):
        return self._words() if self.text is None else [self.text.rows(self.pins.ids)] * 2

    def _words(self):
        """The tf-idf of the training pins' dictionary, and that of training and validation pins' (section 4)."""
        texts, n_train, n_seen = self.pins.texts, self.pins.n_train, self.pins.n_seen
        first, final = (PinTfidf(self.options.stop_words).fit(texts[:n]) for n in (n_train, n_seen))
        self.facts["dictionary"] = {"train": len(first.vocabulary_), "train and validation": len(final.vocabulary_)}
        write_dictionary(self.files.dictionary, final)
        return first.transform(texts), final.transform(texts)

    def fit_images(self, name):
        """Fit the image classifier on features `name`; return its log probabilities and the matrix."""
        matrix = self._images(name)
        return self._fit(name, matrix, matrix)

    def _images(self, name):
        return self.features[name].matrix(self.pins.ids, self.options.unit_features)

    def _fit(self, name, first, final):
        """Choose C on `first` and refit on `final`, matrices [N, D] of all pins."""
        data, folder = self._data(first, final), self.files.model(name)
        choices = self._choose(name, data, folder)
        tests = {}
        for suffix, choice in choices.items():
            model, tests[suffix] = refit(data, choice, folder / f"final{suffix}", self.fitting)
            about = {"end": choice.end, "not_converged": [*choice.not_converged, *filter(None, [model.not_converged])]}
            self.facts["C"][f"{name}{suffix}"] = {"chosen": choice.C, "grid": choice.grid, **about}
        return Fitted(choices[""].validation, tests[""], tests.get("_baselines", tests[""]), final)

    def _choose(self, name, data, folder):
        """Return {suffix of its files: Choice}: "" the cascade's, and the baselines' where they have another grid."""
        grid = self.options.C_grid
        if self.one_C is None:
            choices = {"": choose(data, folder, grid, self.fitting)}
        else:  # what decided is in the curves already, of those that took part
            curve = "" if name in ("text", "image") else "curve"
            choice = choose(data, folder, (self.one_C,), self.fitting, curve)
            complaints = self.not_converged.get(folder, choice.not_converged)
            choices = {"": replace(choice, grid=grid, not_converged=complaints)}
        if self.options.C_grid_baselines:
            baselines = choose(data, folder, self.options.C_grid_baselines, self.fitting, "curve_baselines")
            choices["_baselines"] = baselines
        return choices

    def _data(self, first, final):
        n_train, n_seen, users = self.pins.n_train, self.pins.n_seen, self.pins.names
        return Data(
            first[:n_train],
            first[n_train:n_seen],
            lambda: (final[:n_seen], final[n_seen:]),
            users[:n_train],
            users[n_train:n_seen],
        )

    def fuse(self, text, image, suffix=""):
        """Save the scores of every row of Table 2, and of the late fusion.

        Parameters
        ----------
        text, image : Fitted
        suffix : str
            Of the score files: "" for the paper's features, "_NAME" for others.
        """
        codes, n_seen = self.pins.codes, self.pins.n_seen
        learned, tested = slice(n_seen), slice(n_seen, None)
        cf = cascade(text.test, image.test)
        matrices = (text.matrix, image.matrix)
        with self._timed(f"refine{suffix}"):
            refined = refine(
                cf,
                [m[tested] for m in matrices],
                [m[learned] for m in matrices],
                codes[learned],
                self.options.refine_modality,
                self.options.refine_top,
                self.progress,
            )
        weights = fit_late_fusion([text.validation, image.validation], codes[self.pins.n_train : n_seen])
        self.facts[f"late_fusion_weights{suffix}"] = dict(zip(("text", "image"), map(float, weights), strict=True))
        rows = {"images": image.baseline, "cf": cf, "cf_ref": refined}
        rows["late_fusion"] = late_fusion([text.test, image.test], weights)
        if not suffix:
            rows["text"] = text.baseline
            rows |= {f"linear_{weight:g}": linear(text.baseline, image.baseline, weight) for weight in LAMBDAS}
        for slug, logs in rows.items():
            self._save(f"{slug}{suffix}", logs)

    def _save(self, slug, logs):
        test, pins = slice(self.pins.n_seen, None), self.pins
        scores = Scores(np.array(pins.ids[test]), pins.codes[test], pins.users, logs)
        save_scores(self.files.scores_of(slug), scores)

    def project(self, text, image):
        """Save the first two principal components of all pins, and the variance of ten (figure 3)."""
        matrices = {"text": text.matrix, "image": image.matrix}
        save_projection(self.files.projection, self.pins.ids, matrices, self.options.seed)

    def write_facts(self, command=""):
        """Write run.json: command, options, inputs, counts, versions, seconds of each stage."""
        facts = {
            "command": command,
            "options": asdict(self.options),
            "inputs": self._inputs(),
            **self.facts,
            "features": {name: file.said() for name, file in self.features.items()},
            "versions": {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
            | {"python": platform.python_version()},
            "seconds": self.seconds,
        }
        write_json(self.files.facts, facts)

    def _inputs(self):
        files = self.features | ({"text": self.text} if self.text else {})
        named = {name: file.name for name, file in files.items()}
        ids = {f"{name}_ids": str(file.ids_path) for name, file in files.items()}
        return {"pins": str(self.pins_path)} | named | ids


def _features(source):
    return source if isinstance(source, FeatureFile) else FeatureFile(source)
