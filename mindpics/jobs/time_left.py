"""Time left of a job: expected costs of its stages, at the pace of those that have ended."""

from mindpics.jobs.commands import as_typed
from mindpics.jobs.log_tail import clock
from mindpics.jobs.stages import ways_left

BELIEF = 60  # expected seconds that weigh against what has been seen of a tool


def time_left(stages, elapsed, finished, jobs, later=()):
    """Return the seconds until `stages` and those `later` have ended, roughly.

    Each tool has its own pace, since a cost may be wrong for one kind of work and right for another.

    Parameters
    ----------
    stages : list of mindpics.jobs.stages.Stage
        Those that have not ended.
    elapsed : dict
        name -> seconds that a running stage has had.
    finished : list of (Stage, seconds)
        What stages took that ran from their beginning.
    jobs : int
    later : sequence of Stage
        Stages that start when all of `stages` have ended.
    """
    slow = [(stage, elapsed[stage.name]) for stage in stages if elapsed.get(stage.name, 0) > stage.cost]
    paces = _paces([*finished, *slow])
    takes = {stage.name: stage.cost * paces.get(stage.command[0], 1) for stage in stages}
    # A stage that should have ended has a twentieth left: nobody knows, and it is not nothing.
    owed = {name: max(seconds - elapsed.get(name, 0), seconds / 20) for name, seconds in takes.items()}
    longest = max(ways_left(stages, owed).values(), default=0)
    afterwards = sum(stage.cost * paces.get(stage.command[0], 1) for stage in later)
    return max(sum(owed.values()) / jobs, longest) + afterwards / jobs


def _paces(observed):
    """Return {tool: seconds taken a second expected}, drawn towards 1 while little has been seen."""
    expected, taken = {}, {}
    for stage, seconds in observed:
        tool = stage.command[0]
        expected[tool] = expected.get(tool, BELIEF) + stage.cost
        taken[tool] = taken.get(tool, BELIEF) + seconds
    return {tool: taken[tool] / expected[tool] for tool in expected}


def format_plan(runs, jobs):
    """Return the stages of runs as lines, name, note, command, and how long all of them take, roughly.

    Parameters
    ----------
    runs : list of list of mindpics.jobs.stages.Stage
        One after another, such as seeds; a name may stand in several.
    jobs : int
    """
    stages = [stage for of_run in runs for stage in of_run]
    lines = [f"{stage.name:<40} {stage.note}\n    {as_typed(stage.command)}" for stage in stages]
    took = clock(sum(time_left(of_run, {}, [], jobs) for of_run in runs))
    return "\n".join([*lines, f"{len(stages)} stages, {jobs} at a time: about {took} from nothing"])
