"""The choice of C: fit along the grid on the training pins, keep the best on the validation pins, refit on both.

Paper, section 3.1. Ties go to the smaller C, the stronger penalty. Each fit starts
from the last one's weights and is saved, so that a killed run goes on at the next C.
"""

import csv
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from mindpics.files.atomic import atomic_write
from pinterest_id.classifiers import C_GRID, make_classifier
from pinterest_id.linear_models import linear_model, load_model, save_model


@dataclass(frozen=True)
class Step:
    """One C of the curve; accuracy in % on the validation pins, seconds of fitting."""

    C: float
    accuracy: float
    seconds: float
    chosen: bool = False


@dataclass(frozen=True)
class Data:
    """One modality's matrices: X of the training, validation, training + validation and test pins.

    `final` is a function that returns the last two, since the dictionary of the final model is
    that of training + validation. `users` and `validation_users` are names.
    """

    train: object
    validation: object
    final: object
    users: np.ndarray
    validation_users: np.ndarray


def choose_and_refit(data, folder, kind="joint", C_grid=C_GRID, tol=1e-3, key="", progress=False):
    """Fit a modality's classifier.

    Parameters
    ----------
    data : Data
    folder : Path
        Gets a model for each C, final.npz, curve.csv. Models of the same `key` are not fitted again.
    kind : {"joint", "liblinear", "multinomial"}
    C_grid : sequence of float
    tol : float
        Of the joint solver.
    key : str
        Hash of what the data are.
    progress : bool

    Returns
    -------
    validation : float32 array [N, K]
        Log probabilities of the validation pins by the chosen model, which has not seen them.
    test : float32 array [N, K]
        Those of the test pins by the final model.
    final : LinearModel
    """
    folder, fits = Path(folder), _Fits(kind, tol, key, progress)
    steps, best = [], None
    for C, model in zip(C_grid, fits.grid(C_grid, data, folder), strict=True):
        logs = model.log_proba(data.validation)
        right = float(100 * np.mean(model.classes[logs.argmax(axis=1)] == data.validation_users))
        steps.append(Step(C, right, model.about["seconds"]))
        if best is None or right > best[0].accuracy:
            best = (steps[-1], logs, model)
    chosen, validation, model = best
    _write_curve(folder / "curve.csv", steps, chosen)
    X, test = data.final()
    users = np.concatenate([data.users, data.validation_users])
    final = fits.fit(chosen.C, X, users, folder / "final", start=model)
    return validation, final.log_proba(test), final


class _Fits:
    """Fit and save, or load what the same inputs gave before."""

    def __init__(self, kind, tol, key, progress):
        self.kind, self.tol, self.key, self.progress = kind, tol, key, progress

    def grid(self, C_grid, data, folder):
        """Yield the model of each C: the joint solver's start from the one before, scikit-learn's side by side.

        How many, and where, joblib's own `parallel_config` says; one after another without.
        """
        tasks = [(C, data.train, data.users, (folder / f"C{C:g}").resolve()) for C in C_grid]
        bar = partial(tqdm, total=len(tasks), desc=folder.name, unit="fit", disable=not self.progress)
        if self.kind != "joint":
            yield from bar(Parallel(return_as="generator")(delayed(self.fit)(*task, start=None) for task in tasks))
            return
        model = None
        for task in bar(tasks):
            model = self.fit(*task, start=model)
            yield model

    def fit(self, C, X, users, path, start):
        about = {"C": C, "solver": self.kind, "tol": self.tol, "key": self.key}
        saved = _load(path)
        if saved and all(saved.about.get(name) == value for name, value in about.items()):
            return saved
        classifier = make_classifier(self.kind, C, self.tol, self.progress)
        begun, cpu = time.perf_counter(), time.process_time()
        classifier.fit(X, users, **self._start(start, X))
        about |= {"seconds": round(time.perf_counter() - begun, 3), "cpu_seconds": round(time.process_time() - cpu, 3)}
        about["pins"] = X.shape[0]
        model = linear_model(classifier, about | _work(classifier))
        save_model(path, model)
        return model

    def _start(self, model, X):
        """Two users share one row of weights, and another dictionary has other columns: those start anew."""
        fits = model is not None and self.kind == "joint" and len(model.coef) > 2 and model.coef.shape[1] == X.shape[1]
        return {"coef_init": model.coef, "intercept_init": model.intercept} if fits else {}


def read_curve(path):
    """Return the `Step`s of a curve.csv."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [Step(float(r["C"]), float(r["accuracy"]), float(r["seconds"]), r["chosen"] == "True") for r in rows]


def _work(classifier):
    """Return the joint solver's own account of its work."""
    names = {"newton_steps": "n_iter_", "columns": "n_columns_"}
    return {name: int(getattr(classifier, key)) for name, key in names.items() if hasattr(classifier, "n_columns_")}


def _load(path):
    return load_model(path) if Path(f"{path}.json").is_file() else None


def _write_curve(path, steps, chosen):
    with atomic_write(path) as stream:
        writer = csv.DictWriter(stream, ["C", "accuracy", "seconds", "chosen"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(replace(step, chosen=step is chosen)) for step in steps)
