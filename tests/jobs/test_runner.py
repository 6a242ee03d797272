"""Running stages: order, skipping, change, failure, resume after a kill, one run a folder, seed after seed."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mindpics.jobs.commands import start_here
from mindpics.jobs.runner import Runner, default_jobs
from mindpics.jobs.stages import Stage, StageError
from mindpics.jobs.turns import run_jobs


@pytest.fixture
def tool(tmp_path):
    """A script that appends its name to `ran` and copies its inputs' text to its output."""
    path = tmp_path / "tool.py"
    path.write_text(
        textwrap.dedent("""
        import pathlib, sys
        folder, output, *inputs = map(pathlib.Path, sys.argv[1:])
        with open(folder / "ran", "a") as ran:
            ran.write(output.name + "\\n")
        output.write_text("".join(p.read_text() for p in inputs) + output.name)
        """)
    )
    return path


def chain(tmp_path, tool):
    a, b, c = (str(tmp_path / name) for name in "abc")
    given = str(tmp_path / "given")
    return [
        Stage("c", (str(tool), str(tmp_path), c, a, b), (a, b), (c,)),
        Stage("a", (str(tool), str(tmp_path), a, given), (given,), (a,)),
        Stage("b", (str(tool), str(tmp_path), b, a), (a,), (b,)),
    ]


def ran(tmp_path):
    path = tmp_path / "ran"
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return names


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_stage_waits_for_what_it_reads_and_is_skipped_when_nothing_changed(tmp_path, tool, jobs):
    stages = chain(tmp_path, tool)
    (tmp_path / "given").write_text("x")
    Runner(stages, tmp_path / "run", jobs).run()
    assert ran(tmp_path) == ["a", "b", "c"]
    assert (tmp_path / "c").read_text() == "xaxabc"
    again = Runner(stages, tmp_path / "run", jobs)
    again.step(jobs)  # one look: a hundred stages that are unchanged would else be a hundred waits
    assert again.is_complete and ran(tmp_path) == []


def test_a_changed_input_a_changed_command_or_a_lost_output_runs_what_depends_on_it(tmp_path, tool):
    stages = chain(tmp_path, tool)
    (tmp_path / "given").write_text("x")
    Runner(stages, tmp_path / "run").run()
    ran(tmp_path)
    (tmp_path / "given").write_text("y")
    Runner(stages, tmp_path / "run").run()
    assert ran(tmp_path) == ["a", "b", "c"]
    (tmp_path / "b").unlink()
    Runner(stages, tmp_path / "run").run()
    assert ran(tmp_path) == ["b"]  # c's inputs are the same again
    stages[0] = Stage("c", (*stages[0].command, str(tmp_path / "a")), stages[0].inputs, stages[0].outputs)
    Runner(stages, tmp_path / "run").run()
    assert ran(tmp_path) == ["c"]


def test_what_a_stage_reads_beside_its_inputs_is_in_its_state(tmp_path, tool):
    output = str(tmp_path / "a")
    stage = Stage("a", (str(tool), str(tmp_path), output), (), (output,))
    for state, wanted in (("", ["a"]), ("", []), ("of pictures", ["a"]), ("of pictures", []), ("of others", ["a"])):
        Runner([replace(stage, state=state)], tmp_path / "run").run()
        assert ran(tmp_path) == wanted


@pytest.mark.parametrize(
    ("name", "usual", "other"), [("MINDPICS_ENGINE", "fast", "caffe"), ("MINDPICS_TF32", "0", "1")]
)
def test_other_layers_by_the_environment_make_stages_anew(tmp_path, tool, monkeypatch, name, usual, other):
    (tmp_path / "given").write_text("x")
    for value, wanted in ((None, "abc"), (usual, ""), (other, "abc"), (other, ""), ("", "abc")):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
        Runner(chain(tmp_path, tool), tmp_path / "run").run()
        assert ran(tmp_path) == list(wanted)


def test_failure_names_the_stage_its_command_and_the_end_of_its_log(tmp_path):
    script = tmp_path / "fail.py"
    script.write_text("import sys; print('line of the log'); sys.exit('the reason')")
    stage = Stage("bad", (str(script),), (), (str(tmp_path / "never"),))
    expected = r"(?s)stage bad failed \(exit status 1\).*fail.py.*line of the log.*the reason"
    with pytest.raises(StageError, match=expected):
        Runner([stage], tmp_path / "run").run()
    script.write_text("")
    with pytest.raises(StageError, match="it made no"):
        Runner([stage], tmp_path / "run").run()


def test_a_stage_that_may_fail_leaves_out_what_stands_on_it_and_is_tried_again(tmp_path, tool, capsys):
    (tmp_path / "given").write_text("x")
    first, second, third = (str(tmp_path / name) for name in ("first", "second", "third"))
    script = tmp_path / "fail.py"
    script.write_text("import sys; sys.exit('the reason')")
    stages = [
        *chain(tmp_path, tool),
        Stage("first", (str(script),), (), (first,), may_fail=True),
        Stage("second", (str(tool), str(tmp_path), second, first), (first,), (second,)),
        Stage("third", (str(tool), str(tmp_path), third, second), (second,), (third,)),
    ]
    (tmp_path / "third").write_text("of an earlier call")
    left_out = run_jobs([(SimpleNamespace(root=str(tmp_path / "run"), seed=0), stages)], [], 2, done=lambda job: None)
    assert left_out == {first, second, third}
    assert sorted(ran(tmp_path)) == ["a", "b", "c"]
    assert "first: failed (exit status 1); left out: first, second, third" in capsys.readouterr().out
    script.write_text(f"import pathlib; pathlib.Path({first!r}).write_text('1')")
    (tmp_path / "third").unlink()
    Runner(stages, tmp_path / "run", 2).run()
    assert ran(tmp_path) == ["second", "third"]


@pytest.mark.parametrize("end", ["sys.exit(130)", "os.kill(os.getpid(), signal.SIGINT)"])
def test_a_stage_that_was_interrupted_by_itself_interrupts_the_job_though_it_may_fail(tmp_path, tool, end):
    (tmp_path / "given").write_text("x")
    script = tmp_path / "train.py"
    script.write_text(f"import os, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n{end}")
    stages = [*chain(tmp_path, tool), Stage("train", (str(script),), (), (str(tmp_path / "never"),), may_fail=True)]
    with pytest.raises(KeyboardInterrupt):
        Runner(stages, tmp_path / "run").run()


def test_missing_input_that_no_stage_makes_is_named(tmp_path, tool):
    with pytest.raises(StageError, match="given: found no such file; wanted a file or a folder, and no stage makes it"):
        Runner(chain(tmp_path, tool), tmp_path / "run").run()


def test_a_stage_that_was_killed_on_the_same_inputs_is_resumed(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'args')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"if '--resume' not in sys.argv: sys.exit(9)\n"
        f"pathlib.Path({str(tmp_path / 'model')!r}).write_text('m')\n"
    )
    stage = Stage("train", (str(script),), (), (str(tmp_path / "model"),), resumable=True)
    with pytest.raises(StageError, match="exit status 9"):
        Runner([stage], tmp_path / "run").run()
    Runner([stage], tmp_path / "run").run()
    assert (tmp_path / "args").read_text() == "--resume"
    other = Stage("train", (str(script), "other"), (), (str(tmp_path / "model"),), resumable=True)
    with pytest.raises(StageError):  # another command: nothing to resume
        Runner([other], tmp_path / "run").run()
    assert (tmp_path / "args").read_text() == "other"


def test_a_stage_killed_before_it_has_begun_anew_does_not_go_on_with_what_other_inputs_left(tmp_path):
    script, solver = tmp_path / "train.py", tmp_path / "solver"
    stage = Stage("train", (str(script),), (), (str(tmp_path / "model"),), resumable=True, begun=str(solver))
    solver.write_text("of other inputs")
    script.write_text(
        f"import pathlib, sys; pathlib.Path({str(tmp_path / 'args')!r}).write_text(str(sys.argv[1:])); sys.exit(9)"
    )
    for _ in range(2):
        with pytest.raises(StageError):
            Runner([stage], tmp_path / "run").run()
        assert (tmp_path / "args").read_text() == "[]"
    solver.write_text("of these")
    for _ in range(2):  # a kill before it comes so far again changes nothing
        with pytest.raises(StageError):
            Runner([stage], tmp_path / "run").run()
        assert (tmp_path / "args").read_text() == "['--resume']"


def test_a_second_run_into_the_same_folder_is_refused_with_the_firsts_pid(tmp_path):
    code = (
        "import os, sys, time; from mindpics.files.lock import locked\n"
        f"with locked({str(tmp_path)!r}): print(os.getpid(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        pid = first.stdout.readline().strip()
        with pytest.raises(StageError, match=f"process {pid} at work there"):
            Runner([], tmp_path).run()
        first.stdin.close()
    Runner([], tmp_path).run()


def test_stamp_holds_command_and_seconds(tmp_path, tool):
    (tmp_path / "given").write_text("x")
    tool.write_text(tool.read_text() + "import time; time.sleep(0.3)\n")
    begun = time.time()
    Runner(chain(tmp_path, tool), tmp_path / "run").run()
    passed = time.time() - begun
    stamps = [json.loads((tmp_path / "run" / ".stages" / f"{name}.done.json").read_text()) for name in "abc"]
    assert [stamp["command"][:3] for stamp in stamps] == [[str(tool), str(tmp_path), str(tmp_path / n)] for n in "abc"]
    assert min(stamp["seconds"] for stamp in stamps) >= 0.3
    assert sum(stamp["seconds"] for stamp in stamps) <= passed + 0.2  # one after another; each is rounded to 0.1


def seed_run(tmp_path, tool, seed):
    root = tmp_path / f"run{seed}"
    root.mkdir(exist_ok=True)
    stage = Stage("only", (str(tool), str(tmp_path), str(root / f"made{seed}")), (), (str(root / f"made{seed}"),))
    return SimpleNamespace(seed=seed, root=str(root)), [stage]


def test_seeds_run_one_after_another_and_what_is_drawn_of_all_comes_last(tmp_path, tool, capsys):
    runs, done = [seed_run(tmp_path, tool, seed) for seed in (3, 4)], []
    made = [path for _, stages in runs for stage in stages for path in stage.outputs]
    drawing = [
        Stage("draw", (str(tool), str(tmp_path), str(tmp_path / "page"), *made), tuple(made), (str(tmp_path / "page"),))
    ]
    run_jobs(runs, drawing, 1, done=lambda job: done.append((job.seed, ran(tmp_path))))
    assert done == [(3, ["made3"]), (4, ["made4"])] and ran(tmp_path) == ["page"]
    assert f"seed 4, run 2 of 2: {tmp_path / 'run4'}" in capsys.readouterr().out
    assert (tmp_path / "run3" / ".stages" / "draw.done.json").is_file()


def test_on_a_cluster_the_seeds_after_the_first_run_beside_each_other(tmp_path, tool):
    def start(*given):
        return start_here(*given)

    meets = tmp_path / "meets.py"
    meets.write_text(
        textwrap.dedent("""
        import pathlib, sys, time
        first, mine, other = map(pathlib.Path, sys.argv[1:])
        mine.write_text(first.read_text())
        until = time.time() + 30
        while not other.exists():
            assert time.time() < until, f"{other} did not run beside me"
            time.sleep(0.02)
    """)
    )
    runs = [seed_run(tmp_path, tool, seed) for seed in (0, 1, 2)]
    first, *others = (str(tmp_path / f"run{seed}" / f"made{seed}") for seed in (0, 1, 2))
    for (_, stages), mine, other in zip(runs[1:], others, reversed(others), strict=True):
        stages[:] = [Stage("meet", (str(meets), first, mine, other), (first,), (mine,))]
    done = []
    run_jobs(runs, [], 2, done=lambda job: done.append(job.seed), start=start)
    assert done == [0, 1, 2]


def test_a_seed_that_fails_leaves_those_before_it_done(tmp_path, tool):
    runs = [seed_run(tmp_path, tool, seed) for seed in (0, 1)]
    given = str(tmp_path / "given")
    runs[1] = (runs[1][0], [Stage("only", (*runs[1][1][0].command, given), (given,), runs[1][1][0].outputs)])
    with pytest.raises(StageError, match="given: found no such file"):
        run_jobs(runs, [], 1, done=lambda job: None)
    assert ran(tmp_path) == ["made0"]
    (tmp_path / "given").write_text("")
    run_jobs(runs, [], 1, done=lambda job: None)
    assert ran(tmp_path) == ["made1"]


def test_what_a_run_saw_of_its_stages_goes_on_to_the_next_but_a_resumed_stage_says_nothing(tmp_path):
    flag, model = tmp_path / "flag", tmp_path / "model"
    script = tmp_path / "train.py"
    script.write_text(
        f"import pathlib, sys\nif not pathlib.Path({str(flag)!r}).exists(): sys.exit(9)\n"
        f"pathlib.Path({str(model)!r}).write_text('m')\n"
    )
    stage = Stage("train", (str(script),), (), (str(model),), resumable=True)
    with pytest.raises(StageError):
        Runner([stage], tmp_path / "run").run()
    flag.write_text("")
    resumed = Runner([stage], tmp_path / "run", timed=[("before", 1)])
    resumed.run()
    assert resumed.timed == [("before", 1)]
    model.unlink()
    again = Runner([stage], tmp_path / "other")
    again.run()
    assert [each.name for each, _ in again.timed] == ["train"]


def test_one_stage_at_a_time_on_a_gpu():
    assert default_jobs(0) == 1 and default_jobs(None) >= 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_ended_has_its_stages_take_their_snapshot_first(tmp_path, number):
    stage = tmp_path / "train.py"
    stage.write_text(
        "import pathlib, signal, sys, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "def end(*_):\n    (here / 'snapshot').touch()\n    sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, end)\n(here / 'begun').touch()\ntime.sleep(60)\n"
    )
    job = textwrap.dedent(f"""
        from types import SimpleNamespace
        from mindpics.jobs.stages import Stage
        from mindpics.jobs.turns import run_jobs
        stage = Stage("train", ({str(stage)!r},), (), ({str(tmp_path / "never")!r},))
        run_jobs([(SimpleNamespace(root={str(tmp_path / "run")!r}, seed=0), [stage])], [], 1, print)
    """)
    process = subprocess.Popen([sys.executable, "-c", job], stderr=subprocess.DEVNULL)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=30) != 0 and (tmp_path / "snapshot").exists()
