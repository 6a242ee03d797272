"""Lint of a solver, and of what it asks of its net."""

from pathlib import Path

from mindpics.caffe_files.prototxt import nearest
from mindpics.lint.phases import TEST, TRAIN, NetPhase, phases_of

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


def net_paths(solver):
    """Return the paths of the nets that a SolverParameter names."""
    return list(dict.fromkeys(path for path in (solver.net, solver.train_net, *solver.test_net) if path))


def phases_for(solver, path):
    """Return the phases in which a solver uses the net at a path; () leaves it to the net's own rules."""
    if path == solver.net:
        return ()
    return (TRAIN,) * (path == solver.train_net) + (TEST,) * (path in solver.test_net)


def check_solver(prototxt):
    """Yield what is wrong with a solver (a Prototxt of SolverParameter) by itself."""
    solver = prototxt.message
    for check in (_nets, _tests, _lengths, _rate, _policy, _update, _snapshots):
        for severity, name, text, *where in check(solver):
            yield prototxt.finding(severity, name, text, *where)


def check_with_net(prototxt, net, weights):
    """Yield where a solver and its net do not go together.

    Parameters
    ----------
    prototxt : mindpics.caffe_files.prototxt.Prototxt
        Of a SolverParameter.
    net : mindpics.caffe_files.prototxt.Prototxt
    weights : path or None
        That training starts from.
    """
    solver = prototxt.message
    has_norm = any(layer.type == "BatchNorm" for _, layer in NetPhase(net, TRAIN).layers)
    if has_norm and solver.test_iter and solver.test_initialization and weights is None:
        text = "test_initialization: an untrained BatchNorm has no statistics, the test at iteration 0 gives NaN"
        yield prototxt.finding("warning", "test-initialization", text, "test_initialization")
    if solver.test_iter and solver.net and len(phases_of(net)) == 1:
        text = f"test_iter, but no layer of {solver.net} is of phase TEST: it would be tested on the training pictures"
        yield prototxt.finding("warning", "no-test-net", text, "test_iter")


def _nets(solver):
    net_fields = [name for name in ("net", "train_net", "net_param", "train_net_param") if solver.HasField(name)]
    if len(net_fields) != 1:
        text = f"found {' and '.join(net_fields) or 'no net'}; wanted one of net, train_net, net_param, train_net_param"
        yield "error", "solver-net", text, *net_fields[1:2]
    for path in net_paths(solver):
        if not Path(path).is_file():
            field = next(name for name in ("net", "train_net", "test_net") if path in getattr(solver, name))
            yield "error", "solver-net", f"its net {path} is not there (paths are relative to {Path.cwd()})", field


def _tests(solver):
    if solver.test_interval and not solver.test_iter:
        yield "error", "test-iter", "test_interval without test_iter: Caffe would never test", "test_interval"
    if solver.test_iter and not solver.test_interval:
        yield "error", "test-interval", "test_iter without test_interval: Caffe aborts", "test_iter"
    if len(solver.test_iter) > 1 and len(solver.test_iter) < len(solver.test_net):
        text = f"{len(solver.test_iter)} test_iter for {len(solver.test_net)} test nets"
        yield "error", "test-iter", text, "test_iter"
    if 0 < solver.max_iter < solver.test_interval:
        text = f"test_interval {solver.test_interval} is over max_iter {solver.max_iter}"
        yield "warning", "test-interval", text, "test_interval"


def _lengths(solver):
    for name in ("max_iter", "iter_size", "average_loss"):
        if getattr(solver, name) < 1:
            yield "error", "length", f"{name} {getattr(solver, name)}; 1 or more is wanted", name


def _rate(solver):
    if not solver.base_lr > 0:
        yield "error", "base-lr", f"base_lr {solver.base_lr:g}; a rate above 0 is wanted", "base_lr"
    if not 0 <= solver.momentum < 1:
        yield "error", "momentum", f"momentum {solver.momentum:g}; from 0 to under 1 is wanted", "momentum"
    if solver.weight_decay < 0 or solver.weight_decay >= 0.1:
        yield "warning", "weight-decay", f"weight_decay {solver.weight_decay:g}; 0.0005 is usual", "weight_decay"


def _policy(solver):
    if solver.lr_policy not in POLICIES:
        near = nearest(solver.lr_policy, POLICIES)
        text = f"lr_policy {solver.lr_policy!r}; one of {', '.join(POLICIES)} is wanted{near}"
        yield "error", "lr-policy", text, "lr_policy"
        return
    for name in POLICIES[solver.lr_policy]:
        n_values = len(solver.stepvalue) if name == "stepvalue" else solver.HasField(name)
        if not n_values:
            yield "error", "lr-policy", f'lr_policy: "{solver.lr_policy}" without {name}', "lr_policy"
        elif name in ("gamma", "stepsize") and getattr(solver, name) < (name == "stepsize"):
            text = f'{name} {getattr(solver, name):g} with lr_policy: "{solver.lr_policy}": Caffe aborts'
            yield "error", "lr-policy", text, name
    if list(solver.stepvalue) != sorted(solver.stepvalue):
        yield "error", "lr-policy", f"stepvalue {list(solver.stepvalue)} must ascend", "stepvalue"
    if solver.lr_policy in ("step", "multistep", "exp") and solver.gamma > 1:
        yield "warning", "gamma", f"gamma {solver.gamma:g}: the rate would grow", "gamma"
    unused = [name for name in ("stepsize", "stepvalue") if name not in POLICIES[solver.lr_policy]]
    for name in unused:
        if solver.stepvalue if name == "stepvalue" else solver.HasField(name):
            yield "warning", "lr-policy", f'{name} has no effect with lr_policy: "{solver.lr_policy}"', name


def _update(solver):
    if solver.type not in TYPES:
        yield "error", "solver-type", f"no solver type {solver.type!r}{nearest(solver.type, TYPES)}", "type"
    if solver.regularization_type not in ("L1", "L2"):
        text = f"regularization_type {solver.regularization_type!r}; L1 or L2 is wanted"
        yield "error", "regularization", text, "regularization_type"


def _snapshots(solver):
    if solver.snapshot < 0:
        yield "error", "snapshot", f"snapshot {solver.snapshot}; 0 (never) or more is wanted", "snapshot"
    if not solver.snapshot and not solver.snapshot_after_train:
        text = "neither snapshot nor snapshot_after_train: the weights would be lost"
        yield "warning", "snapshot", text, "snapshot_after_train"
    folder = Path(solver.snapshot_prefix).parent
    if solver.HasField("snapshot_prefix") and not folder.is_dir():
        yield "error", "snapshot-folder", f"the folder of snapshot_prefix, {folder}, is not there", "snapshot_prefix"
