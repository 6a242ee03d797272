"""Agreement of the joint solver with liblinear: coefficients, predictions, probabilities, at each C."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mindpics.files.columns import columns
from pinterest_id.feature_files import FeatureFile
from pinterest_id.generated import generate_pins
from pinterest_id.options import C_GRID
from pinterest_id.records import read_pins

WANTED = {"coef_error": 1e-3, "same_predictions": 0.995, "probability_error": 1e-3}


@dataclass(frozen=True)
class Agreement:
    """One comparison.

    `coef_error` is the largest over the classes of ``|w - w_liblinear| / |w_liblinear|``, intercept
    included; `probability_error` the largest difference of any probability.
    """

    data: str
    C: float
    coef_error: float
    same_predictions: float
    probability_error: float

    @property
    def holds(self):
        """Whether all three are as wanted."""
        return (
            self.coef_error <= WANTED["coef_error"]
            and self.same_predictions >= WANTED["same_predictions"]
            and self.probability_error <= WANTED["probability_error"]
        )


def compare(data, X, y, C):
    """Fit both on X (float32) and y; liblinear to a tolerance of 1e-8, ours to its default.

    Parameters
    ----------
    data : str
        Name of the data.
    X : float32 array or CSR [N, D]
    y : array [N]
        Class of each row.
    C : float
    """
    from sklearn.linear_model import LogisticRegression  # takes a second
    from sklearn.multiclass import OneVsRestClassifier

    from pinterest_id.classifiers import JointLogisticRegression

    exact = LogisticRegression(solver="liblinear", C=C, tol=1e-8, max_iter=100_000)
    theirs = OneVsRestClassifier(exact).fit(X.astype(np.float64), y)
    ours = JointLogisticRegression(C=C).fit(X, y)
    target = np.vstack([np.append(part.coef_, part.intercept_) for part in theirs.estimators_])
    weights = np.column_stack([ours.coef_, ours.intercept_])
    errors = np.linalg.norm(weights - target, axis=1) / np.linalg.norm(target, axis=1)
    same = np.mean(ours.predict(X) == theirs.predict(X))
    difference = np.abs(ours.predict_proba(X) - theirs.predict_proba(X.astype(np.float64)))
    return Agreement(data, C, float(errors.max()), float(same), float(difference.max()))


def run(pins=None, features=None, C_grid=C_GRID, unit=False):
    """Yield an `Agreement` for digits, a generated text of 20 users, and pins (text and images) if given.

    Parameters
    ----------
    pins : path, optional
        pins.jsonl.
    features : path, optional
        NAME of NAME.npy of the pins' images.
    C_grid : sequence of float
    unit : bool
        Scale image features to length 1.
    """
    for name, X, y in _data(pins, features, unit):
        for C in C_grid:
            yield compare(name, X, y, C)


def _data(pins, features, unit):
    from sklearn.datasets import load_digits

    from pinterest_id.text import PinTfidf

    X, y = load_digits(return_X_y=True)
    yield "digits", (X / 16).astype(np.float32), y
    generated = generate_pins(20, 60, 4, n_words=3000)
    yield "generated text", PinTfidf().fit_transform(generated.texts), generated.users
    if pins is None:
        return
    records, _ = read_pins(pins)
    yield "pins, text", PinTfidf().fit_transform([pin.text for pin in records]), _users(records)
    if features is not None:
        file = FeatureFile(features)
        records, _ = file.match(records)
        yield "pins, images", file.matrix([pin.id for pin in records], unit), _users(records)


def _users(records):
    return np.array([pin.user for pin in records])


def format_rows(rows):
    """Return the comparisons as a table."""
    cells = [
        (
            row.data,
            f"{row.C:g}",
            f"{row.coef_error:.1e}",
            f"{row.same_predictions:.4f}",
            f"{row.probability_error:.1e}",
            "" if row.holds else "NOT as wanted",
        )
        for row in rows
    ]
    lines = columns(("data", "C", "coef error", "same", "prob error", ""), cells, "lrrrrl")
    return "\n".join([*lines, "wanted: coefficients 1e-3 relative, 0.995 same predictions, probabilities 1e-3"])


def add_suite(suites):
    suite = suites.add_parser("agreement", help="coefficients and probabilities beside liblinear's")
    suite.add_argument("--pins", type=Path, help="pins.jsonl, beside digits and a generated text")
    suite.add_argument("--features", help="NAME of their NAME.npy")
    suite.add_argument("--unit-features", action="store_true", help="bring image features to length 1")
    suite.set_defaults(run=_run_suite, format=lambda rows: format_rows(Agreement(**row) for row in rows))


def _run_suite(args):
    return [asdict(row) for row in run(args.pins, args.features, unit=args.unit_features)]
