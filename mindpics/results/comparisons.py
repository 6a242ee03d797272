"""What is compared on the same test set: all-in-one against independent nets, and what another study pairs."""

import numpy as np

from mindpics.files.tables import write_table
from mindpics.published import published
from mindpics.results.metrics import load_scores
from mindpics.results.paired import over_seeds, pair
from mindpics.results.study import Comparison, tested_a_trained
from mindpics.traits import unpack

COLUMNS = (
    "run",
    "comparison",
    "only_first_right",
    "only_second_right",
    "n",
    "difference",
    "low95",
    "high95",
    "p_value",
)


def comparisons(run):
    """Return the comparisons that a run allows.

    Parameters
    ----------
    run : mindpics.results.run_files.RunFiles

    Raises
    ------
    ValueError
        When two models were scored on different pictures.
    """
    return [*_heads(run), *(run.study.comparisons if run.study else [])]


def right_answers(path):
    """Return (ids, right) of a scores.npz: whether each picture's own head names its pole; a tie counts against.

    Returns
    -------
    ids : str array [N]
    right : bool array [N]
    """
    ids, labels, scores = load_scores(path)
    rows, (traits, poles) = np.arange(len(labels)), unpack(labels)
    return ids, scores[rows, traits, poles] > scores[rows, traits, 1 - poles]


def _heads(run):
    models = run.models()
    paper_n = round(published()["dataset"]["images"] * published()["dataset"]["test_fraction"])
    comparisons = []
    for name, row in models.items():
        independent = name.replace("_all-in-one_", "_independent_")
        if independent == name or independent not in models:
            continue
        (ids, first), (independent_ids, second) = (
            right_answers(run.scores(name)),
            right_answers(run.scores(independent)),
        )
        if not np.array_equal(ids, independent_ids):
            raise ValueError(
                f"{run.scores(name)}: found other pictures than "
                f"in {run.scores(independent)}; wanted the same: score them again"
            )
        paper = (row["published_avg"], models[independent]["published_avg"])
        comparisons.append(
            Comparison(
                f"{row['net']} {row['init']}: all-in-one against independent",
                pair(first, second),
                row["avg"] - models[independent]["avg"],
                paper,
                paper_n,
                tested_a_trained(run.selection),
            )
        )
    return comparisons


def differences_over_seeds(by_run):
    """Return {name: `mindpics.results.paired.OverSeeds`} in points, of what two runs or more have.

    Parameters
    ----------
    by_run : list of list of Comparison
        Of runs that differ in the seed only.
    """
    named = {}
    for comparisons in by_run:
        for each in comparisons:
            named.setdefault(each.name, []).append(each)
    return {
        name: over_seeds(
            [each.points for each in same],
            float(np.mean([each.test_to_train for each in same])),
        )
        for name, same in named.items()
        if len(same) > 1 and all(each.test_to_train for each in same)
    }


def write_comparisons(path, by_run):
    """Write paired.csv: a row each run and comparison; differences and intervals in points over all test pictures.

    Parameters
    ----------
    by_run : dict
        Name of a run -> its comparisons.
    """
    write_table(path, COLUMNS, (_line(run, each) for run, comparisons in by_run.items() for each in comparisons))


def _line(run, comparison):
    paired, (low, high) = comparison.paired, comparison.paired.interval()
    points = [f"{100 * value:.2f}" for value in (paired.difference, low, high)]
    counts = [paired.only_first, paired.only_second, paired.n]
    return [run, comparison.name, *counts, *points, f"{paired.p_value:.3g}"]
