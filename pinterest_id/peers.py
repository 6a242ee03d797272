"""Peers of the joint solver: scikit-learn's solvers on the same matrices, to the same accuracy of their optimum.

One-vs-rest peers solve class by class, so a share of the classes tells the time of
all, by proportion; the multinomial one solves all. A peer whose weights are further
from its optimum than ours are proved to be is fitted anew to a smaller tolerance; the
time is that of the last fit. What still is further says so: its time is too short.
"""

import time
import warnings
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
    largest |gradient|^2 / 2 over the objective, which bounds what it lies above its least value.
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


def time_peer(peer, rows, fits, classes, tol, max_iter):
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
    """
    seconds, cpu, distances, gaps, of_classes = 0.0, 0.0, [], [], 1
    for X, codes, C in fits:
        of_classes = len(np.unique(codes))
        for target in [codes] if peer.multinomial else [(codes == k).astype(int) for k in classes]:
            *times, distance, gap = _fit(peer, X, target, C, tol, max_iter)
            seconds, cpu = seconds + times[0], cpu + times[1]
            distances.append(distance)
            gaps.append(gap)
    solved = of_classes if peer.multinomial else len(classes)
    near = bool(max(distances) <= tol)
    return PeerTime(
        peer.name,
        rows,
        seconds * of_classes / solved,
        cpu * of_classes / solved,
        seconds,
        solved,
        of_classes,
        float(max(distances)),
        float(max(gaps)),
        near,
        peer.exact,
    )


def _fit(peer, X, target, C, at_most, max_iter):
    tol = 1e-4
    for _ in range(TRIES):
        model = peer.make(C, X.shape[0], tol, max_iter)
        begun, cpu = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged is in the distance
            model.fit(X, target)
        times = time.perf_counter() - begun, time.process_time() - cpu
        distance, gap = accuracy(peer, model, X, target, C)
        if distance <= at_most or not peer.exact or np.max(model.n_iter_) >= max_iter:
            break
        tol *= 0.3 * at_most / distance
    return *times, distance, gap


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
        ratio = row["seconds"] / ours[row["rows"]]
        lines.append(
            f"{row['peer']:<32}{row['rows']:<6}{row['seconds']:>10.1f}{ratio:>9.1f}{row['distance']:>11.1e}"
            f"{row['objective_gap']:>10.1e}{part}{short}"
        )
    for rows, best in fastest(times, ours).items():
        where = "at its optimum" if best["at_optimum"] else "(none at its optimum)"
        lines.append(
            f"text and {rows} image rows: the fastest {where} is {best['peer']}, "
            f"{best['seconds']:.1f} s, {best['times_ours']:.1f} x ours"
        )
    return lines


def fastest(times, ours):
    """Return for unit and raw rows the peer that takes least for both modalities, among those at their optimum.

    Where none is, all that have one compete: their times are too short, so the ratio is a lower bound.
    """
    result = {}
    for rows in sorted(set(ours) - {"text"}):
        sums = {}
        for peer in {row["peer"]: None for row in times if row["exact"]}:
            fits = [row for row in times if row["peer"] == peer and row["rows"] in ("text", rows)]
            sums[peer] = (sum(row["seconds"] for row in fits), all(row["at_optimum"] for row in fits))
        near = {peer: seconds for peer, (seconds, at_optimum) in sums.items() if at_optimum}
        among = near or {peer: seconds for peer, (seconds, _) in sums.items()}
        best = min(among, key=among.get)
        result[rows] = {
            "peer": best,
            "seconds": among[best],
            "at_optimum": bool(near),
            "times_ours": among[best] / (ours["text"] + ours[rows]),
        }
    return result


def as_rows(times):
    """Return `PeerTime`s as JSON-able dicts."""
    return [asdict(timed) for timed in times]
