"""Choice of C: the grid on the training pins, the best on the validation pins, the refit on both.

Paper, section 3.1. Ties go to the smaller C, the stronger penalty. Each fit starts
from the last one's weights and is saved, so that a killed run goes on at the next C.
A saved model's key is a hash of the matrix and the users that it was fitted on: whatever
changes them, a renamed user too, fits anew, and nothing else does.
"""

import hashlib
import shutil
import time
import warnings
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from mindpics.files.tables import rows_of, write_table
from mindpics.jobs.bars import bar_of
from pinterest_id.cascade import cascade
from pinterest_id.classifiers import fit_watched, make_classifier
from pinterest_id.design import LastDesign
from pinterest_id.linear_models import linear_model, load_model, save_model
from pinterest_id.options import C_GRID


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
    that of training + validation. `users` and `validation_users` are names. `designs` keeps the
    joint solver's rotation of X from one C to the next.
    """

    train: object
    validation: object
    final: object
    users: np.ndarray
    validation_users: np.ndarray
    designs: LastDesign = field(default_factory=LastDesign)


@dataclass(frozen=True)
class Choice:
    """The chosen C, the grid, the model fitted on the training pins, its log probabilities [N, K] of validation, and
    what is said of fits of the grid that did not converge."""

    C: float
    grid: tuple
    model: object
    validation: np.ndarray
    not_converged: tuple = ()

    @property
    def end(self):
        """ "lowest" or "highest" when a grid of several has no value beyond the chosen C; else ""."""
        if len(self.grid) < 2 or min(self.grid) < self.C < max(self.grid):
            return ""
        return "lowest" if min(self.grid) == self.C else "highest"


@dataclass(frozen=True)
class Fitted:
    """A modality: log probabilities [N, K] of the validation and test pins, those of the test pins by the
    baselines' C, and the matrix of all pins."""

    validation: np.ndarray
    test: np.ndarray
    baseline: np.ndarray
    matrix: object


@dataclass(frozen=True)
class Fitting:
    """How models are fitted: "joint", "liblinear" or "multinomial", the joint solver's tolerance, a progress bar."""

    kind: str = "joint"
    tol: float = 1e-3
    progress: bool = False


def choose(data, folder, C_grid=C_GRID, fitting=None, curve="curve"):
    """Fit a modality's classifier along a grid on the training pins; return the `Choice` by the validation pins.

    Parameters
    ----------
    data : Data
    folder : Path
        Gets a model for each C, and CURVE.csv. Models of the same pins are not fitted again.
    C_grid : sequence of float
    fitting : Fitting
    curve : str
        "": no CURVE.csv is written.
    """
    folder, steps, best, warned = Path(folder), [], None, []
    for C, model in zip(C_grid, _Fits(fitting, data.designs).grid(C_grid, data, folder), strict=True):
        logs = model.log_proba(data.validation)
        right = float(100 * np.mean(model.classes[logs.argmax(axis=1)] == data.validation_users))
        steps.append(Step(C, right, model.about["seconds"]))
        warned += [model.not_converged] if model.not_converged else []
        if best is None or (right, -C) > (best[0].accuracy, -best[0].C):
            best = (steps[-1], logs, model)
    chosen, validation, model = best
    if curve:
        _write_curve(folder / f"{curve}.csv", steps, chosen)
    return Choice(chosen.C, tuple(C_grid), model, validation, tuple(warned))


def choose_together(modalities, C_grid=C_GRID, fitting=None):
    """Return one C of several modalities, the best by the product of their probabilities on the validation pins, and
    for each folder what is said of fits of the grid that did not converge.

    Parameters
    ----------
    modalities : dict
        Folder, as of `choose` -> Data, of the same pins. Its curve.csv gets the accuracies of the product.
    C_grid : sequence of float
    fitting : Fitting
    """
    first, curves = next(iter(modalities)), {folder: [] for folder in modalities}
    warned = dict.fromkeys(modalities, ())
    users = modalities[first].validation_users
    for C in C_grid:
        choices = {folder: choose(data, folder, (C,), fitting, curve="") for folder, data in modalities.items()}
        fused, classes = cascade(*(choice.validation for choice in choices.values())), choices[first].model.classes
        right = float(100 * np.mean(classes[fused.argmax(axis=1)] == users))
        for folder, choice in choices.items():
            curves[folder].append(Step(C, right, choice.model.about["seconds"]))
            warned[folder] += choice.not_converged
    steps = curves[first]
    best = max(range(len(steps)), key=lambda place: (steps[place].accuracy, -steps[place].C))
    for folder, steps_of_folder in curves.items():
        _write_curve(Path(folder) / "curve.csv", steps_of_folder, steps_of_folder[best])
    return steps[best].C, warned


def require_fits(run):
    """Raise ValueError where a run whose fits are wanted has none."""
    if not (Path(run) / "models").is_dir():
        raise ValueError(f"{run}: found no models; wanted a run of tools/run_identification")


def take_fits(out, other):
    """Copy the models of another run's folder to one that has none yet, else warn; without another nothing."""
    theirs, ours = Path(other or "") / "models", Path(out) / "models"
    if other and ours.exists():
        warnings.warn(f"{ours}: found fits of an earlier call; those of {other} are not taken over", stacklevel=2)
    if not other or ours.exists():
        return
    aside = ours.with_name("models.copy")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(theirs, aside)
    aside.rename(ours)


def refit(data, choice, path, fitting=None):
    """Fit the final model on training and validation pins at the chosen C; return it and the test pins' logs [N, K].

    Parameters
    ----------
    data : Data
    choice : Choice
        Its C is fitted, from its model on.
    path : path
        Without ending: PATH.npz and PATH.json are kept, and read again where data and C are the same.
    fitting : Fitting, optional
    """
    X, test = data.final()
    users = np.concatenate([data.users, data.validation_users])
    final = _Fits(fitting, data.designs).fit(choice.C, X, users, Path(path), data_key(X, users), start=choice.model)
    return final, final.log_proba(test)


def data_key(X, users):
    """Return a hash of a matrix (dense or CSR) and the users of its rows.

    Parameters
    ----------
    X : array or CSR [N, D]
    users : sequence of str [N]
    """
    digest = hashlib.sha256(repr((X.shape, str(X.dtype), [str(user) for user in users])).encode())
    for part in (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,):
        digest.update(np.ascontiguousarray(part))
    return digest.hexdigest()[:16]


class _Fits:
    """Fit and save, or load what the same inputs gave before."""

    def __init__(self, fitting=None, designs=None):
        fitting = fitting or Fitting()
        self.kind, self.tol, self.progress = fitting.kind, fitting.tol, fitting.progress
        self.designs = designs or LastDesign()

    def grid(self, C_grid, data, folder):
        """Yield the model of each C: the joint solver's start from the one before, scikit-learn's side by side.

        How many, and where, joblib's own `parallel_config` says; one after another without.

        Parameters
        ----------
        C_grid : sequence of float
        data : Data
        folder : Path
            Gets a model a C.
        """
        key = data_key(data.train, data.users)
        tasks = [(C, data.train, data.users, (folder / f"C{C:g}").resolve(), key) for C in C_grid]
        bar = partial(bar_of, total=len(tasks), desc=folder.name, unit="fit", disable=not self.progress)
        if self.kind != "joint":
            yield from bar(Parallel(return_as="generator")(delayed(self.fit)(*task, start=None) for task in tasks))
            return
        model = None
        for task in bar(tasks):
            model = self.fit(*task, start=model)
            yield model

    def fit(self, C, X, users, path, key, start):
        """Return the `LinearModel` of a fit, the kept one where `path` has it of the same C, solver and key.


        Parameters
        ----------
        C : float
        X : CSR or array [N, D]
        users : array of str [N]
        path : Path
            Without ending.
        key : str
            See `data_key`.
        start : LinearModel or None
            Where the joint solver begins.
        """
        about = {"C": C, "solver": self.kind, "tol": self.tol, "key": key}
        model = _load(path)
        if not model or any(model.about.get(name) != value for name, value in about.items()):
            model = self._fitted(X, users, about, start)
            save_model(path, model)
        if model.not_converged:  # of a kept one again
            warnings.warn(f"{path}: {model.not_converged}", ConvergenceWarning, stacklevel=2)
        return model

    def _fitted(self, X, users, about, start):
        classifier = make_classifier(self.kind, about["C"], self.tol, self.progress)
        begun, cpu = time.perf_counter(), time.process_time()
        complaint = fit_watched(classifier, X, users, **self._start(start, X))
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
        about |= {"seconds": round(seconds, 6), "cpu_seconds": round(cpu_seconds, 6)}
        about["pins"] = X.shape[0]
        about["not_converged"] = complaint and f"C={about['C']:g}, {X.shape[0]} pins: {complaint}"
        return linear_model(classifier, about | _work(classifier))

    def _start(self, model, X):
        """Two users share one row of weights, and another dictionary has other columns: those start anew."""
        if self.kind != "joint":
            return {}
        fits = model is not None and len(model.coef) > 2 and model.coef.shape[1] == X.shape[1]
        weights = {"coef_init": model.coef, "intercept_init": model.intercept} if fits else {}
        return {"design": self.designs.of(X), **weights}


def read_curve(path):
    """Return the `Step`s of a curve.csv."""
    rows = rows_of(path)
    return [Step(float(r["C"]), float(r["accuracy"]), float(r["seconds"]), r["chosen"] == "True") for r in rows]


def _work(classifier):
    """Return the joint solver's own account of its work."""
    names = {"newton_steps": "n_iter_", "columns": "n_columns_"}
    return {name: int(getattr(classifier, key)) for name, key in names.items() if hasattr(classifier, "n_columns_")}


def _load(path):
    return load_model(path) if Path(f"{path}.json").is_file() else None


def _write_curve(path, steps, chosen):
    rows = (asdict(replace(step, chosen=step is chosen)) for step in steps)
    write_table(path, ["C", "accuracy", "seconds", "chosen"], rows)
