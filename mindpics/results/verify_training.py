"""Verify: a training's solver and net beside what the paper says of training (section 4, equation 5)."""

import json
import math

from caffe.proto import caffe_pb2

from mindpics.caffe_files.messages import read_message
from mindpics.caffe_files.solver_nets import trained_layers
from mindpics.files.findings import Finding, guarded
from mindpics.files.layout import TrainingFiles
from mindpics.nets.solvers import SCHEDULES
from mindpics.published import published
from mindpics.traits import TRAITS

PAPER = published()["training"]


def check_training(solver, net_path, facts):
    """Yield "ok" or "differs" of every number of a training that the paper has, a "note" of the README's schedule.

    Parameters
    ----------
    solver : SolverParameter
    net_path : Path
        Its net.prototxt; where it is not there, or has no trait head, only the solver is looked at.
    facts : dict
        Its run.json.
    """
    init = "scratch" if facts["weights"] is None else "finetune"
    path = net_path.with_name(TrainingFiles.solver)
    yield from (_beside(*row, path) for row in _of_solver(solver, init))
    yield from _schedule(solver, SCHEDULES[init], path)
    try:
        net = read_message(net_path, caffe_pb2.NetParameter())
    except (OSError, ValueError):
        return
    heads = [layer for layer in trained_layers(net, solver) if layer.name in {f"score_{trait}" for trait in TRAITS}]
    if heads:
        findings = (_beside(*row, net_path) for row in _of_net(net, heads, solver, init))
        yield from guarded("paper-training", findings, net_path)


def _of_solver(solver, init):
    yield "momentum", [solver.momentum], [PAPER["momentum"]]
    yield "weight_decay", [solver.weight_decay], [PAPER["weight_decay"]]
    yield "base_lr", [solver.base_lr], [PAPER["base_lr"][init]]


def _schedule(solver, schedule, path):
    """Yield a "note" where the rate drops elsewhere than the README has chosen: the paper states no schedule."""
    if solver.stepsize:
        steps, chosen = round(solver.max_iter / solver.stepsize, 1), round(schedule.epochs / schedule.step_epochs, 1)
        text = f"max_iter / stepsize {_text([steps])}"
        if steps == chosen:
            yield Finding("ok", "paper-training", text, str(path))
        else:
            yield Finding("note", "paper-training", f"{text}; the README's choice: {_text([chosen])}", str(path))


def _of_net(net, heads, solver, init):
    body = "resnet50" if any(layer.type == "BatchNorm" for layer in net.layer) else "alexnet"
    train = next((layer for layer in trained_layers(net, solver) if layer.type == "Data"), None)
    if train is not None:
        yield "batch", [train.data_param.batch_size * solver.iter_size], [PAPER["batch_size"][body]]
        yield "crop", [train.transform_param.crop_size], [224] if body == "resnet50" else sorted(PAPER["crop"].values())
    factor = PAPER["new_layer_lr_factor"] if init == "finetune" else 1
    yield "lr_mult of the heads", sorted({head.param[0].lr_mult for head in heads if head.param}), [factor]
    ratios = sorted({layer.dropout_param.dropout_ratio for layer in net.layer if layer.type == "Dropout"})
    if ratios:
        yield "dropout", ratios, [PAPER["dropout"]]
    yield "normalisation", sorted({mode for layer in net.layer if (mode := _normalization(layer))}), ["BATCH_SIZE"]


def _normalization(layer):
    if layer.type == "SoftmaxWithLoss":
        return layer.loss_param.NormalizationMode.Name(layer.loss_param.normalization)
    if layer.type == "Python" and layer.python_param.layer == "TraitLoss":
        return json.loads(layer.python_param.param_str).get("normalization", "BATCH_SIZE")
    return None


def _beside(name, values, paper_values, path):
    """Return the Finding of values, of which each is to be one of those that the paper has."""
    agrees = bool(values) and all(any(_equal(value, paper_value) for paper_value in paper_values) for value in values)
    text = f"{name} {_text(values)}" + ("" if agrees else f"; the paper: {_text(paper_values)}")
    return Finding("ok" if agrees else "differs", "paper-training", text, str(path))


def _equal(value, paper_value):
    return value == paper_value if isinstance(value, str) else math.isclose(value, paper_value, rel_tol=1e-5)


def _text(values):
    return " or ".join(value if isinstance(value, str) else f"{value:g}" for value in values) or "none"
