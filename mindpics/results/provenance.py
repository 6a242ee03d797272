"""Provenance of a row of Table 3: weights, normalisation, iterate, data, code and Caffe, as its trainings tell."""

import os
import re
from pathlib import Path

import numpy as np

from mindpics.files.environment import code_version
from mindpics.files.fingerprints import sha256
from mindpics.files.json_files import read_json
from mindpics.files.layout import CorpusFiles, JobFiles, MindpicsFiles, RowFiles, TrainingFiles
from mindpics.files.tables import read_table
from mindpics.posts.posts import picture_root
from mindpics.results.metrics import load_iterate, load_scores
from mindpics.training.iterates import LAST, caffes_accuracies
from mindpics.traits import label_of

COLUMNS = (
    "weights",
    "weights_sha1",
    "weights_kind",
    "normalization",
    "iterate",
    "caffe_avg",
    "caffe_best_avg",
    "caffe_best_iterate",
    "data",
    "data_kind",
    "data_sha256",
    "code",
    "caffe",
)
OPEN = "data/open"  # where the embedded pictures lie that stand in for a crawl
STAND_IN, PUBLISHED, UNCHECKED = "stand-in", "published", "given, unchecked"
FILLERS = "fillers"
_PRETRAINING = JobFiles("*").pretrained("*").run


def provenance(row, scores_path):
    """Return {column: text} of a `Row` whose scores lie at RUN/mindpics/NET_HEADS_INIT/scores.npz.

    What was not recorded is "": scores made by hand have no trainings of the row's nets beside them. Where the five
    nets of a row differ, all of what they have is said.
    """
    folder = Path(os.path.abspath(scores_path)).parent  # as it is called: a link to another disk is of its run
    beside = [RowFiles(folder).training(name) for name in row.nets]
    runs = [training.folder for training in beside if training.facts.is_file()]
    facts = [read_json(TrainingFiles(run).facts) for run in runs]
    trainings = [_training(run, told) for run, told in zip(runs, facts, strict=True)]
    caffes = _caffes_own(runs)
    columns = {
        key: "; ".join(dict.fromkeys(training[key] for training in trainings))
        for key in (trainings[0] if trainings else {})
    }
    ends = [(LAST, told.get("iterations")) for told in facts]
    if scored := load_iterate(scores_path) or ends:  # older scores do not tell
        names = " and ".join(dict.fromkeys(name for name, _ in scored))
        columns["iterate"] = f"{names}, {_iterations(iteration for _, iteration in scored)}"
    codes = dict.fromkeys(told.get("code") for told in facts)
    columns["code"] = "; ".join(filter(None, codes)) or code_version()  # which makes the table
    return dict.fromkeys(COLUMNS, "") | columns | caffes | _data(folder.parent)


def stand_ins(line):
    """Return what stands in for the paper's in a line of table3.csv: "", "data", "weights" or "data, weights"."""
    return ", ".join(name for name in ("data", "weights") if STAND_IN in str(line.get(f"{name}_kind", "")))


def is_open_corpus(pictures):
    """Tell whether a folder of pictures is an open corpus, which stands in for a crawl wherever it was drawn to.

    What lay at the usual place is one also after it was removed.
    """
    pictures = Path(pictures)
    return CorpusFiles(pictures).request.is_file() or pictures.is_relative_to(OPEN)


def pretrained_net(weights):
    """Return the net whose pretraining, in whichever run, a caffemodel is of: it stands in; None of other weights."""
    folders = Path(os.path.abspath(weights)).parents  # as it is called: pretrain/ may be a link to another disk
    return next((folder.parent.name for folder in folders if folder.match(_PRETRAINING)), None)


def is_of_selection(scores_path):
    """Tell whether scores are of the test pictures, with their labels, of the selection that lies beside their row.

    True where there is no selection to hold them against.
    """
    selected = MindpicsFiles(Path(os.path.abspath(scores_path)).parent.parent).selection
    if not selected.is_file():
        return True
    ids, labels, _ = load_scores(scores_path)
    tested = {
        row["id"]: label_of(row["trait"], row["pole"]) for _, row in read_table(selected) if row["split"] == "test"
    }
    return tested == dict(zip(map(str, ids), map(int, labels), strict=True))


def _training(run, facts):
    return _weights(facts) | {
        "normalization": _normalization(TrainingFiles(run).net),
        "caffe": _caffe(facts),
    }


def _caffes_own(runs):
    """What the authors will have read off: Caffe's accuracy over batches at the end, and at best, of the row's nets.

    The best is chosen on the test set, each net's for itself, and so optimistic.
    """
    passes = [caffes_accuracies(run) for run in runs]
    if not passes or not all(passes):
        return {}
    best = [max(of_run, key=lambda iteration: (of_run[iteration], -iteration)) for of_run in passes]
    ends = [of_run[max(of_run)] for of_run in passes]
    best_of = [of_run[iteration] for of_run, iteration in zip(passes, best, strict=True)]
    return {
        "caffe_avg": f"{np.mean(ends):.2f}",
        "caffe_best_avg": f"{np.mean(best_of):.2f}",
        "caffe_best_iterate": _iterations(best),
    }


def _iterations(of_nets):
    """Say once what all nets of a row have, and of others the first and the last."""
    numbers = sorted(number for number in of_nets if number is not None)
    if not numbers:
        return "iteration not recorded"
    return f"iteration {numbers[0]}" if numbers[0] == numbers[-1] else f"iterations {numbers[0]} to {numbers[-1]}"


def _weights(facts):
    weights = facts.get("weights")
    if not weights:
        return {"weights": FILLERS, "weights_sha1": "", "weights_kind": ""}
    path, sha1 = Path(weights["path"]), weights.get("sha1", "")
    known, net = weights.get("published"), pretrained_net(path)  # by its SHA-1; of He's ResNet-50 none is known here
    kind = PUBLISHED if known else STAND_IN if net else UNCHECKED
    name = known or (f"pretrained {net}" if net else path.name)
    return {"weights": name, "weights_sha1": sha1, "weights_kind": kind}


def _normalization(net):
    text = net.read_text(encoding="utf-8") if net.is_file() else ""
    return "/".join(sorted(set(re.findall(r"normalization\W*(BATCH_SIZE|VALID|FULL|NONE)", text))))


def _caffe(facts):
    version = facts.get("versions", {}).get("caffe", "of a version not recorded")
    layers = "stock layers" if facts.get("engine") == "caffe" else "fast layers"
    return f"{version}, {layers}, {'CPU' if facts.get('gpu') is None else 'GPU'}"


def _data(mindpics):
    files = MindpicsFiles(mindpics)
    selected, posts = files.selection, read_json(files.summary).get("arguments", {}).get("posts", "")
    kind = "" if not posts else STAND_IN if is_open_corpus(picture_root(posts)) else "crawl"
    return {"data": posts, "data_kind": kind, "data_sha256": sha256(selected) if selected.is_file() else ""}
