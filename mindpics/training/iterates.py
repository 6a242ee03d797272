"""Iterates of a training: Caffe's own accuracy at the last and at the best test pass, and the best snapshot."""

import math
import re
from pathlib import Path

import numpy as np

from mindpics.files.json_files import read_json
from mindpics.files.layout import TrainingFiles
from mindpics.files.tables import read_table

_SNAPSHOT = re.compile(r"net_iter_(\d+)\.caffemodel")
_NUMBERED = re.compile(r".*_iter_(\d{1,9})\.caffemodel(\.h5)?")  # as Caffe names the snapshots of any prefix
LAST, BEST, SNAPSHOT, GIVEN = "last", "best on the test set", "a snapshot", "weights as given"


def caffes_accuracies(run):
    """Return {iteration: accuracy in %} of a run's test passes: Caffe's own, an average over batches, mean over heads.

    A batch without a picture of a head counts as 0 there, as Accuracy has it. A pass with a figure that is not finite,
    which a layer of the user's may give, is left out.

    Parameters
    ----------
    run : path
        Folder of tools/train_net, with its test.csv.
    """
    path = TrainingFiles(Path(run)).tests
    if not path.is_file():
        return {}
    passes = {}
    for _, row in read_table(path, ("iteration",)):
        heads = [float(value) for name, value in row.items() if name.startswith("accuracy") and value]
        if heads and all(map(math.isfinite, heads)):
            passes[int(row["iteration"])] = 100 * float(np.mean(heads))
    return passes


def iterate_of(weights):
    """Return (name, iteration) of a caffemodel: LAST where a run of train_net ended with it, else SNAPSHOT or GIVEN.

    Parameters
    ----------
    weights : path
        By whose name and place it is told; the iteration is None where they do not tell.
    """
    weights = Path(weights)
    snapshot = _NUMBERED.fullmatch(weights.name)
    of_run = weights.parent.name == TrainingFiles.snapshots
    facts = read_json(TrainingFiles(run_of(weights)).facts)
    ended, model = facts.get("iterations"), Path(str(facts.get("caffemodel"))).name  # interrupted: a snapshot
    if snapshot:
        return LAST if of_run and int(snapshot[1]) == ended else SNAPSHOT, int(snapshot[1])
    is_end = model == TrainingFiles.weights and weights.name in (model, TrainingFiles.weights_hdf5)
    return (LAST, ended) if is_end and isinstance(ended, int) else (GIVEN, None)


def run_of(weights):
    """Return the folder of the run that a caffemodel is of, by its place: its own, or the one above snapshots/."""
    folder = Path(weights).parent
    return folder.parent if folder.name == TrainingFiles.snapshots else folder


def best_snapshot(run):
    """Return (caffemodel, iteration) of the snapshot whose test pass was the best: chosen on the test set, optimistic.

    A snapshot between two passes has the nearest pass's accuracy; of equals the earlier is taken.

    Raises
    ------
    ValueError
        When the run has no test pass, or no snapshot.
    """
    passes = caffes_accuracies(run)
    snapshots = TrainingFiles(Path(run)).snapshots
    matches = [_SNAPSHOT.fullmatch(path.name) for path in snapshots.glob("net_iter_*.caffemodel")]
    iterations = sorted(int(match[1]) for match in matches if match)
    if not passes or not iterations:
        lacking = "test pass with an accuracy" if iterations else "snapshot"
        raise ValueError(f"{run}: found no {lacking}; wanted a run of train_net that is done")
    nearest = {each: passes[min(passes, key=lambda tested: (abs(tested - each), tested))] for each in iterations}
    best = max(iterations, key=lambda each: (nearest[each], -each))
    return TrainingFiles(Path(run)).snapshots / f"net_iter_{best}.caffemodel", best
