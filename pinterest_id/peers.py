"""Peers of the joint solver: scikit-learn's solvers on the same matrices, to the same accuracy of their optimum.

One-vs-rest peers solve class by class, so a share of the classes tells the time of
all, by proportion; the multinomial one solves all. A peer whose weights are further
from its optimum than ours are proved to be is fitted anew to a smaller tolerance; the
time is that of the last fit. What still is further says so: its time is too short. So
does a peer that is stopped, since it has taken as long as was asked.
"""

import signal
import time
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import expit, log_expit, logsumexp, softmax

TRIES = 3


@dataclass(frozen=True)
class Peer:
    """A solver: of which problem, whether it penalises the intercept, whether it has an optimum to be near to."""

    name: str
    make: object
    multinomial: bool = False
    penalised_intercept: bool = False
    exact: bool = True


def _logistic(solver):
    def make(C, rows, tol, most):
        from sklearn.linear_model import LogisticRegression  # takes a second

        return LogisticRegression(solver=solver, C=C, tol=tol, max_iter=most)

    return make


def _sgd(C, rows, tol, most):
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(loss="log_loss", alpha=1 / (C * rows), random_state=0)


PEERS = (
    Peer("liblinear, one-vs-rest", _logistic("liblinear"), penalised_intercept=True),
    Peer("lbfgs, multinomial", _logistic("lbfgs"), multinomial=True),
    Peer("lbfgs, one-vs-rest", _logistic("lbfgs")),
    Peer("newton-cholesky, one-vs-rest", _logistic("newton-cholesky")),
    Peer("saga, one-vs-rest", _logistic("saga")),
    Peer("SGDClassifier, one-vs-rest", _sgd, exact=False),
)


@dataclass(frozen=True)
class PeerTime:
    """A peer's fits of one kind of rows.

    `seconds` and `cpu_seconds` are those of all classes, `measured_s` of those solved; `distance` is
    the largest |gradient| / |weights|, at most `tol` if the optimum was come to; `objective_gap` the
    largest |gradient|^2 / 2 over the objective, which bounds what it lies above its least value. A peer
    that was `stopped` has come to the end of `fits` fits, which alone they tell of (nan where of none).
    """

    peer: str
    rows: str
    seconds: float
    cpu_seconds: float
    measured_s: float
    classes: int
    of_classes: int
    distance: float
    objective_gap: float
    at_optimum: bool
    exact: bool
    stopped: bool
    fits: int


class _TimeIsUp(Exception):
    """A fit has taken as long as it may."""


def time_peer(peer, rows, fits, classes, tol, max_iter, at_most_s=np.inf):
    """Fit a peer; return its `PeerTime`.

    Parameters
    ----------
    peer : Peer
    rows : str
        Name of the kind of rows.
    fits : iterable of (X, codes, C)
    classes : int array
        The classes that a one-vs-rest peer solves.
    tol : float
        Distance from the optimum, relative to the weights, as the joint solver proves it.
    max_iter : int
        Iterations at most.
    at_most_s : float
        Seconds of all classes after which it is stopped; liblinear and saga then come to the end of a class.
    """
    times, distances, gaps, of_classes, solved, stopped = np.zeros(2), [], [], 1, 1, False
    for X, target, C, of_classes in _problems(peer, fits, classes):
        solved = of_classes if peer.multinomial else len(classes)
        left_s = at_most_s * solved / of_classes - times[0]
        fit_times, distance, gap = _fit(peer, X, target, C, tol, max_iter, left_s)
        times += fit_times
        if distance is None:
            stopped = True
            break
        distances.append(distance)
        gaps.append(gap)
    seconds, cpu = times * of_classes / solved
    distance = max(distances, default=np.nan)
    return PeerTime(
        peer.name,
        rows,
        float(seconds),
        float(cpu),
        float(times[0]),
        solved,
        of_classes,
        float(distance),
        float(max(gaps, default=np.nan)),
        bool(not stopped and distance <= tol),
        peer.exact,
        stopped,
        len(distances) // (1 if peer.multinomial else len(classes)),
    )


def _problems(peer, fits, classes):
    """Yield X, what is told apart, C, and the number of classes."""
    for X, codes, C in fits:
        of_classes = len(np.unique(codes))
        for target in [codes] if peer.multinomial else [(codes == k).astype(int) for k in classes]:
            yield X, target, C, of_classes


def _fit(peer, X, target, C, at_most, max_iter, left_s):
    """Return (seconds, seconds of processors) of the last try, its distance and gap: None, None if it was stopped."""
    tol = 1e-4
    for _ in range(TRIES):
        model = peer.make(C, X.shape[0], tol, max_iter)
        begun = time.perf_counter(), time.process_time()
        try:
            with _deadline(left_s), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it has not converged is in the distance
                model.fit(X, target)
        except _TimeIsUp:
            return _since(begun), None, None
        times = _since(begun)
        distance, gap = accuracy(peer, model, X, target, C)
        if distance <= at_most or not peer.exact or np.max(model.n_iter_) >= max_iter:
            break
        tol *= 0.3 * at_most / distance
    return times, distance, gap


def _since(begun):
    return np.array([time.perf_counter(), time.process_time()]) - begun


@contextmanager
def _deadline(seconds):
    """Raise `_TimeIsUp` in the block after so many seconds, as soon as Python has the word; inf: never."""

    def end(*_):
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0 if seconds == np.inf else max(seconds, 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def accuracy(peer, model, X, target, C):
    """Return |gradient| / |weights| of the peer's objective at a model, and |gradient|^2 / 2 over the objective.

    Parameters
    ----------
    peer : Peer
    model : fitted estimator
    X : CSR or array [N, D]
    target : int array [N]
        Classes, or 0 and 1 of a one-vs-rest problem.
    C : float
    """
    coef, intercept = model.coef_.astype(np.float64), np.asarray(model.intercept_, np.float64)
    Z = X @ coef.T + intercept
    if peer.multinomial and len(coef) > 1:
        mine = np.arange(len(coef)) == target[:, None]
        loss, R = np.sum(logsumexp(Z, axis=1) - Z[mine]), softmax(Z, axis=1) - mine
    else:
        signs = 2 * target[:, None] - 1
        loss, R = -np.sum(log_expit(signs * Z)), expit(Z) - target[:, None]
    penalised = intercept if peer.penalised_intercept else 0 * intercept
    gradient = np.column_stack([coef + C * (X.T @ R).T, penalised + C * R.sum(axis=0)])
    squares = np.sum(coef**2) + np.sum(penalised**2)
    norm = np.linalg.norm(gradient)
    return norm / np.sqrt(squares + np.sum((intercept - penalised) ** 2)), norm**2 / 2 / (squares / 2 + C * loss)


def format_peers(times, ours):
    """Return lines: each peer by kind of rows, and the fastest for both modalities beside ours.

    Parameters
    ----------
    times : list of dict
        As `asdict` gives a `PeerTime`; rows are "text", "unit", "raw".
    ours : dict
        rows -> seconds of the joint solver.
    """
    lines = [f"{'grid and refit of peers':<32}{'rows':<6}{'seconds':>10}{'x ours':>9}{'distance':>11}{'gap':>10}"]
    for row in times:
        part = (
            ""
            if row["classes"] == row["of_classes"]
            else f"   by proportion from {row['classes']}/{row['of_classes']} classes"
        )
        short = "" if row["at_optimum"] else "   not at the optimum" if row["exact"] else "   has no optimum"
        short = f"   stopped after {row['fits']} fits" if row["stopped"] else short
        ratio = row["seconds"] / ours[row["rows"]]
        lines.append(
            f"{row['peer']:<32}{row['rows']:<6}{row['seconds']:>10.1f}{ratio:>9.1f}{row['distance']:>11.1e}"
            f"{row['objective_gap']:>10.1e}{part}{short}"
        )
    for rows, best in fastest(times, ours).items():
        where = "at its optimum" if best["at_optimum"] else "(none at its optimum)"
        bound = "at least " if best["stopped"] else ""
        lines.append(
            f"text and {rows} image rows: the fastest {where} is {best['peer']}, "
            f"{bound}{best['seconds']:.1f} s, {bound}{best['times_ours']:.1f} x ours"
        )
    return lines


def fastest(times, ours):
    """Return for unit and raw rows the peer that takes least for both modalities, among those at their optimum.

    Where none is, all that have one compete: their times are too short, so the ratio is a lower bound. So it is where
    one that was stopped has the least.
    """
    result = {}
    for rows in sorted(set(ours) - {"text"}):
        sums = {}
        for peer in {row["peer"]: None for row in times if row["exact"]}:
            fits = [row for row in times if row["peer"] == peer and row["rows"] in ("text", rows)]
            sums[peer] = {
                "peer": peer,
                "seconds": sum(row["seconds"] for row in fits),
                "at_optimum": all(row["at_optimum"] for row in fits),
                "stopped": any(row["stopped"] for row in fits),
            }
        near = any(total["at_optimum"] for total in sums.values())
        among = [total for total in sums.values() if total["at_optimum"] or total["stopped"] or not near]
        best = min(among, key=lambda total: total["seconds"])
        result[rows] = best | {"times_ours": best["seconds"] / (ours["text"] + ours[rows])}
    return result


def as_rows(times):
    """Return `PeerTime`s as JSON-able dicts."""
    return [asdict(timed) for timed in times]
