"""A sweep of real trainings: killed in the middle it ends as an undisturbed one, a diverged run is a row."""

import csv
import json
import math
import re
import shlex
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from caffe.proto import caffe_pb2
from tool_module import parsed

from mindpics.api import load_run, solve, sweep
from mindpics.caffe_files.messages import read_message, write_message
from mindpics.jobs.commands import start_here
from mindpics.jobs.stages import StageError
from mindpics.sweeps import sweep as sweep_module
from mindpics.sweeps.cost import START, timed
from mindpics.sweeps.ranking import ranked, row_of
from mindpics.sweeps.settings import Run, runs_of
from mindpics.sweeps.sweep import OnGpus
from mindpics.training.solver_files import read_solver

SWEEP = Path(__file__).resolve().parents[2] / "tools" / "sweep"
GRID = ("--set", "base_lr=0.02,1e9", "--set", "max_iter=12")


def command(solver, out, *more, seeds=1):
    return [sys.executable, SWEEP, solver, "--out", out, "--jobs", "2", *GRID, "--seeds", str(seeds), *more]


def rows_of(folder):
    with open(folder / "runs.csv", encoding="utf-8", newline="") as stream:
        return {Path(row["path"]).name: row for row in csv.DictReader(stream)}


def result(row):
    return {name: value for name, value in row.items() if name not in ("seconds", "path")}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_sweep_killed_in_the_middle_goes_on_to_the_rows_of_an_undisturbed_one(small_job, tmp_path):
    killed = tmp_path / "killed"
    process = subprocess.Popen(command(small_job[0], killed), stdout=subprocess.DEVNULL)
    while len(list(killed.glob(".stages/*.done.json"))) < 1:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert re.search(rf"2 stages, \d unchanged: {killed}/", run(*command(small_job[0], killed)))
    printed = run(*command(small_job[0], tmp_path / "alone", "--top", "1"))
    alone, again = rows_of(tmp_path / "alone"), rows_of(killed)
    assert len(alone) == 2
    for name, row in alone.items():
        assert result(again[name]) == result(row)
    ended = [(row["base_lr"], row["ended"]) for row in alone.values()]
    assert ended == [("0.02", "done"), ("1000000000.0", "diverged")]  # the best first
    row = next(iter(alone.values()))
    tests = load_run(row["path"]).test
    assert float(row["best_accuracy_O"]) == pytest.approx(max(test["accuracy_O"] for test in tests))
    assert float(row["last_loss_N"]) == pytest.approx(tests[-1]["loss_N"])
    check_printed(printed, tmp_path / "alone")


def check_printed(printed, folder):
    """The table has a line a run; the last line repeats the best, and runs as pasted."""
    table, _, commands = printed.partition("To repeat the best:")
    assert len(re.findall(r"^ *\S.* diverged ", table, re.MULTILINE)) == 1
    commands = [shlex.split(line) for line in commands.splitlines() if line]
    best = list(rows_of(folder).values())[:1]
    assert [words[words.index("--out") + 1] for words in commands] == [f"{row['path']}-again" for row in best]
    run(sys.executable, "-m", "mindpics.cli", "train_net", *commands[0][1:])
    again = load_run(f"{best[0]['path']}-again").test[-1]
    assert again["accuracy_O"] == pytest.approx(float(best[0]["last_accuracy_O"]), abs=0.03)  # other threads
    page = (folder / "index.html").read_text()
    assert page.count("<tr>") == 2 + 1 and (folder / "settings.svg").is_file()


def test_a_plan_lists_the_runs_with_what_they_cost_and_makes_nothing(small_job, tmp_path):
    settings = ("--set", "normalization=VALID,BATCH_SIZE")
    printed = run(*command(small_job[0], tmp_path / "s", *settings, "--plan", seeds=2))
    assert len(re.findall(r" 12 iterations, about \d+:\d\d$", printed, re.MULTILINE)) == 8
    assert re.search(r"^8 stages, 2 at a time: about \d+:\d\d from nothing$", printed, re.MULTILINE)
    assert not (tmp_path / "s").exists()


def test_a_run_costs_its_steps_and_its_tests(small_job):
    message, nets = read_solver(small_job[0])
    times = timed(message, nets, threads=1)
    assert times.test > 0 and 0 < times.step < 60
    message.max_iter, message.test_interval = 100, 25
    assert times.of(message) == pytest.approx(START + 100 * times.step + 5 * times.test)


def test_a_net_that_caffe_does_not_train_is_refused_before_anything_runs(small_job, tmp_path):
    with pytest.raises(ValueError, match="mean.*wanted|wanted.*mean"):
        sweep(small_job[0], tmp_path / "s", {"layer[data].mean_file": ["no.binaryproto"]})
    assert not (tmp_path / "s").exists()


def test_a_setting_that_the_net_does_not_take_is_refused_before_anything_runs(small_job, tmp_path):
    with pytest.raises(ValueError, match=r"found layer\[fc9\]"):
        sweep(small_job[0], tmp_path / "s", {"layer[fc9].num_output": [1, 2]})
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"type": ["SGD", "AdaGrad"]}, r"--set type=AdaGrad: .*momentum"),
        ({"layer[data].crop_size": [32, 4000]}, r"--set layer\[data\].crop_size=4000: .*crop_size 4000"),
        ({"iter_size": [1, 0]}, "--set iter_size=0: .*iter_size 0; 1 or more is wanted"),
    ],
)
def test_a_setting_that_only_a_later_run_fails_with_is_named_before_anything_runs(
    small_job, tmp_path, settings, wanted
):
    with pytest.raises(ValueError, match=wanted):
        sweep(small_job[0], tmp_path / "s", settings)
    assert not (tmp_path / "s").exists()


def test_weights_that_only_a_later_net_does_not_take_are_named_before_anything_runs(small_job, tmp_path):
    weights = solve(small_job[0], tmp_path / "first", iterations=1, progress=False).caffemodel
    with pytest.raises(ValueError, match=rf"--weights {weights} --set layer\[conv1\].num_output=8: .*conv1"):
        sweep(small_job[0], tmp_path / "s", {"layer[conv1].num_output": [4, 8]}, weights=["none", weights])
    assert not (tmp_path / "s").exists()


def test_each_distinct_net_is_built_once(small_job, tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(sweep_module, "build_in_fork", lambda *given: built.append(given))
    runs = runs_of({"base_lr": [0.1, 0.2], "layer[data].mirror": [True, False]}, seeds=2)
    stages, _ = sweep_module.planned(small_job[0], tmp_path / "s", runs)
    assert len(stages) == 8 and len(built) == 2


def test_where_a_run_fails_those_that_were_done_are_in_the_table(small_job, tmp_path):
    def start(command, *where):
        return start_here([sys.executable, "-c", "raise SystemExit(3)"] if "max_iter=2" in command else command, *where)

    with pytest.raises(StageError, match="exit status 3"):
        sweep(small_job[0], tmp_path / "s", {"max_iter": [2, 4]}, jobs=1, start=start)  # the longest is the first
    assert [row["max_iter"] for row in rows_of(tmp_path / "s").values()] == ["4"]
    assert "1 of 2 runs, the best first" in (tmp_path / "s/index.html").read_text()
    rows = sweep(small_job[0], tmp_path / "s", {"max_iter": [2, 4]}, jobs=1)
    assert len(rows) == len(rows_of(tmp_path / "s")) == 2


FACTS = {"diverged": None, "iterations": 2, "seconds": 1, "weights": None, "more_weights": []}


def layer(kind, top, score="s", more=""):
    return f'layer {{ name: "{top}" type: "{kind}" bottom: "{score}" bottom: "label" top: "{top}" {more} }}\n'


def row_in(folder, net, tests, solver='net: "net.prototxt" test_iter: 1'):
    """Return the row of a run of which the folder has its net, its solver and test.csv."""
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(solver)
    (folder / "test.csv").write_text(tests)
    (folder / "run.json").write_text(json.dumps(FACTS))
    return row_of(Run({}), folder)


def test_the_best_is_of_passes_whose_losses_are_numbers(tmp_path):
    """An untrained net with BatchNorm gives NaN at iteration 0, where Caffe counts each picture as right."""
    net = f"{layer('SoftmaxWithLoss', 'l')}{layer('Accuracy', 'a')}"
    row = row_in(tmp_path, net, "iteration,l,a\n0,nan,1\n1,.7,.5\n2,.6,.4\n")
    assert (row["best_l"], row["best_a"], row["last_a"]) == (0.6, 0.5, 0.4)
    (tmp_path / "test.csv").write_text("iteration,l,a\n0,nan,1\n1,nan,1\n")
    nothing = row_of(Run({}), tmp_path)
    assert math.isnan(nothing["best_mean_accuracy"])
    assert ranked([nothing, row]) == [row, nothing]


def test_the_weights_of_a_row_are_those_that_were_copied(tmp_path, small_job):
    solver, _ = small_job
    weights = solve(solver, tmp_path / "first", iterations=1, progress=False).caffemodel
    message = read_message(solver, caffe_pb2.SolverParameter())
    message.weights.append(str(weights))
    message.max_iter = 1
    write_message(message, solver)
    rows = sweep(solver, tmp_path / "s", {}, weights=[None, "none"], jobs=1)
    assert sorted(row["weights"] for row in rows) == sorted([str(weights), "none"])


def test_what_is_a_loss_the_net_says_and_no_name(tmp_path):
    """GoogLeNet's accuracies are called loss1/top-1."""
    net = f"{layer('SoftmaxWithLoss', 'loss1/loss1')}{layer('Accuracy', 'loss1/top-1')}"
    header = "iteration,loss1/loss1,loss1/top-1,softmax_loss\n"
    row = row_in(tmp_path, net + layer("SoftmaxWithLoss", "softmax_loss"), header + "1,2,.5,4\n2,1,.25,2\n")
    assert (row["best_loss1/loss1"], row["best_loss1/top-1"], row["best_softmax_loss"]) == (1, 0.5, 2)
    assert (row["best_mean_accuracy"], row["last_mean_accuracy"]) == (0.5, 0.25)
    assert (row["best_mean_loss"], row["last_mean_loss"]) == (1.5, 1.5)


def test_losses_are_averaged_by_their_loss_weight_and_what_is_not_minimised_is_left_out(tmp_path):
    net = f"{layer('SoftmaxWithLoss', 'l')}{layer('EuclideanLoss', 'size', more='loss_weight: 0')}"
    sizes = "iteration,l,size\n1,.5,9\n2,.25,nan\n"
    row = row_in(tmp_path, net, sizes)
    assert (row["best_mean_loss"], row["last_mean_loss"], row["last_l"]) == (0.25, 0.25, 0.25)
    net += layer("SoftmaxWithLoss", "aux", "x", "loss_weight: .25")
    assert row_in(tmp_path, net, "iteration,l,aux,size\n1,2,1,9\n")["last_mean_loss"] == pytest.approx(2.25 / 1.25)
    net = layer("EuclideanLoss", "l", more="loss_weight: -2")
    rows = [row_in(tmp_path, net, f"iteration,l\n1,{value}\n2,1\n") for value in (3, 4)]
    assert [row["best_mean_loss"] for row in ranked(rows)] == [-4, -3]


def test_the_accuracy_is_the_top_1_of_the_heads_of_the_greatest_loss_weight(tmp_path):
    net = "".join(
        layer("SoftmaxWithLoss", f"loss{head}", f"s{head}", f"loss_weight: {weight}")
        + layer("Accuracy", f"top1_{head}", f"s{head}", f'top: "each{head}"')
        + layer("Accuracy", f"top5_{head}", f"s{head}", "accuracy_param { top_k: 5 }")
        for head, weight in (("O", 1), ("C", 1), ("aux", 0.3))
    )
    header = "iteration,top1_O,top5_O,eachO,eachO[1],top1_C,top5_C,top1_aux,top5_aux,lossO\n"
    assert row_in(tmp_path, net, header + "1,.25,1,0,0,.5,1,.9,.9,7\n")["last_mean_accuracy"] == 0.375
    assert row_in(tmp_path, net, "iteration,top5_O\n1,.75\n")["last_mean_accuracy"] == 0.75
    net = net.replace("loss_weight: 1 ", "loss_weight: .5 ") + (
        'layer { name: "prob" type: "Softmax" bottom: "sO" top: "prob" }\n' + layer("Accuracy", "of_prob", "prob")
    )
    assert row_in(tmp_path, net, "iteration,of_prob,top5_O,top1_C\n1,.25,1,.5\n")["last_mean_accuracy"] == 0.375


def test_of_several_test_nets_the_first_is_ranked_in_its_state(tmp_path):
    """A second may be on the training pictures; a layer of another stage has a weight of its own there."""
    net = layer("Accuracy", "a") + "".join(
        layer("SoftmaxWithLoss", top, bottom, f'loss_weight: {weight} include {{ stage: "{stage}" }}')
        for top, bottom, weight, stage in (("l", "s", 1, "a"), ("m", "x", 3, "a"), ("l", "s", 9, "b"))
    )
    solver = 'net: "net.prototxt" test_iter: 1 test_iter: 1 test_state { stage: "a" } test_state { stage: "b" }'
    row = row_in(tmp_path, net, "iteration,a,l,m,a#1,l#1\n1,.5,4,8,1,1\n", solver)
    assert (row["last_mean_accuracy"], row["last_mean_loss"], row["last_a#1"]) == (0.5, 7, 1)
    (tmp_path / "test_net_0.prototxt").write_text(layer("EuclideanLoss", "m"))
    row = row_in(tmp_path, net, "iteration,m,l#1\n1,4,1\n", 'test_net: "/old/test_net_0.prototxt" ' + solver)
    assert row["last_mean_loss"] == 4 and "last_mean_accuracy" not in row


def test_from_python_a_sweep_returns_its_rows_the_best_first(small_job, tmp_path):
    rows = sweep(small_job[0], tmp_path / "s", {"base_lr": [1e9, 0.02], "max_iter": [4]}, jobs=1)
    assert [(row["base_lr"], row["ended"]) for row in rows] == [(0.02, "done"), (1e9, "diverged")]
    assert "lower base_lr" in rows[1]["why"]


def test_each_gpu_has_one_command_at_a_time(tmp_path):
    start = OnGpus([0, 3])
    sleep = [sys.executable, "-c", "import sys, time; print(sys.argv[1:]); time.sleep(0.3)"]
    first, second = (start(sleep, tmp_path / f"{turn}.log", 1) for turn in "ab")
    second.wait()
    start(sleep, tmp_path / "c.log", 1).wait()
    first.wait()
    given = [(tmp_path / f"{turn}.log").read_text().strip() for turn in "abc"]
    assert sorted(given[:2]) == ["['--gpu', '0']", "['--gpu', '3']"] and given[2] in given[:2]
    assert start_here(sleep, tmp_path / "d.log", 1).wait() == 0


def on_a_worker(given):
    """Return a cluster's start: each worker has one GPU, which is told by its number; here it has none."""

    def start(command, *where):
        place = command.index("--gpu")
        given.append(command[place + 1])
        return start_here([*command[:place], *command[place + 2 :]], *where)

    return start


def test_on_a_cluster_each_run_has_the_gpu_of_its_worker_and_this_machine_needs_none(small_job, tmp_path):
    given = []
    start, settings = on_a_worker(given), {"max_iter": [2, 3]}
    rows = sweep(small_job[0], tmp_path / "s", settings, jobs=2, gpus=[7], start=start)
    assert len(rows) == 2 and given == ["7", "7"]
    with pytest.raises(ValueError, match="found GPUs 0,1 of a cluster; wanted one number"):
        sweep(small_job[0], tmp_path / "t", settings, gpus=[0, 1], start=start)
    assert not (tmp_path / "t").exists()


def test_the_tool_gives_a_cluster_its_gpus_and_its_jobs(small_job, tmp_path, monkeypatch, capsys):
    given, asked = [], []
    words = (small_job[0], "--out", tmp_path / "s", "--set", "max_iter=2,3", "--scheduler", "tcp://x", "--gpus", "7")
    tool, args = parsed("sweep", *words)
    cluster = nullcontext((2, on_a_worker(given)))
    monkeypatch.setattr(tool.scheduler, "place", lambda *place: asked.append(place) or cluster)
    tool.main(args)
    assert given == ["7", "7"] and asked[0][0] == "tcp://x" and asked[0][3] == [7]
    args.plan = True
    tool.main(args)
    assert re.search(r" 2 iterations$.*^2 stages, 2 at a time", capsys.readouterr().out, re.MULTILINE | re.DOTALL)


def test_gpus_that_are_not_there_are_one_line_before_anything_runs(small_job, tmp_path):
    done = subprocess.run(
        command(small_job[0], tmp_path / "s", "--gpus", "77,78"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("sweep: --gpu 77: found ") and not (tmp_path / "s").exists()


@pytest.mark.parametrize("gpus", ["0,0", "-1", "x", "0,", "1,01"])
def test_gpus_that_cannot_be_meant_are_wrong_usage(small_job, tmp_path, gpus):
    done = subprocess.run(
        command(small_job[0], tmp_path / "s", f"--gpus={gpus}"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and not (tmp_path / "s").exists()
    assert done.stderr.endswith(f"--gpus: found {gpus!r}; wanted numbers of GPUs, each once, like 0,1\n")
