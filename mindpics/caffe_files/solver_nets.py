"""Nets that a solver builds, each in its states, as Solver::InitTrainNet and InitTestNets have them; its weights."""

import os
from dataclasses import dataclass, field
from itertools import zip_longest

from caffe.proto import caffe_pb2

GENERIC = ("net", "net_param")
TRAINED = (*GENERIC, "train_net", "train_net_param")
PLAIN = caffe_pb2.NetState()
TESTED = ("test_net_param", "test_net")  # in the order in which Caffe numbers them


@dataclass(frozen=True)
class Build:
    """A net in a NetState; `test` is its number among a solver's test nets, None where it is none."""

    state: object
    test: int | None = None

    @property
    def name(self):
        """Phase, level and stages, in words."""
        level = f", level {self.state.level}" if self.state.level else ""
        stages = f", stage {' '.join(self.state.stage)}" if self.state.stage else ""
        return caffe_pb2.Phase.Name(self.state.phase) + level + stages


@dataclass
class SolverNet:
    """A net of a solver: the field it stands in, its number there, and (phase, NetState, test number) of each build."""

    field: str
    number: int = 0
    asked: list = field(default_factory=list)

    def value(self, solver):
        """Return what stands in the field: a path, or a NetParameter."""
        value = getattr(solver, self.field)
        return value[self.number] if self.field in TESTED else value

    def builds(self, net):
        """Return the Builds of the NetParameter that it is."""
        return tuple(Build(_merged(phase, net.state, state), test) for phase, state, test in self.asked)


def solver_nets(solver):
    """Return the SolverNets of a SolverParameter: what is trained first, then the test nets that it names.

    Parameters
    ----------
    solver : SolverParameter
        With more than one net to train, or none, each is here, though Caffe aborts.
    """
    trained = [SolverNet(name) for name in TRAINED if solver.HasField(name)]
    tests = [SolverNet(name, number) for name in TESTED for number in range(len(getattr(solver, name)))]
    for net in trained:
        net.asked.append((caffe_pb2.TRAIN, solver.train_state, None))
    generic = [net for net in trained if net.field in GENERIC][:1]
    built = tests + generic * (len(solver.test_iter) - len(tests))
    for number, (net, state) in enumerate(zip_longest(built, solver.test_state[: len(built)], fillvalue=PLAIN)):
        net.asked.append((caffe_pb2.TEST, state, number))
    return trained + tests


def weights_of(message):
    """Return the caffemodels that a solver names, in the order in which Caffe copies them."""
    return [path for paths in message.weights for path in split_weights(paths)]


def split_weights(paths):
    """Return the caffemodels of a text, with commas between, as ``caffe train --weights`` takes it."""
    return [path.strip() for path in paths.split(",")]


def given_weights(paths):
    """Return the caffemodels of a --weights: a file, whatever its name, or several with commas between."""
    return [paths] if os.path.exists(paths) else split_weights(str(paths))


def plain_build(phase, net):
    """Return the Build of a NetParameter that comes without a solver."""
    return Build(_merged(phase, net.state))


def trained_state(net, solver):
    """Return the NetState in which a NetParameter is trained by a SolverParameter."""
    return _merged(caffe_pb2.TRAIN, net.state, solver.train_state)


def trained_layers(net, solver):
    """Return the layers of a NetParameter that take part where a SolverParameter trains it."""
    state = trained_state(net, solver)
    return [layer for layer in net.layer if takes_part(layer, state)]


def takes_part(layer, state):
    """Tell whether a layer takes part in a NetState, by its include and exclude rules, as Net::FilterNet does."""
    if layer.include:
        return any(_matches(rule, state) for rule in layer.include)
    return not any(_matches(rule, state) for rule in layer.exclude)


def _matches(rule, state):
    return (
        (not rule.HasField("phase") or rule.phase == state.phase)
        and (not rule.HasField("min_level") or rule.min_level <= state.level)
        and (not rule.HasField("max_level") or rule.max_level >= state.level)
        and set(rule.stage) <= set(state.stage)
        and not set(rule.not_stage) & set(state.stage)
    )


def _merged(phase, *states):
    """Return the NetState of a phase; each of `states` goes before those in front of it."""
    state = caffe_pb2.NetState(phase=phase)
    for other in states:
        state.MergeFrom(other)
    return state
