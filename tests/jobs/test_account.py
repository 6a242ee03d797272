"""What a job says: a few lines in a file whatever it does, each step in its log."""

import pytest

from mindpics.jobs import account
from mindpics.jobs.account import PARTS, Account
from mindpics.jobs.runner import Runner
from mindpics.jobs.stages import Stage


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [1000.0]
    monkeypatch.setattr(account.time, "time", lambda: now[0])
    return now


@pytest.mark.parametrize("hours", [0.1, 10, 400])
def test_a_job_of_any_length_says_a_few_lines_in_a_file(tmp_path, clock, capsys, hours):
    said, seconds = Account(tmp_path), 3600 * hours
    while clock[0] < 1000 + seconds:
        said.show("3/44", lambda: 1000 + seconds - clock[0], lambda: [("alexnet", "45%|##  | 5/9 [00:05<00:04]")])
        clock[0] += seconds / 5000
    lines = capsys.readouterr().out.splitlines()
    assert PARTS <= len(lines) <= PARTS + 1
    assert all(line.startswith("[3/44, ") and line.endswith("left] | alexnet 45%") for line in lines)
    assert not list(tmp_path.iterdir())  # it is no step


def test_each_step_is_in_the_log_and_the_end_says_where(tmp_path, capsys):
    script = tmp_path / "tool.py"
    script.write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).touch()")
    stages = [Stage(name, (str(script), str(tmp_path / name)), (), (str(tmp_path / name),)) for name in "abcdefgh"]
    for _ in range(2):
        Runner(stages, tmp_path / "run", 4).run()
    log = (tmp_path / "run/logs/job.log").read_text()
    first, again = capsys.readouterr().out.splitlines()
    assert first.endswith(f"  8 stages: {tmp_path}/run/logs/job.log") and "8 stages, 8 unchanged: " in again
    for name in "abcdefgh":
        assert [log.count(f"  {name}: {step}") for step in ("starts", "done in", "unchanged")] == [1, 1, 1]
