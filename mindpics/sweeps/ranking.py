"""Ranking of a sweep's runs: what is measured in the first test net, and by what Caffe minimises there."""

import math
import re
from pathlib import Path

from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import read_message
from mindpics.caffe_files.solver_nets import solver_nets, takes_part
from mindpics.files.json_files import read_json
from mindpics.files.layout import TrainingFiles
from mindpics.lint.phases import is_loss
from mindpics.training.history import read_rows
from mindpics.training.outputs import blob_of, kind_of, kinds_of_run
from mindpics.training.solver_files import NO_WEIGHTS


def row_of(run, folder):
    """Return a run as a row: settings, how it ended, last, best of each test output and their means, seconds, path.

    mean_loss is the mean by loss_weight of what is minimised in the first test net: the sum that Caffe minimises,
    divided by its weights. mean_accuracy is that of its heads, see `accuracies_of`.

    Parameters
    ----------
    run : mindpics.sweeps.settings.Run
    folder : path
    """
    files = TrainingFiles(Path(folder))
    facts = read_json(files.facts)
    weights = [told["path"] for told in (facts["weights"], *facts["more_weights"]) if told]
    row = dict(run.settings) | {"weights": ",".join(weights) or NO_WEIGHTS, "seed": run.seed}
    row |= {"ended": "diverged" if facts["diverged"] else "done", "iterations": facts["iterations"]}
    tests = read_rows(files.tests)
    columns = dict.fromkeys(name for test in tests for name in test if name != "iteration")
    kinds, layers = kinds_of_run(folder), first_test_net(files)
    kinds = {name: kinds.get(blob_of(name)) for name in columns}
    minimised = loss_weights_of(layers)
    losses = {name for name, kind in kinds.items() if kind == "loss" and minimised.get(blob_of(name), 1)}
    sound = [test for test in tests if all(math.isfinite(test[name]) for name in losses & test.keys())]
    for name, kind in kinds.items():
        row[f"last_{name}"] = [test[name] for test in tests if name in test][-1]
        values = [test[name] for test in sound if math.isfinite(test.get(name, math.nan))]
        falls = kind == "loss" and minimised.get(blob_of(name), 1) >= 0
        row[f"best_{name}"] = (min if falls else max)(values, default=math.nan)
    accuracies = dict.fromkeys(accuracies_of(layers, columns), 1)
    for kind, tops in (("accuracy", accuracies), ("loss", minimised)):
        shares = {name: share for top, share in tops.items() if share for name in _values(top, columns)}
        for when in ("last", "best") if shares else ():
            total = math.fsum(share * row[f"{when}_{name}"] for name, share in shares.items())
            row[f"{when}_mean_{kind}"] = total / math.fsum(map(abs, shares.values()))
    return row | {"seconds": facts["seconds"], "path": str(folder), "why": facts["diverged"] or ""}


def ranked(rows):
    """Return rows, the best first: by mean best accuracy, else loss; those of no number, then diverged, last."""

    def place(row):
        accuracy, loss = row.get("best_mean_accuracy"), row.get("best_mean_loss")
        value = -accuracy if accuracy is not None else loss if loss is not None else 0
        return (row["ended"] == "diverged", math.isnan(value), value)

    return sorted(rows, key=place)


def first_test_net(files):
    """Return the layers that Caffe builds as test net #0 of a run (`TrainingFiles`); [] where it tests none."""
    solver = read_message(files.solver, caffe_pb2.SolverParameter())
    for place in solver_nets(solver):
        net = read_message(files.folder / Path(place.value(solver)).name, caffe_pb2.NetParameter())
        for build in place.builds(net):
            if build.test == 0:
                return [layer for layer in net.layer if takes_part(layer, build.state)]
    return []


def loss_weights_of(layers):
    """Return {top: loss_weight} of losses; Caffe's own have 1 where none is written, and a 0 is not minimised."""
    weights = {}
    for layer in layers:
        if kind_of(layer) == "loss":
            weights |= dict.fromkeys(layer.top, 0)
            weights |= zip(layer.top, layer.loss_weight or [1] * is_loss(layer), strict=False)
    return weights


def accuracies_of(layers, columns):
    """Return the tops that are accuracies of heads: of a score's several that of the least top_k.

    Heads that Caffe weighs less than others, as GoogLeNet's auxiliary ones are, are left out: a head weighs what the
    loss on its score does, or 1 where none reads it. A Softmax of a score is that score.

    Parameters
    ----------
    layers : list of LayerParameter
        Of a net.
    columns : collection of str
        Its outputs.
    """
    scores = {layer.top[0]: layer.bottom[0] for layer in layers if layer.type == "Softmax"}
    weights, loss_weights, heads = {}, loss_weights_of(layers), []
    for layer in layers:
        score = next((scores.get(bottom, bottom) for bottom in layer.bottom), None)
        weight = max((loss_weights.get(top, 0) for top in layer.top), default=0)
        if weight:
            weights[score] = max(weight, weights.get(score, 0))
        if kind_of(layer) == "accuracy":
            heads += [(score, layer.accuracy_param.top_k, top) for top in layer.top[:1] if top in columns]
    heaviest = max((weights.get(score, 1) for score, _, _ in heads), default=1)
    least = {}
    for score, top_k, _ in heads:
        least[score] = min(top_k, least.get(score, top_k))
    return [top for score, top_k, top in heads if top_k == least[score] and weights.get(score, 1) == heaviest]


def _values(top, columns):
    """Return the columns of a top: NAME, NAME[1]."""
    return [name for name in columns if re.sub(r"\[\d+\]$", "", name) == top]
