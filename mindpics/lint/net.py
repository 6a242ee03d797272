"""Lint of nets and solvers: what Caffe would abort on, or silently get wrong.

Errors are what Caffe would abort on or what would make a training meaningless;
warnings are what is legal but rarely meant. Nothing is instantiated, except, when
weights are given, a net in a child process (see `mindpics.lint.weights`).
"""

from itertools import zip_longest
from pathlib import Path

from caffe.proto import caffe_pb2

from mindpics.caffe_files.prototxt import Prototxt, read_prototxt
from mindpics.files.findings import Finding, errors, unique
from mindpics.files.printable import printable_name
from mindpics.lint import blobs as lint_blobs
from mindpics.lint import data as lint_data
from mindpics.lint import gradients as lint_backward
from mindpics.lint import layers as lint_layers
from mindpics.lint import solver as lint_solver
from mindpics.lint import weights as lint_weights
from mindpics.lint.phases import TEST, TRAIN, NetPhase, phases_of


def lint_file(path, weights=None, data=False, allow_python_layers=False):
    """Check a train_val, deploy or solver prototxt; a solver's nets are checked with it.

    Parameters
    ----------
    path : str or Path
        Paths inside are relative to the working directory, as in Caffe.
    weights : str or Path, optional
        caffemodel that will be copied into the net by layer names.
    data : bool
        LMDBs and means that are not there are errors, not notes.
    allow_python_layers : bool
        Do not complain of Python layers outside ``mindpics.layers``.

    Returns
    -------
    list of Finding
    """
    prototxt, findings = read_prototxt(path)
    if prototxt is None:
        return findings
    if isinstance(prototxt.message, caffe_pb2.NetParameter):
        return unique([*findings, *_lint_net(prototxt, None, weights, data, allow_python_layers)])
    findings += lint_solver.check_solver(prototxt)
    for net, net_findings in _nets_of(prototxt):
        findings += net_findings
        if net is not None:
            findings += _lint_net(net, prototxt, weights, data, allow_python_layers)
    return unique(findings)


def _nets_of(solver):
    """Yield (Prototxt or None, findings) of each net of a solver (a Prototxt): its files, and what stands in itself."""
    for path in lint_solver.net_paths(solver.message):
        if Path(path).is_file():
            net, findings = read_prototxt(path)
            if net is not None:
                net.phases = lint_solver.phases_for(solver.message, path)
            yield net, findings
    for name, phases in (("net_param", ()), ("train_net_param", (TRAIN,)), ("test_net_param", (TEST,))):
        value = getattr(solver.message, name)
        nets = value if name == "test_net_param" else [value] * solver.message.HasField(name)
        for net, lines in zip_longest(nets, solver.lines.fields.get(name, [])[: len(nets)], fillvalue=solver.lines):
            yield Prototxt(net, solver.path, lines, phases), []


def refuse_errors(solver, net, allow_python_layers=False):
    """Raise what a training must not start with.

    Parameters
    ----------
    solver : caffe.proto.caffe_pb2.SolverParameter
        Its snapshot_prefix is not looked at: a training run has its own folder.
    net : caffe.proto.caffe_pb2.NetParameter

    Raises
    ------
    ValueError
        The first three errors, in words. LMDBs and means must be there.
    """
    run_solver = caffe_pb2.SolverParameter()
    run_solver.CopyFrom(solver)
    run_solver.ClearField("snapshot_prefix")
    solver = Prototxt(run_solver, "")
    findings = [*lint_solver.check_solver(solver)]
    findings += _lint_net(Prototxt(net, ""), solver, None, True, allow_python_layers)
    wrong = unique(Finding("error", "", finding.message) for finding in errors(findings))
    if wrong:
        further = f" (and {len(wrong) - 3} more: tools/lint_net)" if len(wrong) > 3 else ""
        raise ValueError("; ".join(printable_name(finding.message) for finding in wrong[:3]) + further)


def _lint_net(net, solver, weights, data, allow_python_layers):
    """Yield what is wrong with a net; `solver` (a Prototxt or None) decides the phases and what is learned."""
    if not net.message.layer:
        yield net.finding("error", "no-layers", "a net without layers")
        return
    yield from lint_layers.check_all_layers(net, allow_python_layers)
    for phase in phases_of(net):
        view = NetPhase(net, phase)
        yield from lint_layers.check_phase(view)
        yield from lint_blobs.check_blobs(view)
        yield from lint_backward.check_backward(view)
    yield from lint_data.check_data(net, solver, required=data)
    if solver is not None:
        yield from lint_solver.check_with_net(solver, net, weights)
    if weights is not None:
        yield from lint_weights.check_weights(net, weights)
    else:
        yield from lint_weights.check_fillers(net)
