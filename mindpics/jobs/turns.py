"""Order of several jobs, such as seeds: one after another here, beside each other on a cluster."""

from itertools import count

from mindpics.jobs.commands import start_here
from mindpics.jobs.runner import Runner, run_together


def run_jobs(runs, drawing, parallel, done, start=start_here):
    """Run jobs, then what is drawn of all.

    The first makes what all share, such as pictures, and has its tables before the others
    begin. On this machine those follow one by one; on a cluster they run together.

    Parameters
    ----------
    runs : list of (mindpics.job.Job, list of Stage)
    drawing : list of Stage
        Run in the first job's folder.
    parallel : int
        Stages at a time.
    done : callable
        Called with each job when its stages have ended.
    start : callable
        Starts a command: `mindpics.jobs.commands.start_here`, or on a cluster.

    Returns
    -------
    set of str
        Outputs of the jobs' stages that failed: what lies there is of another call.
    """
    timed, left_out, numbers, turns = [], set(), count(1), [[run] for run in runs]
    if start is not start_here:
        turns = [turn for turn in (runs[:1], runs[1:]) if turn]
    for place, turn in enumerate(turns):
        later = [stage for later_turn in turns[place + 1 :] for _, stages in later_turn for stage in stages]
        runners = [Runner(stages, job.root, parallel, [*later, *drawing], timed, start) for job, stages in turn]
        if len(runs) > 1:
            for job, _ in turn:
                print(f"seed {job.seed}, run {next(numbers)} of {len(runs)}: {job.root}", flush=True)
        run_together(runners, parallel)
        left_out |= {path for runner in runners for path in runner.left_out}
        timed = [seconds for runner in runners for seconds in runner.timed]
        for job, _ in turn:
            done(job)
    Runner(drawing, runs[0][0].root, parallel, timed=timed, start=start).run()
    return left_out
