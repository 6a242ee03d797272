"""Model card of a published net: readme.md with the front matter of Caffe's zoo."""

import json
import re
from pathlib import Path

from caffe.proto import caffe_pb2
from markupsafe import Markup

from mindpics.caffe_files.blobs import read_mean
from mindpics.caffe_files.messages import read_message
from mindpics.files.layout import TrainingFiles
from mindpics.files.printable import printable_name
from mindpics.nets.rows import counts_of
from mindpics.posts.crawl_files import count_licenses
from mindpics.posts.summary import read_mindpics
from mindpics.published import table3_row
from mindpics.report.addresses import hide_addresses
from mindpics.report.pages import template
from mindpics.results.metrics import evaluate, load_iterate, load_scores
from mindpics.results.provenance import STAND_IN
from mindpics.training.iterates import LAST
from mindpics.traits import TRAIT_NAMES

BVLC_COMMIT = "9b891540183ddc834a02b2bd81b31afae71b2153"  # what tools/caffe builds and mends to agree with
OURS = "+mindpics"  # in the version of that build
NETS = {"alexnet": "AlexNet", "resnet50": "ResNet-50"}
STARTS = {"scratch": "trained from scratch", "finetune": "fine-tuned"}
# What Markdown takes for its own: anywhere, between words, in a bare address, at the beginning of a line.
MARKS = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.|^[#+=-]|(?<=\d)[.)](?=\s|$)")
LICENSE = "nets and code BSD-2-Clause; the pictures keep theirs, see Data"


def card_facts(row, net):
    """Return what the card of a net says of its training, its data and its numbers, as `render_card` takes it.

    Parameters
    ----------
    row : mindpics.results.trained_row.TrainedRow
    net : mindpics.results.trained_row.TrainedNet

    Raises
    ------
    ValueError
        When the row has no scores, or they and table3.csv disagree.
    """
    model, facts = net.model, net.facts
    deploy = read_message(net.deploy, caffe_pb2.NetParameter())
    solver = read_message(TrainingFiles(net.folder).solver, caffe_pb2.SolverParameter())
    crop, size = deploy.layer[0].input_param.shape[0].dim[-1], read_mean(row.mean).shape[-1]
    stand_in = row.run.stand_in(row.name)
    versions = facts.get("versions", {})
    return {
        "title": _title(model)
        + (f" (stand-in {'data' if row.run.data_stands_in() else 'weights'})" if stand_in else ""),
        "name": model.name,
        "caffe_commit": BVLC_COMMIT if OURS in versions.get("caffe", "") else None,
        "stand_in": stand_in,
        "net": NETS[model.net],
        "heads": model.heads,
        "start": STARTS[model.init],
        "traits": [{"key": trait, "name": TRAIT_NAMES[trait]} for trait in model.traits],
        "data": row.run.facts.get("data", "Not recorded: the run has no run.json."),
        "pictures": _pictures(row, model),
        "split": f"by {row.run.selection.get('arguments', {}).get('split', 'image')}",
        "seed": row.run.facts.get("seed", "not recorded"),
        "licenses": _licenses(row.run, model),
        "numbers": _numbers(row, model),
        "command": row.accuracy["command"],
        "iterations": facts.get("iterations", "not recorded"),
        "base_lr": f"{solver.base_lr:g}",
        "random_seed": solver.random_seed,
        "lmdbs": _lmdbs(net),
        "weights": _weights(row, model, facts),
        "versions": {"caffe": "of a version not recorded"} | versions,
        "python": facts.get("python", "not recorded"),
        "device": "the CPU" if facts.get("gpu") is None else "a GPU",
        "size": size,
        "crop": crop,
        "top": (size - crop) // 2,
    }


def render_card(facts, digests, url="", license=None):
    """Return the text of readme.md.

    Parameters
    ----------
    facts : dict
        Of `card_facts`.
    digests : dict
        file name -> SHA-1.
    url : str
        Where the caffemodel will lie.
    license : str, optional
    """
    name = facts["name"]
    return template("model_card.md", keep_trailing_newline=True, finalize=plain).render(
        **facts,
        url=json.dumps(url),
        license=json.dumps(license or LICENSE),
        sha1=digests[f"{name}.caffemodel"],
        files=digests.items(),
        onnx=f"{name}.onnx" in digests,
    )


def plain(value):
    """Return a value as Markdown that shows its text on one line; what the template calls safe stays as it is."""
    if isinstance(value, Markup):
        return value
    return MARKS.sub(r"\\\g<0>", hide_addresses(printable_name(str(value).strip())))


def _title(model):
    trait = "" if model.heads == "all-in-one" else f" {model.traits[0]}"
    return f"MindPics {NETS[model.net]} {model.heads}{trait} {STARTS[model.init]}"


def _pictures(row, model):
    """Return how many pictures the net learned from and is tested on."""
    counts = counts_of(row.run.mindpics.selection)
    return {split: sum(per_trait[trait] for trait in model.traits) for split, per_trait in counts.items()}


def _licenses(run, model):
    """Return [(license, pictures), ...] of the net's pictures, where the manifest they were selected from still is."""
    manifest = run.manifest
    if not (manifest and (manifest.is_file() or any(manifest.rglob("*.parquet")))):
        return []
    rows = read_mindpics(run.mindpics.selection)
    return count_licenses(manifest, {row["id"] for row in rows if row["trait"] in model.traits}).most_common()


def _numbers(row, model):
    """Return the rows of the table of accuracies, in %."""
    if not row.accuracy:
        raise ValueError(
            f"{row.run.mindpics.table3}: found no row of {row.name}; wanted its numbers, which belong to a net"
        )
    path = row.run.scores(row.name)
    if foreign := {name for name, _ in load_iterate(path)} - {LAST}:
        raise ValueError(f"{path}: found scores of {' and '.join(sorted(foreign))}; wanted those of the last iterate")
    _, labels, scores = load_scores(path)
    figures = evaluate(labels, scores)
    if abs(100 * figures["avg"]["accuracy"] - row.accuracy["avg"]) > 0.01:
        raise ValueError(
            f"{path}: found the mean accuracy {100 * figures['avg']['accuracy']:.2f}; "
            f"wanted table3.csv's {row.accuracy['avg']}: make the table again"
        )
    published = table3_row(model.net, model.heads, model.init)
    names = {trait: TRAIT_NAMES[trait] for trait in model.traits}
    names["avg"] = "mean" if model.heads == "all-in-one" else "mean of the row's five nets"
    shares = ("accuracy", "low95", "high95", "larger_pole")
    rows = []
    for key, name in names.items():
        percent = {share: f"{100 * figures[key][share]:.1f}" for share in shares}
        rows.append({"name": name, "n": figures[key]["n"], "published": published[key]} | percent)
    return rows


def _lmdbs(net):
    """Return the names of the LMDBs of the net that was trained; an independent net has those of its trait."""
    message = read_message(TrainingFiles(net.folder).net, caffe_pb2.NetParameter())
    return list(dict.fromkeys(Path(layer.data_param.source).name for layer in message.layer if layer.type == "Data"))


def _weights(row, model, facts):
    """Return what the training started from; a path may tell of the machine, so its name alone."""
    weights = facts.get("weights")
    if not weights:
        return "its fillers, no weights"
    text, of_run = f"{Path(weights['path']).name}, SHA-256 {weights['sha256']}", row.run.weights().get(model.net)
    return f"{text} ({of_run})" if str(of_run).startswith(STAND_IN) else text
