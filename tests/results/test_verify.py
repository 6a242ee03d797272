"""Verify: a good job folder has no contradiction, and each planted fault is named."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from finding_codes import codes_of, planted_in

import pinterest_id.verify
from mindpics.caffe_files.lmdbs import mean_image, read_lmdb, write_mean
from mindpics.caffe_files.messages import write_message
from mindpics.datasets.picture_lmdb import to_datum
from mindpics.files.findings import errors
from mindpics.files.fingerprints import sha256
from mindpics.nets.solvers import Schedule, solver
from mindpics.posts.summary import COLUMNS
from mindpics.results.metrics import TRAITS
from mindpics.results.verify import verify
from mindpics.training.fine_tuning import TRAINING
from mindpics.traits import label_of, word_slots
from pinterest_id.scores import Scores, save_scores

VERIFY = Path(__file__).resolve().parents[2] / "tools" / "verify"
SIZE = 32
RUN = "mindpics/alexnet_all-in-one_scratch/alexnet_all-in-one_scratch"
SCORES = "mindpics/alexnet_all-in-one_scratch/scores.npz"


# A good job: 30 pictures (a train, a train and a test one for each pole), a run, scores, Table 3, pins.


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    job = tmp_path_factory.mktemp("made") / "job"
    data = job / "mindpics"
    data.mkdir(parents=True)
    make_selection(data)
    make_run(job / RUN)
    make_scores(job / SCORES, data / "test_lmdb")
    make_table3(data / "table3.csv")
    (job / "run.json").write_text(
        json.dumps({"selection": sha256(data / "mindpics.csv"), "table3": sha256(data / "table3.csv")})
    )
    make_pins(job / "pins", job / "pinterest_id")
    return job


@pytest.fixture
def job(made, tmp_path):
    job = Path(shutil.copytree(made, tmp_path / "job"))
    text("pinterest_id/run.json", str(made), str(job))(job)
    return job


def make_selection(data):
    rows = []
    for label in range(10):
        word, trait, pole = next(slot for slot in word_slots() if label_of(*slot[1:]) == label)
        for split in ("train", "train", "test"):
            post_id = f"p{len(rows)}"
            rows.append((post_id, f"images/{post_id}.png", trait, pole, word, label, split, len(rows)))
    write_rows(data / "mindpics.csv", COLUMNS, rows)
    (data / "summary.json").write_text(json.dumps({"selected": 30, "train": 20, "test": 10}))
    rng = np.random.default_rng(0)
    pictures = {row[0]: rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for row in rows}
    for name, split, trait in (("train", "train", None), ("test", "test", None), ("train_O", "train", "O")):
        own = [rows[i] for i in rng.permutation(len(rows)) if rows[i][6] == split and trait in (None, rows[i][2])]
        write_records(data / f"{name}_lmdb", [(row[0], to_datum(pictures[row[0]], row[5])) for row in own])
    write_mean(data / "mean.binaryproto", mean_image(data / "train_lmdb"))


def make_run(run):
    run.mkdir(parents=True)
    (run / "net.prototxt").write_text("layer {\n  transform_param {\n    crop_size: 27\n  }\n}\n")
    message = solver("net.prototxt", Schedule(1, 1, 0.01), train=20, batch=2, test=10, test_batch=5, prefix="net")
    write_message(message, run / "solver.prototxt")
    (run / "final.caffemodel").write_bytes(b"weights")
    write_rows(run / "train.csv", ("iteration", "lr", "loss_O"), [(i, 0.01, 0.7) for i in range(10)])
    facts = {"weights": None, "iterations": 10, "max_iter": 10, "interrupted": False}
    facts |= {"caffemodel": f"elsewhere/{RUN}/final.caffemodel"}
    for name, file in (("caffemodel", "final.caffemodel"), ("net", "net.prototxt"), ("solver", "solver.prototxt")):
        facts[f"{name}_sha256"] = sha256(run / file)
    (run / "run.json").write_text(json.dumps(facts))


def make_scores(path, test_lmdb):
    records = list(read_lmdb(test_lmdb))
    ids, labels = [key[9:] for key, _ in records], [datum.label for _, datum in records]
    low = np.random.default_rng(1).random((len(ids), 5), np.float32)
    np.savez(path, ids=ids, labels=labels, scores=np.stack([low, 1 - low], axis=2))


def make_table3(path):
    row = {"net": "alexnet", "heads": "all-in-one", "init": "scratch"} | dict.fromkeys(TRAITS, 60)
    row |= {"avg": 60, "low95": 50, "high95": 70, "n": 10, "published_avg": 63.4}
    write_rows(path, list(row), [row.values()])


def make_pins(folder, out):
    (folder / "images").mkdir(parents=True)
    pins = []
    for user in ("ann", "bob"):
        for number in range(6):
            pin = {"id": f"{user}{number}", "user": user, "board": "b", "image": f"images/{user}{number}.png"}
            pins.append(pin | {"text": "blue sky over the sea"})
            (folder / pin["image"]).write_text(pin["id"])
    (folder / "pins.jsonl").write_text("".join(json.dumps(pin) + "\n" for pin in pins))
    np.save(folder / "fc7.npy", np.ones((12, 3), np.float32))
    (folder / "fc7.ids.txt").write_text("".join(f"{pin['id']}\n" for pin in pins))
    parts = ["train", "train", "train", "train", "validation", "test"] * 2
    rows = [(pin["id"], pin["user"], part) for pin, part in zip(pins, parts, strict=True)]
    (out / "models").mkdir(parents=True)
    write_rows(out / "split.csv", ("id", "user", "split"), rows)
    write_rows(out / "models" / "dictionary.csv", ("word", "idf"), [("blue", 1), ("sky", 1), ("sea", 1)])
    tested = np.array(["ann5", "bob5"])
    save_scores(out / "scores" / "cf.npz", Scores(tested, np.array([0, 1]), np.array(["ann", "bob"]), np.zeros((2, 2))))
    facts = {"inputs": {"pins": str(folder / "pins.jsonl")}, "parts": {"train": 8, "validation": 2, "test": 2}}
    (out / "run.json").write_text(json.dumps(facts | {"dictionary": {"train and validation": 3}}))


def write_rows(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_records(path, records, key=lambda number, post_id: f"{number:08d}_{post_id}"):
    shutil.rmtree(path, ignore_errors=True)
    with lmdb.open(str(path), map_size=1 << 22) as env, env.begin(write=True) as transaction:
        for number, (post_id, datum) in enumerate(records):
            transaction.put(key(number, post_id).encode(), datum.SerializeToString())


# The planted faults: each takes the job folder.


def text(file, old, new):
    """A fault in a text file: the first `old` becomes `new`."""

    def plant(job):
        content = (job / file).read_text()
        assert old in content
        (job / file).write_text(content.replace(old, new, 1))

    return plant


def table(file, header, row):
    """A fault in the rows of a run of ten iterations."""
    return lambda job: (job / file).write_text("\n".join([header, *(row.format(i) for i in range(10)), ""]))


def records(name, change, **options):
    """A fault in an LMDB: `change` gets and alters [(id, datum), ...]."""

    def plant(job):
        path = job / "mindpics" / name
        found = [(key[9:], datum) for key, datum in read_lmdb(path)]
        write_records(path, change(found) or found, **options)

    return plant


def relabel(found):
    found[0][1].label = (found[0][1].label + 1) % 10


def other_size(found):
    found[3][1].CopyFrom(to_datum(np.zeros((SIZE + 1, SIZE, 3), np.uint8), found[3][1].label))


def short_data(found):
    found[3][1].data = found[3][1].data[:-1]


def copy_of_train(job, change):
    """The test set's first picture becomes a train picture, changed a little."""
    train = next(datum for _, datum in read_lmdb(job / "mindpics" / "train_lmdb"))
    pixels = np.frombuffer(train.data, np.uint8).reshape(3, SIZE, SIZE).transpose(1, 2, 0)

    def put(found):
        found[0][1].CopyFrom(to_datum(change(pixels), found[0][1].label))

    records("test_lmdb", put)(job)


def pin_of_two_users(job):
    """A training of finetune_fc7 whose only validation pin has the picture of a training pin."""
    training = job / "fine_tuned/training"
    training.mkdir(parents=True)
    for name in TRAINING.proof:
        (training / name).write_text(64 * "0")
    pins = [(key[9:], datum) for key, datum in read_lmdb(job / "mindpics/train_lmdb")]
    write_records(training / "train_lmdb", pins)
    write_records(training / "test_lmdb", [("bob4", pins[0][1])])


def mean(array):
    return lambda job: write_mean(job / "mindpics" / "mean.binaryproto", array)


def scores(**changes):
    def plant(job):
        with np.load(job / SCORES) as stored:
            arrays = dict(stored)
        for name, change in changes.items():
            arrays[name] = change(arrays[name])
        np.savez(job / SCORES, **arrays)

    return plant


def file(path, content):
    return lambda job: (job / path).write_bytes(content)


def started(name, content):
    """The run started from weights b"start"; a file of that name has some content, or is not there."""

    def plant(job):
        if not name.startswith("gone"):
            (job / name).write_bytes(content)
        wanted = {"path": str(job / name), "sha256": hashlib.sha256(b"start").hexdigest()}
        text(f"{RUN}/run.json", '"weights": null', f'"weights": {json.dumps(wanted)}')(job)

    return plant


def nan_scores(job):
    tested = np.array(["ann5", "bob5"])
    scores = Scores(tested, np.array([0, 1]), np.array(["ann", "bob"]), np.full((2, 2), np.nan))
    save_scores(job / "pinterest_id/scores/cf.npz", scores)


def too_long(job):
    """A folder whose path is as long as a path may be, so that no file's name fits behind it."""
    folder = job
    while len(str(folder)) < 3900:
        folder /= 150 * "d"
    (folder / ((4094 - len(str(folder))) * "d")).mkdir(parents=True)


CSV, TABLE, PINS, SPLIT = "mindpics/mindpics.csv", "mindpics/table3.csv", "pins/pins.jsonl", "pinterest_id/split.csv"
FAULTS = {
    "column missing": (text(CSV, "word", "wort"), "error", "csv", "mindpics.csv, line 1: found no column word"),
    "field missing": (
        text(CSV, "images/p1.png,", ""),
        "error",
        "csv",
        "mindpics.csv, line 3: found 7 fields; wanted 8",
    ),
    "id twice": (text(CSV, "\np1,", "\np0,"), "error", "duplicate-id", "'p0' stands on line 2 as well"),
    "picture twice": (text(CSV, "images/p1.", "images/p0."), "error", "duplicate-image", "images/p0.png"),
    "split unknown": (text(CSV, ",train,", ",trian,"), "error", "split", "'trian'"),
    "trait unknown": (text(CSV, ",O,", ",X,"), "error", "trait", "'X'"),
    "label against trait": (text(CSV, ",O,low,", ",O,high,"), "error", "label-code", "label 0, but high O is 1"),
    "label no number": (text(CSV, ",0,train", ",zero,train"), "error", "label", "'zero'"),
    "word of no table": (text(CSV, ",anniversary,", ",birthday,"), "error", "word", "'birthday' under low O"),
    "pole on one side": (
        text(CSV, "anniversary,0,test", "anniversary,0,train"),
        "error",
        "empty-pole",
        "low O in test",
    ),
    "summary": (text("mindpics/summary.json", "30", "31"), "error", "summary", "selected is 31"),
    "key form": (
        records("train_lmdb", lambda found: None, key=lambda n, i: f"{n:07d}_{i}"),
        "error",
        "lmdb-key",
        "is not 00000000_<id>",
    ),
    "key gap": (
        records("train_lmdb", lambda found: None, key=lambda n, i: f"{n + (n > 4):08d}_{i}"),
        "error",
        "lmdb-key",
        "is not 00000005_<id>",
    ),
    "id unknown": (records("test_lmdb", lambda found: [("p99", found[0][1]), *found[1:]]), "error", "lmdb-id", "'p99'"),
    "record twice": (records("test_lmdb", lambda found: [*found, found[0]]), "error", "lmdb-duplicate", "twice"),
    "record missing": (
        records("test_lmdb", lambda found: found[1:]),
        "error",
        "lmdb-count",
        "9 pictures and 0 rejected",
    ),
    "label against csv": (records("test_lmdb", relabel), "error", "lmdb-label", "mindpics.csv says"),
    "not shuffled": (
        records("train_lmdb", lambda found: sorted(found, key=lambda f: f[1].label)),
        "error",
        "lmdb-order",
        "must be shuffled",
    ),
    "sizes": (records("train_lmdb", other_size), "error", "lmdb-shapes", "(3, 33, 32)"),
    "bytes missing": (records("train_lmdb", short_data), "error", "lmdb-datum", "a Datum of 3071 bytes"),
    "other trait": (
        records("train_O_lmdb", lambda found: [("p6", found[0][1]), *found[1:]]),
        "error",
        "lmdb-trait",
        "'p6' is of trait C, not O",
    ),
    "other side": (
        records("test_lmdb", lambda found: [("p0", found[0][1]), *found[1:]]),
        "error",
        "lmdb-split",
        "'p0' (and 0 more) is of train",
    ),
    "id on both sides": (
        records("test_lmdb", lambda found: [("p0", found[0][1]), *found[1:]]),
        "error",
        "leak-id",
        "1 ids are in train as well",
    ),
    "no LMDB": (file("mindpics/train_lmdb/data.mdb", b"nothing"), "error", "lmdb", "cannot be read"),
    "rejected no JSON": (
        file("mindpics/test_lmdb.rejected.jsonl", b'{"id": "p2"}\n{'),
        "error",
        "lmdb-count",
        "test_lmdb.rejected.jsonl, line 2: found '{'",
    ),
    "rejected without id": (
        file("mindpics/test_lmdb.rejected.jsonl", b'{"reason": "gone"}\n'),
        "error",
        "lmdb-count",
        "test_lmdb.rejected.jsonl, line 1: found {'reason': 'gone'}; wanted an id",
    ),
    "rejected and in": (file("mindpics/test_lmdb.rejected.jsonl", b'{"id": "p2"}\n'), "error", "lmdb-rejected", "'p2'"),
    "same picture": (lambda job: copy_of_train(job, lambda pixels: pixels), "error", "leak-same", "pixel by pixel"),
    "pin of two users": (pin_of_two_users, "warning", "leak-same", "validation pins of finetune_fc7"),
    "near copy": (
        lambda job: copy_of_train(job, lambda pixels: np.maximum(pixels, 1)),
        "warning",
        "leak-near",
        "1 of 10 test pictures",
    ),
    "mean of others": (mean(np.full((3, SIZE, SIZE), 100, np.float32)), "error", "mean", "not the mean of train_lmdb"),
    "mean of another size": (mean(np.zeros((3, 30, 30), np.float32)), "error", "mean-shape", "mean (3, 30, 30)"),
    "mean under the crop": (mean(np.zeros((3, 20, 20), np.float32)), "error", "mean-crop", "the crop of 27"),
    "net of other bytes": (
        file(f"{RUN}/net.prototxt", b'name: "\xff"'),
        "error",
        "mean-crop",
        "net.prototxt:1: found bytes that are not UTF-8",
    ),
    "no mean": (file("mindpics/mean.binaryproto", b"nothing"), "error", "mean", "not a mean file"),
    "weights of the run": (file(f"{RUN}/final.caffemodel", b"others"), "error", "hash", "run.json says"),
    "net of the run": (text(f"{RUN}/net.prototxt", "27", "26"), "error", "hash", "run.json says"),
    "weights gone": (lambda job: (job / RUN / "final.caffemodel").unlink(), "error", "hash", "it is not there"),
    "run that diverged": (
        text(f"{RUN}/run.json", '"weights": null', '"weights": null, "diverged": "iteration 3: nan"'),
        "error",
        "run-diverged",
        "iteration 3: nan",
    ),
    "run too short": (text(f"{RUN}/run.json", '"iterations": 10', '"iterations": 9'), "error", "run-length", "9 of 10"),
    "loss rows": (text(f"{RUN}/train.csv", "9,0.01,0.7\n", ""), "error", "train-csv", "run.json says 10 iterations"),
    "loss nan": (text(f"{RUN}/train.csv", "5,0.01,0.7", "5,0.01,nan"), "error", "loss", "loss_O is nan"),
    "run.json": (text(f"{RUN}/run.json", "{", "["), "error", "run", "not JSON"),
    "run.json of another kind": (file(f"{RUN}/run.json", b"[]"), "error", "run", "found a list; wanted a JSON object"),
    "run.json of few keys": (
        text(f"{RUN}/run.json", '"max_iter": 10, ', ""),
        "error",
        "run",
        "found no key max_iter; wanted what train_net writes",
    ),
    "run.json of other values": (
        text(f"{RUN}/run.json", '"iterations": 10', '"iterations": "ten"'),
        "error",
        "run",
        "'<'",
    ),
    "start of the run no object": (
        text(f"{RUN}/run.json", '"weights": null', '"weights": "w"'),
        "error",
        "run-weights",
        "TypeError",
    ),
    "momentum": (text(f"{RUN}/solver.prototxt", "momentum: 0.9", "momentum: 0.8"), "differs", "paper-training", "0.8"),
    "selection of the job": (
        text("run.json", '"selection": "', '"selection": "0'),
        "error",
        "job-hash",
        "run.json says",
    ),
    "no probabilities": (scores(scores=lambda a: a * 2), "error", "scores", "no probabilities"),
    "ids of the scores": (scores(ids=lambda a: a[::-1]), "error", "scores-ids", "that are not the 10 of test_lmdb"),
    "labels of the scores": (scores(labels=lambda a: a[::-1]), "error", "scores-labels", "not those of test_lmdb"),
    "average": (
        text("mindpics/table3.csv", "60,60,60,60,60,60", "60,60,60,60,70,60"),
        "error",
        "table3",
        "average 62.00",
    ),
    "interval": (text("mindpics/table3.csv", "60,50,70", "60,50,55"), "error", "table3", "outside its interval"),
    "published": (text("mindpics/table3.csv", "63.4", "64.3"), "error", "table3", "Table 3 has 63.4"),
    "wrong SHA-1": (file("bvlc_alexnet.caffemodel", b"x"), "error", "weights-sha1", "NOT the published bvlc_alexnet"),
    "summary no JSON": (file("mindpics/summary.json", b"{"), "error", "summary", "not JSON"),
    "start of the run gone": (started("gone.caffemodel", b"start"), "note", "run-weights", "are not there"),
    "start of the run another": (
        started("start.caffemodel", b"another"),
        "error",
        "run-weights",
        "is not the file that the run started from",
    ),
    "rate of a net that was fine-tuned": (
        started("start.caffemodel", b"start"),
        "differs",
        "paper-training",
        "base_lr 0.01; the paper: 0.001",
    ),
    "iteration no number": (
        text(f"{RUN}/train.csv", "5,0.01", "foo,0.01"),
        "error",
        "train-csv",
        "train.csv, line 7: found what is no number (invalid literal for int() with base 10: 'foo')",
    ),
    "loss nan beside an output loss that was not there yet": (
        table(f"{RUN}/train.csv", "iteration,lr,total_loss,loss", "{},0.01,nan,"),
        "error",
        "loss",
        "total_loss is nan",
    ),
    "loss rows cut short": (
        text(f"{RUN}/train.csv", "9,0.01,0.7\n", "9,0.01"),
        "error",
        "train-csv",
        "train.csv, line 11: found 2 fields; wanted 3",
    ),
    "loss rows gone": (lambda job: (job / RUN / "train.csv").unlink(), "error", "train-csv", "not there"),
    "no solver": (file(f"{RUN}/solver.prototxt", b"nothing {"), "error", "solver", "solver.prototxt"),
    "solver of another length": (
        text(f"{RUN}/solver.prototxt", "max_iter: 10", "max_iter: 11"),
        "error",
        "solver",
        "max_iter 11, run.json says 10",
    ),
    "loss of a net no JSON": (
        file(
            f"{RUN}/net.prototxt",
            b'layer { name: "score_O" }\nlayer { type: "Python" python_param { layer: "TraitLoss" param_str: "{" } }',
        ),
        "error",
        "paper-training",
        "line 1 column 2",
    ),
    "decay": (
        text(f"{RUN}/solver.prototxt", "weight_decay: 0.0005", "weight_decay: 0.005"),
        "differs",
        "paper-training",
        "the paper: 0.0005",
    ),
    "table of the job": (text("run.json", '"table3": "', '"table3": "0'), "error", "job-hash", "run.json says"),
    "no scores": (file(SCORES, b"nothing"), "error", "scores", "cannot be read"),
    "test LMDB of the scores": (file("mindpics/test_lmdb/data.mdb", b"nothing"), "error", "scores", "test_lmdb: found"),
    "table of other bytes": (
        lambda job: (job / TABLE).write_bytes((job / TABLE).read_bytes() + b"\xe9"),
        "error",
        "table3",
        "table3.csv, near line 3: found what is not UTF-8",
    ),
    "table with an open quote": (
        lambda job: (job / TABLE).write_text((job / TABLE).read_text() + '"' + 200_000 * "x"),
        "error",
        "table3",
        "table3.csv, line 3: found what is no row of a CSV",
    ),
    "row of no numbers": (text("mindpics/table3.csv", "60,50,70", "60,,70"), "error", "table3", "unreadable row"),
    "folder of too long a path": (too_long, "error", "folder", "File name too long"),
    "no pin": (file(PINS, b""), "error", "pins", "no pin in it"),
    "pin twice in the split": (text(SPLIT, "ann0,ann", "ann1,ann"), "error", "split-twice", "'ann1' twice"),
    "no scores of pins": (file("pinterest_id/scores/cf.npz", b"nothing"), "error", "pin-scores", "cannot be read"),
    "scores of pins nan": (nan_scores, "error", "pin-scores", "NaN among the scores"),
    "pins of too many words": (
        text(PINS, "blue sky", "blue " * 600 + "sky"),
        "differs",
        "paper-counts",
        "words a pin, max: 604; the paper: 552",
    ),
    "pin key": (text(PINS, '"user"', '"usr"'), "error", "pins", "found no key user"),
    "pin twice": (text(PINS, '"ann1"', '"ann0"'), "error", "pins", "found the id 'ann0' of"),
    "features short": (text("pins/fc7.ids.txt", "ann0\n", ""), "error", "features", "11 ids for 12 rows"),
    "features of others": (text("pins/fc7.ids.txt", "ann0", "eve0"), "error", "features", "found no features"),
    "picture gone": (lambda job: (job / "pins/images/ann0.png").unlink(), "error", "pin-pictures", "'ann0'"),
    "picture on both sides": (file("pins/images/ann5.png", b"ann0"), "warning", "pin-leak", "1 pictures of one user"),
    "picture of two users": (
        file("pins/images/ann0.png", b"bob0"),
        "differs",
        "paper-counts",
        "pictures of two or more users, %: 9.09091; the paper: 4.2",
    ),
    "split of nobody": (text(SPLIT, "ann0", "eve0"), "error", "split-id", "'eve0' is not among the pins"),
    "owner": (text(SPLIT, "ann0,ann", "ann0,bob"), "error", "split-owner", "is of 'ann', not of 'bob'"),
    "split without ids": (
        text(SPLIT, "id,", "pin,"),
        "error",
        "split",
        "split.csv, line 1: found no column id in pin, user, split",
    ),
    "split of few fields": (
        text(SPLIT, "ann1,ann,train", "ann1"),
        "error",
        "split",
        "split.csv, line 3: found 1 fields",
    ),
    "part unknown": (text(SPLIT, "ann0,ann,train", "ann0,ann,dev"), "error", "split-part", "'dev' is none of train"),
    "part counts": (text(SPLIT, "ann0,ann,train", "ann0,ann,test"), "error", "split-count", "7 pins of train"),
    "user untested": (
        text(SPLIT, "ann5,ann,test", "ann5,ann,train"),
        "error",
        "split-user",
        "'ann' has no pin of test",
    ),
    "tested pins": (text(SPLIT, "ann5,ann,test", "ann5,ann,train"), "error", "pin-scores", "not the 1 test pins"),
    "dictionary of another kind": (
        text("pinterest_id/run.json", '"dictionary": {', '"dictionary": 3, "words": {'),
        "error",
        "dictionary",
        "AttributeError",
    ),
    "dictionary": (
        text("pinterest_id/models/dictionary.csv", "sea,1\n", ""),
        "error",
        "dictionary",
        "2 words; run.json says 3",
    ),
}


def check(job):
    return [*verify(job), *pinterest_id.verify.verify(job)]


def test_the_good_job_has_no_contradiction_and_says_what_differs_from_the_paper(job):
    findings = check(job)
    assert {finding.severity for finding in findings} == {"ok", "note", "differs"}, "\n".join(map(str, findings))
    differs = "\n".join(finding.message for finding in findings if finding.severity == "differs")
    for words in (
        "images: 30; the paper: 121,000",
        "words of O with pictures: 2; the paper: 22",
        "pins: 12; the paper: 70,200",
        "users: 2; the paper: 117",
        "words in the dictionary: 3; the paper: 17,145",
    ):
        assert words in differs
    agrees = {finding.check for finding in findings if finding.severity == "ok"}
    assert {"lmdb", "mean", "leak-near", "hash", "job-hash", "scores", "paper-training", "features"} <= agrees


def named(findings, severity, name, words):
    return [f for f in findings if (f.severity, f.check) == (severity, name) and words in f.message]


@pytest.fixture(scope="module")
def of_the_good(made):
    return check(made)


@pytest.mark.parametrize(("plant", "severity", "name", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_and_its_good_twin_is_not(job, of_the_good, plant, severity, name, words):
    plant(job)
    findings = check(job)
    assert named(findings, severity, name, words), "\n".join(map(str, findings))
    assert bool(errors(findings)) or severity != "error"
    assert not named(of_the_good, severity, name, words)


def test_a_run_that_started_from_the_weights_it_says_is_sound(job):
    started("start.caffemodel", b"start")(job)
    assert not errors(check(job))


def test_a_picture_that_two_users_pinned_is_no_contradiction_of_a_fine_tuning(job):
    pin_of_two_users(job)
    assert not errors(check(job))
    shutil.copy(job / CSV, job / "fine_tuned/training")  # a selection's LMDBs: a picture on both sides is a leak
    assert named(check(job), "error", "leak-same", "1 pictures are in train as well, pixel by pixel")


def test_a_broken_file_ends_its_own_check_alone(job):
    broken = (
        "loss of a net no JSON",
        "iteration no number",
        "table of other bytes",
        "test LMDB of the scores",
        "split without ids",
        "folder of too long a path",
        "momentum",
        "mean of others",
        "scores of pins nan",
        "picture gone",
    )
    for name in broken:
        FAULTS[name][0](job)
    findings = check(job)
    for name in broken:
        assert named(findings, *FAULTS[name][1:]), name


def test_each_papers_own_run_json_is_read(job):
    (job / "pinterest_id/run.json").write_text("{")
    assert len(named(pinterest_id.verify.verify(job), "error", "run", "not JSON")) == 1


def test_a_run_that_kept_pins_without_text_or_picture_is_sound(job):
    text(PINS, '"images/ann1.png", "text": "blue sky over the sea"', '"images/ann1.png", "text": ""')(job)
    text(PINS, '"images/bob1.png"', "null")(job)
    found = named(pinterest_id.verify.verify(job), "error", "split-id", "is not among the pins")
    assert {finding.message[4:10] for finding in found} == {"'ann1'", "'bob1'"}
    options(job, keep_empty_text=True, keep_no_image=True)
    assert not errors(pinterest_id.verify.verify(job))
    (job / PINS).write_text((job / PINS).read_text().replace("blue sky over the sea", ""))  # as with --text-matrix
    assert not errors(pinterest_id.verify.verify(job))


def test_the_pins_of_a_run_are_read_where_they_lie_and_their_fault_is_told_once(job):
    run = job / "pinterest_id"
    assert not errors(pinterest_id.verify.verify(run))
    text(PINS, '"user"', '"usr"')(job)
    for folder in (run, job):
        assert len(named(pinterest_id.verify.verify(folder), "error", "pins", "found no key user")) == 1
    (job / PINS).unlink()
    findings = pinterest_id.verify.verify(run)
    assert named(findings, "note", "pins", "pins.jsonl', are not there as seen from here") and not errors(findings)


def test_pins_that_lie_among_their_pictures_are_looked_at(job):
    """As tools/make_pins folder images/ --out images/pins.jsonl leaves them."""
    assert pinterest_id.verify.verify(job / "pins/images") == []
    pins = (job / PINS).read_text().replace("images/", "").replace('"user"', '"usr"', 1)
    (job / "pins/images/pins.jsonl").write_text(pins)
    found = named(pinterest_id.verify.verify(job / "pins"), "error", "pins", "found no key user")
    assert [finding.file for finding in found] == [str(job / "pins/images/pins.jsonl")]


def test_a_user_may_lack_test_pins_where_the_split_was_given(job):
    text(SPLIT, "ann5,ann,test", "ann5,ann,")(job)
    options(job, split_file="mine.csv")
    assert not named(pinterest_id.verify.verify(job), "error", "split-user", "ann")
    for number in range(4):
        text(SPLIT, f"ann{number},ann,train", f"ann{number},ann,")(job)
    assert named(pinterest_id.verify.verify(job), "error", "split-user", "'ann' has no pin of train")


def options(job, **values):
    """Write options into the run.json of the experiment on pins."""
    path = job / "pinterest_id/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"options": values}))


def test_every_check_has_a_planted_fault():
    planted = planted_in("tests/results/test_verify.py")
    lacking = codes_of("mindpics/results/verify*.py", "pinterest_id/verify.py") - planted
    computed = {("", "paper-counts"), ("", "paper-training"), ("", "weights-sha1")}  # "ok" or what is planted above
    assert lacking == computed and {check for _, check in computed} <= {check for _, check in planted}


def test_exit_status_for_scripts(job):
    def status(*options):
        command = [sys.executable, VERIFY, job, *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    every = status("--all").stdout.splitlines()
    brief = status().stdout.splitlines()
    assert brief[-1] == every[-1] and len(brief) < 20 < len(every) == 1 + sum(
        int(n) for n in re.findall(r"\d+", every[-1])
    )
    more = [int(n) for line in brief for n in re.findall(r"; (\d+) more such \(--all\)", line)]
    assert len(brief) + sum(more) == len(every)

    good = status("--json")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["counts"]["error"] == 0
    assert status("--paper", "--no-pictures").returncode == 1  # 30 pictures are not 121,000
    text(CSV, ",train,", ",trian,")(job)
    bad = status("--no-pictures")
    assert bad.returncode == 1
    assert "mindpics.csv:2: error: split is neither train nor test: 'trian'" in bad.stdout


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="nowhere: found no such folder"):
        verify(tmp_path / "nowhere")


def test_a_mean_without_lmdbs_is_left_alone(tmp_path):
    write_mean(tmp_path / "mean.binaryproto", np.zeros((3, 4, 4), np.float32))
    assert verify(tmp_path) == []


def test_another_papers_table_of_that_name_is_passed_over_a_broken_one_is_not(tmp_path):
    (tmp_path / "table3.csv").write_text("performance,rank,user\nlowest,1,Ann\n")
    assert verify(tmp_path) == []
    (tmp_path / "table3.csv").write_text("net,head\nalexnet,all-in-one\n")
    assert [finding.check for finding in verify(tmp_path)] == ["table3"]
