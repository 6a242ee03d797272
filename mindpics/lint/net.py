"""Lint of nets and solvers: what Caffe would abort on, or silently get wrong.

Errors are what Caffe would abort on, or what its weights could not be used after;
warnings are what Caffe runs but is rarely meant. Where nothing else is wrong, Caffe
itself is asked, in a child process (see `mindpics.lint.build`).
"""

import os

from caffe.proto import caffe_pb2

from mindpics.caffe_files.prototxt import Prototxt, read_prototxt
from mindpics.caffe_files.solver_nets import given_weights, solver_nets, weights_of
from mindpics.files.findings import Finding, errors, unique
from mindpics.files.printable import printable_name
from mindpics.lint import blobs as lint_blobs
from mindpics.lint import data as lint_data
from mindpics.lint import gradients as lint_backward
from mindpics.lint import layers as lint_layers
from mindpics.lint import solver as lint_solver
from mindpics.lint import weights as lint_weights
from mindpics.lint.build import check_build
from mindpics.lint.phases import NetPhase, builds_of


def lint_file(path, weights=None, data=False, allow_python_layers=False):
    """Check a train_val, deploy or solver prototxt; a solver's nets are checked with it.

    Parameters
    ----------
    path : str or Path
        Paths inside are relative to the working directory, as in Caffe.
    weights : str or Path, optional
        caffemodel that will be copied into the net by layer names; several with commas between.
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
    weights = [] if weights is None else given_weights(weights)
    if isinstance(prototxt.message, caffe_pb2.NetParameter):
        findings += _lint_net(prototxt, None, weights, data, allow_python_layers)
        return unique([*findings, *_build(prototxt, findings, allow_python_layers)])
    findings += lint_solver.check_solver(prototxt)
    weights = weights or weights_of(prototxt.message)
    for net, of_net in _nets_of(prototxt):
        if net is not None:
            is_trained = any(build.test is None for build in net.builds)
            of_net += _lint_net(net, prototxt, weights if is_trained else [], data, allow_python_layers)
            of_net += _build(net, of_net, allow_python_layers)
        findings += of_net
    return unique(findings)


def _nets_of(solver):
    """Yield (Prototxt or None, findings) of each net of a solver (a Prototxt): its files, and what stands in itself."""
    for place in solver_nets(solver.message):
        value = place.value(solver.message)
        if isinstance(value, caffe_pb2.NetParameter):
            lines = solver.lines.fields.get(place.field, [])[place.number :]
            net, findings = Prototxt(value, solver.path, lines[0] if lines else solver.lines), []
        elif not os.path.isfile(value):
            continue
        else:
            net, findings = read_prototxt(value)
        if net is not None and not isinstance(net.message, caffe_pb2.NetParameter):
            net, findings = None, [solver.finding("error", "solver-net", f"{value}: a solver; a net is wanted")]
        if net is not None:
            net.builds = place.builds(net.message)
        yield net, findings


def refuse_errors(solver, nets, allow_python_layers=False):
    """Raise what a training must not start with.

    Parameters
    ----------
    solver : SolverParameter
        Its snapshot_prefix is not looked at: a training run has its own folder.
    nets : list of NetParameter
        Of its `solver_nets`, in their order; Caffe builds them later (`build_in_fork` of training).

    Raises
    ------
    ValueError
        The first three errors, in words. LMDBs and means must be there.
    """
    unsaved = caffe_pb2.SolverParameter()
    unsaved.CopyFrom(solver)
    unsaved.ClearField("snapshot_prefix")
    prototxt = Prototxt(unsaved, "")
    findings = [*lint_solver.check_solver(prototxt)]
    for place, net in zip(solver_nets(unsaved), nets, strict=True):
        built = Prototxt(net, "", builds=place.builds(net))
        findings += _lint_net(built, prototxt, [], True, allow_python_layers)
        findings += (finding for build in built.builds for finding in lint_data.check_fed(NetPhase(built, build)))
    wrong = unique(Finding("error", "", finding.message) for finding in errors(findings))
    if wrong:
        further = f" (and {len(wrong) - 3} more: tools/lint_net)" if len(wrong) > 3 else ""
        raise ValueError("; ".join(printable_name(finding.message) for finding in wrong[:3]) + further)


def _lint_net(net, solver, weights, data, allow_python_layers):
    """Yield what is wrong with a net; `solver` (a Prototxt or None) decides what is built of it and learned."""
    if not net.message.layer:
        yield net.finding("error", "no-layers", "a net without layers")
        return
    views = [NetPhase(net, build) for build in builds_of(net)]
    if not views and solver is None:
        text = "its layers' rules name stages, which a solver asks for (train_state, test_state): lint the solver"
        yield net.finding("note", "stages", text)
    yield from lint_layers.check_all_layers(net, views, allow_python_layers)
    for view in views:
        yield from lint_layers.check_phase(view)
        yield from lint_blobs.check_blobs(view)
        yield from lint_backward.check_backward(view)
    yield from lint_data.check_data(views, solver, required=data)
    if solver is not None:
        yield from lint_solver.check_with_net(solver, views, weights)
    if not weights:
        yield from lint_weights.check_fillers(net)
    elif views:
        yield from lint_weights.check_weights(net, views[0], weights, allow_python_layers)


def _build(net, findings, allow_python_layers):
    """Yield what Caffe says of a net in which nothing else is wrong."""
    if net.message.layer and not errors(findings):
        for build in builds_of(net):
            yield from check_build(NetPhase(net, build), allow_python_layers)
