"""Verification of runs: run.json, the paper's training, scores, Table 3, published weights."""

import math
from pathlib import Path

import numpy as np
from caffe.proto import caffe_pb2

from mindpics.caffe_files.lmdbs import is_lmdb, read_lmdb
from mindpics.caffe_files.messages import read_message
from mindpics.caffe_files.weights import KNOWN_SHA1, describe
from mindpics.files.findings import Finding, guarded
from mindpics.files.fingerprints import sha256
from mindpics.files.json_files import read_json
from mindpics.files.layout import DataFiles, JobFiles, TrainingFiles
from mindpics.files.tables import numbered_rows
from mindpics.published import Row, table3_row
from mindpics.results.metrics import load_scores
from mindpics.results.verify_training import check_training
from mindpics.traits import TRAITS

KEYS = ("caffemodel", "iterations", "max_iter", "interrupted", "weights")  # of a run.json with caffemodel_sha256
ROW = ("net", "heads", "init", *TRAITS, "avg", "low95", "high95", "published_avg")  # of a table3.csv


def check_run(folder):
    """Yield contradictions of a training's folder: hashes, length, losses; and its solver beside the paper's."""
    run = TrainingFiles(folder)
    place = str(run.facts)
    try:
        facts = read_json(run.facts)
    except ValueError as error:
        yield Finding("error", "run", str(error), place)
        return
    if facts.get("diverged"):
        yield Finding("error", "run-diverged", facts["diverged"], place)
    if facts.get("caffemodel_sha256") is None:
        return
    if missing := [key for key in KEYS if key not in facts]:
        yield Finding("error", "run", f"found no key {', '.join(missing)}; wanted what train_net writes", place)
        return
    files = {"caffemodel": Path(facts["caffemodel"]).name, "net": run.net.name, "solver": run.solver.name}
    for name, file in files.items():
        if f"{name}_sha256" in facts:
            path = _in_run(folder, file)
            yield from guarded("hash", _hash(path, facts[f"{name}_sha256"]), path)
    if facts["iterations"] < facts["max_iter"] and not facts["interrupted"]:
        text = f"ended at iteration {facts['iterations']} of {facts['max_iter']}, but not as interrupted"
        yield Finding("error", "run-length", text, place)
    yield from guarded("run-weights", _weights(facts, place), place)
    yield from guarded("train-csv", _losses(run.losses, facts["iterations"]), run.losses)
    yield from guarded("solver", _solver(run.solver, facts), run.solver)


def _in_run(folder, file):
    return folder / file if (folder / file).exists() else TrainingFiles(folder).snapshots / file


def _hash(path, recorded, check="hash"):
    if not path.is_file():
        yield Finding("error", check, "run.json names it, but it is not there", str(path))
    elif (digest := sha256(path)) != recorded:
        yield Finding("error", check, f"SHA-256 {digest[:12]}..., run.json says {str(recorded)[:12]}...", str(path))
    else:
        yield Finding("ok", check, f"SHA-256 {digest[:12]}... as in run.json", str(path))


def _weights(facts, place):
    """Check the weights a run started from, where they still lie there."""
    if facts["weights"] is None:
        return
    path = Path(facts["weights"]["path"])
    if not path.is_file():
        yield Finding("note", "run-weights", f"the weights it started from, {path}, are not there", place)
    elif sha256(path) != facts["weights"]["sha256"]:
        yield Finding("error", "run-weights", f"{path} is not the file that the run started from", place)
    else:
        yield Finding("ok", "run-weights", f"started from {path}: {describe(path)}", place)


def _losses(path, iterations):
    if not path.is_file():
        yield Finding("error", "train-csv", "not there", str(path))
        return
    rows = [(line, _numbers(path, line, row)) for line, row in numbered_rows(path, ("iteration",))]
    logged = [row["iteration"] for _, row in rows]
    if sorted(set(logged)) != logged or (logged and logged[-1] != iterations - 1):
        last = logged[-1] if logged else None
        text = f"{len(logged)} rows up to iteration {last}; run.json says {iterations} iterations"
        yield Finding("error", "train-csv", text, str(path))
    for line, row in rows:
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if bad:
            yield Finding("error", "loss", f"{bad[0]} is {row[bad[0]]}", str(path), line)
            return


def _numbers(path, line, row):
    """Return the iteration and the losses of a row of train.csv; an output that the net then had not is empty."""
    try:
        total = "total_loss" if "total_loss" in row else "loss"  # of each row; a "loss" beside it is an output
        losses = {
            name: float(text) for name, text in row.items() if name == total or (text and name.startswith("loss"))
        }
        return {"iteration": int(row["iteration"])} | losses
    except ValueError as error:
        raise ValueError(f"{path}, line {line}: found what is no number ({error}); wanted numbers") from None


def _solver(path, facts):
    if not path.is_file():
        return
    try:
        solver = read_message(path, caffe_pb2.SolverParameter())
    except ValueError as error:
        yield Finding("error", "solver", str(error), str(path))
        return
    if solver.max_iter != facts["max_iter"]:
        yield Finding("error", "solver", f"max_iter {solver.max_iter}, run.json says {facts['max_iter']}", str(path))
    yield from check_training(solver, path.with_name(TrainingFiles.net), facts)


def check_job(folder):
    """Yield contradictions of the main job's run.json: selection and table by their hashes."""
    try:
        facts = read_json(JobFiles(folder).facts)
    except ValueError:
        return  # said by check_run
    files = JobFiles(folder).mindpics
    for key, path in (("selection", files.selection), ("table3", files.table3)):
        if facts.get(key):
            yield from guarded("job-hash", _hash(path, facts[key], "job-hash"), path)


def check_scores(path):
    """Yield contradictions of scores.npz: probabilities, and ids and labels against the test LMDB beside its row."""
    try:
        ids, labels, scores = load_scores(path)
    except Exception as error:  # whatever a broken archive leads numpy to
        yield Finding("error", "scores", f"cannot be read: {error}", str(path))
        return
    if not np.isfinite(scores).all() or not np.allclose(scores.sum(axis=2), 1, atol=1e-3):
        yield Finding("error", "scores", "scores are no probabilities: finite, low + high = 1 is wanted", str(path))
    lmdb = DataFiles(path.parent.parent).lmdb("test")
    if not is_lmdb(lmdb):
        return
    stored = {key[9:]: datum.label for key, datum in read_lmdb(lmdb)}
    if list(map(str, ids)) != list(stored):
        text = f"{len(ids)} ids that are not the {len(stored)} of {lmdb.name}, in order"
        yield Finding("error", "scores-ids", text, str(path))
    elif list(map(int, labels)) != list(stored.values()):
        yield Finding("error", "scores-labels", f"labels that are not those of {lmdb.name}", str(path))
    else:
        yield Finding("ok", "scores", f"{len(ids)} ids and labels as in {lmdb.name}", str(path))


def check_table3(path):
    """Yield contradictions of a table3.csv: averages, intervals, published figures."""
    for line, row in numbered_rows(path, ROW):
        try:
            yield from _table_row(row, str(path), line)
        except ValueError as error:
            yield Finding("error", "table3", f"unreadable row: {error}", str(path), line)


def _table_row(row, place, line):
    published_avg = table3_row(*Row.of(row))["avg"]
    if float(row["published_avg"]) != published_avg:
        text = f"published_avg {row['published_avg']}; Table 3 has {published_avg}"
        yield Finding("error", "table3", text, place, line)
    if not row["avg"]:
        return  # not measured yet
    mean = np.mean([float(row[trait]) for trait in TRAITS])
    if abs(mean - float(row["avg"])) > 0.1:  # each column is rounded by itself
        yield Finding("error", "table3", f"avg {row['avg']}, but the five average {mean:.2f}", place, line)
    if not float(row["low95"]) <= float(row["avg"]) <= float(row["high95"]):
        text = f"avg {row['avg']} lies outside its interval {row['low95']}..{row['high95']}"
        yield Finding("error", "table3", text, place, line)


def check_weight_file(path):
    """Yield whether a file named as published weights has their SHA-1."""
    if path.stem in KNOWN_SHA1.values():
        description = describe(path, path.stem)
        yield Finding("error" if description.startswith("NOT") else "ok", "weights-sha1", description, str(path))
