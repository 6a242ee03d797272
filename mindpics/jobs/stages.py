"""Stages of a job: commands that wait for the stages whose outputs they read."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stage:
    """One command of a job.

    Attributes
    ----------
    name : str
    command : tuple of str
        A tool and its arguments, run by this Python.
    inputs, outputs : tuple of str
        Files or folders.
    cost : float
        Seconds it takes on two cores, roughly; for the time left.
    resumable : bool
        The command takes ``--resume`` after it was killed on the same inputs.
    begun : str
        File that a resumable command writes when it has begun anew. Killed before that it is not resumed: what lies
        there is of other inputs.
    note : str
        Sizes, for the plan.
    may_fail : bool
        The job goes on without this stage, and without those that wait for it, where it fails.
    state : str
        What decides the outputs beside the command and the inputs, such as the state of the pictures that an input
        names.
    """

    name: str
    command: tuple
    inputs: tuple
    outputs: tuple
    cost: float = 1
    resumable: bool = False
    note: str = ""
    begun: str = ""
    may_fail: bool = False
    state: str = ""

    def has_begun_since(self, stamp):
        """Tell whether the command has come to its own work since a file was written, when it was started."""
        begun = Path(self.begun)
        return not self.begun or begun.is_file() and begun.stat().st_mtime_ns > stamp.stat().st_mtime_ns


class StageError(RuntimeError):
    """A stage failed; the message has the end of its log."""


def ways_left(stages, seconds=None):
    """Return the seconds from the start of each stage to the end of the longest chain that waits for it.

    Started in that order, no long chain is left to run alone at the end.

    Parameters
    ----------
    stages : list of mindpics.jobs.stages.Stage
    seconds : dict, optional
        name -> seconds it takes; by default its cost.
    """
    ways = {}

    def way(stage):
        if stage.name not in ways:
            after = [way(successor) for successor in stages if set(stage.outputs) & set(successor.inputs)]
            seconds_here = stage.cost if seconds is None else seconds[stage.name]
            ways[stage.name] = seconds_here + max(after, default=0)
        return ways[stage.name]

    for stage in stages:
        way(stage)
    return ways


def standing_on(stage, stages):
    """Return those of `stages` that wait for a stage, directly or by others between."""
    after, made = [], set(stage.outputs)
    for later in stages:
        if made & set(later.inputs):
            after.append(later)
            made |= set(later.outputs)
    return after


def stages_for(stages, targets):
    """Return the stages that make `targets` (paths), in order, with all that those stand on."""
    needed = set(targets)
    chosen = []
    for stage in reversed(stages):
        if needed & set(stage.outputs):
            chosen.append(stage)
            needed |= set(stage.inputs)
    return chosen[::-1]
