"""The Python surface, as a user of pycaffe meets it: train, plot, read back, predict; stopped and diverged."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindpics.api import DivergedError, Interrupted, Predictor, load_run, solve, sweep
from mindpics.inference.infer import TraitNets
from mindpics.sweeps.settings import Range
from mindpics.training import solver_run

ROOT = Path(__file__).resolve().parents[1]
NET = "resnet50_all-in-one_finetune"


@pytest.fixture
def as_reproduced(small_run, tmp_path):
    """A folder with runs/mini and data/open as tools/reproduce leaves them, as far as the README's example goes."""
    mindpics, made = tmp_path / "runs/mini/mindpics", small_run / "mindpics"
    (mindpics / "nets/solvers").mkdir(parents=True)
    (mindpics / "nets/prototxt").symlink_to(made / "nets/prototxt")
    (mindpics / "nets/solvers" / f"{NET}.prototxt").symlink_to(made / NET / NET / "solver.prototxt")
    (mindpics / "mean.binaryproto").symlink_to(made / "mean.binaryproto")
    (tmp_path / "data/open").mkdir(parents=True)
    (tmp_path / "data/open/emoji").symlink_to(small_run.parent / "emoji")
    return tmp_path


def test_the_lines_of_the_readme_train_plot_and_predict(as_reproduced):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = textwrap.dedent(re.search(r"## From Python\n\n((?:    .*\n|\n)+)", text).group(1))
    assert len([line for line in lines.splitlines() if line]) == 10
    done = subprocess.run([sys.executable, "-c", lines], cwd=as_reproduced, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "(5, " in done.stdout and (as_reproduced / "runs/mine.png").stat().st_size > 10_000
    assert not re.search(r"^I\d{4}", done.stderr, re.MULTILINE) and len(done.stderr.splitlines()) < 30


def test_a_run_is_read_back_as_it_was_also_from_where_it_was_moved_to(small_job, tmp_path):
    history = solve(small_job[0], tmp_path / "run", max_iter=20, progress=False)
    again = load_run(tmp_path / "run")
    assert again == history
    (tmp_path / "run").rename(tmp_path / "moved")
    assert load_run(tmp_path / "moved").caffemodel == tmp_path / "moved/final.caffemodel"
    with pytest.raises(ValueError, match="found no train.csv"):
        load_run(tmp_path)


def test_a_frame_has_a_column_a_loss_and_a_plot_a_line_a_series(small_job, tmp_path):
    history = solve(small_job[0], tmp_path / "run", max_iter=20, progress=False)
    frame = history.frame()
    assert list(frame["iteration"]) == list(range(20))
    assert list(frame["loss_O"]) == [row["loss_O"] for row in history.train]
    losses, others = history.plot().axes
    labels = {line.get_label(): line for line in losses.lines}
    assert list(labels["train loss_N"].get_ydata()) == [row["loss_N"] for row in history.train]
    assert "test accuracy_A" in {line.get_label() for line in others.lines}
    history.kinds["accuracy_A"] = "loss"  # which its layer says, whatever its name
    assert "test accuracy_A" in {line.get_label() for line in history.plot().axes[0].lines}


def test_fields_of_the_solver_are_keywords_and_a_wrong_one_is_named(small_job, tmp_path):
    history = solve(small_job[0], tmp_path / "run", base_lr=0.003, lr_policy="fixed", max_iter=3, progress=False)
    assert [row["lr"] for row in history.train] == [pytest.approx(0.003)] * 3
    with pytest.raises(ValueError, match=r"found base_lrr=1; wanted a field of SolverParameter.*'base_lr'"):
        solve(small_job[0], tmp_path / "b", base_lrr=1)
    with pytest.raises(ValueError, match=r"found max_iter='many'"):
        solve(small_job[0], tmp_path / "b", max_iter="many")
    assert not (tmp_path / "b").exists()


def test_messages_speak_python_here_and_switches_on_the_command_line(small_job, tmp_path):
    solve(small_job[0], tmp_path / "run", max_iter=2, progress=False)
    with pytest.raises(ValueError, match="wanted resume=True to go on, overwrite=True to overwrite it"):
        solve(small_job[0], tmp_path / "run")
    command = [sys.executable, ROOT / "tools/train_net", small_job[0], "--out", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (
        done.returncode == 1 and "wanted --resume to go on, --force to overwrite it, or another folder" in done.stderr
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda *job: solve(*job, otherwise={"epochs": 0}), "found epochs=0; wanted more than 0"),
        (lambda *job: solve(*job, otherwise={"epoch": 3}), "found epoch=3; wanted one of normalization, base_lr"),
        (
            lambda *job: solve(*job, otherwise={"normalization": "V"}),
            "found normalization='V'; wanted one of BATCH_SIZE, VALID",
        ),
        (lambda *job: solve(*job, otherwise={"batch": 3}), "found batch=3; wanted a divisor"),
        (lambda *job: solve(*job, gpu=77), "gpu=77: found a Caffe"),
        (lambda *job: sweep(*job, {"base_lr": Range(1, 2)}), "wanted values, or draws=N"),
        (lambda *job: sweep(*job, {"batch": [3]}), "found batch=3; wanted a divisor"),
        (lambda *job: sweep(*job, {}, weights=["no.caffemodel"]), "no.caffemodel: found no such file"),
        (lambda *job: Predictor(foreign(job[0]), "w.caffemodel", (1, 2, 3)), "allow it (allow_python_layers=True)"),
    ],
)
def test_no_error_of_the_python_surface_speaks_of_switches(small_job, tmp_path, call, said):
    with pytest.raises(ValueError) as error:
        call(small_job[0], tmp_path / "run")
    words = str(error.value).replace("tools/setup --cuda", "")  # a command, to be typed
    assert said in words and not re.search(r"--\w", words)
    assert not (tmp_path / "run").exists()


def foreign(beside):
    """A deploy net whose Python layer is not ours."""
    path = beside.with_name("foreign.prototxt")
    path.write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }\n'
        'layer { name: "odd" type: "Python" bottom: "data" top: "odd" python_param { module: "odd" layer: "Odd" } }\n'
    )
    return path


def test_after_a_divergence_the_next_solve_is_as_if_it_were_the_first(small_job, tmp_path):
    first = solve(small_job[0], tmp_path / "first", max_iter=5, progress=False)
    with pytest.raises(DivergedError) as diverged:
        solve(small_job[0], tmp_path / "bad", base_lr=1e9, max_iter=30, progress=False)
    assert diverged.value.iteration == diverged.value.history.iteration < 30
    assert diverged.value.history.train == load_run(tmp_path / "bad").train[: len(diverged.value.history.train)]
    second = solve(small_job[0], tmp_path / "second", max_iter=5, progress=False)
    assert first.caffemodel.read_bytes() == second.caffemodel.read_bytes()


def test_one_ctrl_c_ends_a_loop_of_solves_with_a_snapshot(small_job, tmp_path, monkeypatch):
    step = solver_run.SolverRun.step

    def step_and_interrupt(run):
        step(run)
        if run.solver.iter == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(solver_run.SolverRun, "step", step_and_interrupt)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        for name in "abc":
            solve(small_job[0], tmp_path / name, max_iter=10, progress=False)
    assert isinstance(interrupt.value, Interrupted) and interrupt.value.history.iteration == 3
    assert (tmp_path / "a/snapshots/net_iter_3.solverstate").is_file() and not (tmp_path / "b").exists()
    monkeypatch.undo()
    assert solve(small_job[0], tmp_path / "a", max_iter=10, resume=True, progress=False).iteration == 10


def test_a_predictor_gives_what_the_net_gives_of_files_and_of_arrays(small_run, capfd):
    mindpics = small_run / "mindpics"
    deploy = mindpics / "nets/prototxt" / NET / "deploy.prototxt"
    weights, mean = mindpics / NET / NET / "final.caffemodel", mindpics / "mean.binaryproto"
    predictor = Predictor(deploy, weights, mean)
    files = sorted((small_run.parent / "emoji/images").glob("*.png"))[:40]
    arrays = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    probabilities = predictor.predict(files)
    blobs = np.stack(arrays)[..., ::-1].transpose(0, 3, 1, 2)
    assert predictor.outputs == [f"prob_{trait}" for trait in "OCEAN"]
    np.testing.assert_allclose(probabilities, TraitNets([(deploy, weights)], mean).scores(blobs), atol=1e-6)
    capfd.readouterr()
    np.testing.assert_array_equal(predictor.predict(arrays), probabilities)
    np.testing.assert_array_equal(predictor.predict(np.stack(arrays)), probabilities)
    assert predictor.features(files, "pool5").shape[0] == 40
    assert capfd.readouterr().err == ""
    with pytest.raises(ValueError, match=r"nowhere.png: no such file"):
        predictor.predict(["nowhere.png"])
    with pytest.raises(ValueError, match=r"found an array float64 .*; wanted uint8 \[H, W, 3\], RGB"):
        predictor.predict([np.zeros((3, 3, 3))])


def test_means_of_three_numbers_need_a_size_not_below_the_crop(small_run):
    mindpics = small_run / "mindpics"
    files = mindpics / "nets/prototxt" / NET / "deploy.prototxt", mindpics / NET / NET / "final.caffemodel"
    assert Predictor(*files, (104, 117, 123), size=40).mean.shape == (3, 40, 40)
    with pytest.raises(ValueError, match="found pictures of 3x10x10; wanted .* at least the net's input, 3x32x32"):
        Predictor(*files, (104, 117, 123), size=10)
