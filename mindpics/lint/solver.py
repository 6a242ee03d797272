"""Lint of a solver, and of what it asks of its net."""

import os
from pathlib import Path

from mindpics.caffe_files.prototxt import nearest
from mindpics.caffe_files.solver_nets import TRAINED, solver_nets

TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
POLICIES = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power",),
    "sigmoid": ("gamma", "stepsize"),
}


def check_solver(prototxt):
    """Yield what is wrong with a solver (a Prototxt of SolverParameter) by itself."""
    solver = prototxt.message
    for check in (_nets, _tests, _lengths, _rate, _policy, _update, _snapshots):
        for severity, name, text, *where in check(solver):
            yield prototxt.finding(severity, name, text, *where)


def check_with_net(prototxt, views, weights):
    """Yield where a solver (a Prototxt) and a net of its, as NetPhases, do not go together.

    Parameters
    ----------
    prototxt : Prototxt
    views : list of NetPhase
    weights : path or None
        caffemodel that training begins with, beside the solver's own.
    """
    solver = prototxt.message
    trained = [view for view in views if view.test is None]
    has_norm = any(layer.type == "BatchNorm" for view in trained for _, layer in view.layers)
    if has_norm and solver.test_iter and solver.test_initialization and not (weights or solver.weights):
        text = "test_initialization: an untrained BatchNorm has no statistics, the test at iteration 0 gives NaN"
        yield prototxt.finding("warning", "test-initialization", text, "test_initialization")
    bad = [name for view in trained for name in _no_groups(view)] if solver.snapshot_format == solver.HDF5 else []
    if bad:
        text = f"snapshot_format HDF5: Caffe makes no group of layer {bad[0]!r} and aborts when it saves: names that "
        text += "are empty, stand twice or have a / want BINARYPROTO"
        yield prototxt.finding("error", "snapshot-format", text, "snapshot_format")
    feeds = [_feeds(view) for view in trained]
    if any(view.test is not None and _feeds(view) in feeds for view in views):
        text = "test_iter, but no layer feeds the test net alone: it would be tested on the training pictures"
        yield prototxt.finding("warning", "no-test-net", text, "test_iter")
    for view in views if solver.solver_mode == solver.CPU else ():
        for index, layer in view.layers:
            if layer.type == "Pooling" and layer.pooling_param.pool == layer.pooling_param.STOCHASTIC:
                text = "pool: STOCHASTIC is of a GPU alone: on the CPU Caffe aborts"
                yield view.finding("error", "stochastic-pool", index, text, "pooling_param", "pool")
    layers = [layer for view in trained for _, layer in view.layers]
    factors = [layer.name for layer in layers if layer.type == "Scale" and len(layer.bottom) == 1]
    if factors and solver.iter_size > 1 and any(layer.data_param.batch_size == 1 for layer in layers):
        text = f"iter_size {solver.iter_size} over single pictures: the gradient of a Scale's factor ({factors[0]}) is "
        text += "that of the last picture alone, which BVLC's Scale writes where others add; a batch_size of 2 adds"
        yield prototxt.finding("warning", "single-pictures", text, "iter_size")


def _feeds(view):
    return [index for index, layer in view.layers if not layer.bottom]


def _no_groups(view):
    """Yield the names for which Net::ToHDF5 makes no group: of layers, and of the splits that Caffe names by a blob."""
    names = [layer.name for _, layer in view.layers]
    yield from (name for name in names if name in ("", ".") or "/" in name or names.count(name) > 1)
    for index, layer in view.layers:
        for number, top in enumerate(layer.top):
            if "/" in top and len(view.readers(top, index)) + any(layer.loss_weight[number : number + 1]) > 1:
                yield f"{layer.name}_{top}_{number}_split"


def _nets(solver):
    places = solver_nets(solver)
    trained = [place.field for place in places if place.field in TRAINED]
    if len(trained) != 1:
        text = f"found {' and '.join(trained) or 'no net'}; wanted one of {', '.join(TRAINED)}"
        yield "error", "solver-net", text, *trained[1:2]
    for place in places:
        path = place.value(solver)
        if isinstance(path, str) and not os.path.isfile(path):
            text = f"its net {path} is not there (paths are relative to {Path.cwd()})"
            yield "error", "solver-net", text, (place.field, place.number)
    if level := solver.train_state.level:
        text = f"level {level} holds here; the command `caffe train` puts its --level in its place, by default 0"
        yield "note", "train-level", text, "train_state"


def _tests(solver):
    named, built = len(solver.test_net) + len(solver.test_net_param), len(solver.test_iter)
    is_generic = solver.HasField("net") or solver.HasField("net_param")
    if built < named or built > named and not is_generic:
        text = f"{built} test_iter for {named} test nets: Caffe aborts"
        yield "error", "test-iter", text, "test_iter" if built else "test_net"
    if solver.test_state and len(solver.test_state) != built:
        text = f"{len(solver.test_state)} test_state for {built} test nets (test_iter counts them): Caffe aborts"
        yield "error", "test-state", text, "test_state"
    if solver.test_interval and not solver.test_iter:
        yield "warning", "test-iter", "test_interval without test_iter: Caffe will never test", "test_interval"
    if solver.test_iter and solver.test_interval <= 0:
        yield "error", "test-interval", "test_iter without test_interval: Caffe aborts", "test_iter"
    if 0 < solver.max_iter < solver.test_interval:
        text = f"test_interval {solver.test_interval} is over max_iter {solver.max_iter}"
        yield "warning", "test-interval", text, "test_interval"


def _lengths(solver):
    if solver.max_iter < 1:
        yield "warning", "length", f"max_iter {solver.max_iter}: nothing would be learned", "max_iter"
    for name in ("iter_size", "average_loss"):
        if getattr(solver, name) < 1:
            yield "error", "length", f"{name} {getattr(solver, name)}; 1 or more is wanted", name


def _rate(solver):
    if not solver.base_lr > 0:
        yield "warning", "base-lr", f"base_lr {solver.base_lr:g}; a rate above 0 is wanted", "base_lr"
    if not 0 <= solver.momentum < 1:
        yield "warning", "momentum", f"momentum {solver.momentum:g}; from 0 to under 1 is wanted", "momentum"
    if solver.momentum and solver.type in ("AdaGrad", "RMSProp"):
        text = f"momentum {solver.momentum:g}: {solver.type} takes none, Caffe aborts"
        yield "error", "momentum", text, "momentum"
    if solver.type == "RMSProp" and not 0 <= solver.rms_decay < 1:
        text = f"rms_decay {solver.rms_decay:g}; from 0 to under 1 is wanted: Caffe aborts"
        yield "error", "rms-decay", text, "rms_decay"
    if solver.weight_decay < 0 or solver.weight_decay >= 0.1:
        yield "warning", "weight-decay", f"weight_decay {solver.weight_decay:g}; 0.0005 is usual", "weight_decay"


def _policy(solver):
    if solver.lr_policy not in POLICIES:
        near = nearest(solver.lr_policy, POLICIES)
        text = f"lr_policy {solver.lr_policy!r}; one of {', '.join(POLICIES)} is wanted{near}"
        yield "error", "lr-policy", text, "lr_policy"
        return
    for name in POLICIES[solver.lr_policy]:
        present = len(solver.stepvalue) if name == "stepvalue" else solver.HasField(name)
        if name in ("gamma", "stepsize") and getattr(solver, name) < (name == "stepsize"):
            value = f"{name} {getattr(solver, name):g}" if present else f"no {name}"
            text = f'{value} with lr_policy: "{solver.lr_policy}": Caffe aborts'
            yield "error", "lr-policy", text, name if present else "lr_policy"
        elif not present:
            yield "warning", "lr-policy", f'lr_policy: "{solver.lr_policy}" without {name}', "lr_policy"
    if list(solver.stepvalue) != sorted(solver.stepvalue):
        text = f"stepvalue {list(solver.stepvalue)} does not ascend: each waits for the one before it"
        yield "warning", "lr-policy", text, "stepvalue"
    if solver.lr_policy in ("step", "multistep", "exp") and solver.gamma > 1:
        yield "warning", "gamma", f"gamma {solver.gamma:g}: the rate would grow", "gamma"
    unused = [name for name in ("stepsize", "stepvalue") if name not in POLICIES[solver.lr_policy]]
    for name in unused:
        if solver.stepvalue if name == "stepvalue" else solver.HasField(name):
            yield "warning", "lr-policy", f'{name} has no effect with lr_policy: "{solver.lr_policy}"', name


def _update(solver):
    if solver.type not in TYPES:
        yield "error", "solver-type", f"no solver type {solver.type!r}{nearest(solver.type, TYPES)}", "type"
    if solver.regularization_type not in ("L1", "L2") and solver.weight_decay:
        text = f"regularization_type {solver.regularization_type!r}; L1 or L2 is wanted"
        yield "error", "regularization", text, "regularization_type"


def _snapshots(solver):
    if solver.snapshot < 0:
        yield "warning", "snapshot", f"snapshot {solver.snapshot}; 0 (never) or more is wanted", "snapshot"
    if not solver.snapshot and not solver.snapshot_after_train:
        text = "neither snapshot nor snapshot_after_train: the weights would be lost"
        yield "warning", "snapshot", text, "snapshot_after_train"
    folder = Path(solver.snapshot_prefix).parent
    if solver.HasField("snapshot_prefix") and not folder.is_dir():
        yield "error", "snapshot-folder", f"the folder of snapshot_prefix, {folder}, is not there", "snapshot_prefix"
