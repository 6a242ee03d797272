"""Main job's stages that make data: pictures, selection, LMDBs, means, categories for pretraining."""

import os
from pathlib import Path

from mindpics.job import selection_words
from mindpics.jobs.stages import Stage
from mindpics.nets import switches
from mindpics.results.provenance import OPEN
from mindpics.sizes import sizes_of
from mindpics.traits import TRAITS


def data_stages(job):
    """Pictures, selection, LMDBs, mean, nets."""
    folder, setting = job.pictures, job.setting
    posts = job.posts or f"{OPEN}/emoji/posts.jsonl"
    selected = f"{folder}/mindpics.csv"
    stages = []
    if job.posts is None or len(job.weights or {}) < 2:
        stages.append(
            Stage(
                "fetch",
                ("tools/fetch_open_pictures", "--out", OPEN),
                (),
                (f"{OPEN}/emoji/posts.jsonl", f"{OPEN}/clipart/posts.jsonl"),
                cost=150,
                note="emoji artwork and Open Clip Art, drawn at 256 pixels",
            )
        )
    caps = ["--per-word", str(setting.per_word)]
    caps += ["--per-pole", str(setting.per_pole)] if setting.per_pole else []
    stages.append(
        Stage(
            "select",
            ("tools/select_mindpics", posts, "--out", folder, *caps, *selection_words(job), "--seed", str(job.seed)),
            (posts,),
            (selected,),
            cost=5 + pictures_of(job) / 150,
            note=f"110 words, at most {setting.per_word} pictures each"
            + (f", {setting.per_pole} a pole" if setting.per_pole else " (121,000 in the paper)"),
        )
    )
    stages += _lmdb_stages(job, selected, str(Path(posts).parent))
    stages.append(_mean_stage("mean", f"{folder}/train_lmdb", f"{folder}/mean.binaryproto"))
    nets = f"{job.mindpics}/nets"
    stages.append(
        Stage(
            "nets",
            (
                "tools/make_nets",
                "--scale",
                setting.name,
                "--csv",
                selected,
                "--data",
                folder,
                "--out",
                nets,
                "--seed",
                str(job.seed),
                *switches.words(setting),
            ),
            (selected,),
            (f"{nets}/prototxt", f"{nets}/solvers"),
            note="18 nets and solvers",
        )
    )
    return stages


def _lmdb_stages(job, selected, pictures):
    """All pictures of a split; then those of each trait, for the independent nets, copied out of them."""
    setting, workers, stages = job.setting, f"{os.cpu_count()}", []
    for split in ("train", "test"):
        n, whole = sizes_of(job).pictures(split), f"{job.pictures}/{split}_lmdb"
        stages.append(
            Stage(
                f"lmdb_{split}",
                (
                    "tools/create_lmdb",
                    selected,
                    "--force",
                    "--root",
                    pictures,
                    "--split",
                    split,
                    "--size",
                    str(setting.size),
                    "--seed",
                    str(job.seed),
                    "--workers",
                    workers,
                    "--out",
                    whole,
                ),
                (selected,),
                (whole,),
                cost=3 + n / 400,
                note=_picture_sizes(job, n),
            )
        )
        for trait in TRAITS:
            out = f"{job.pictures}/{split}_{trait}_lmdb"
            stages.append(
                Stage(
                    f"lmdb_{split}_{trait}",
                    ("tools/create_lmdb", "--copy", whole, "--trait", trait, "--force", "--out", out),
                    (whole,),
                    (out,),
                    cost=1 + n / 2000,
                    note=_picture_sizes(job, sizes_of(job).pictures(split, (trait,))),
                )
            )
    return stages


def _picture_sizes(job, n):
    return f"{job.setting.size}x{job.setting.size}, {about(job)} {n:,} pictures"


def about(job):
    """A crawl that is there has been looked into, though no picture of it is read yet."""
    return "about" if sizes_of(job).known else "at most"


def pictures_of(job):
    return sum(sizes_of(job).pictures(split) for split in ("train", "test"))


def _mean_stage(name, lmdb, mean):
    return Stage(name, ("tools/compute_mean", lmdb, mean), (lmdb,), (mean,), cost=2)


def pretraining_data_stages(job):
    """Open Clip Art categories stand in for ImageNet."""
    folder, posts = f"{job.root}/pretrain", f"{OPEN}/clipart/posts.jsonl"
    labelled = f"{folder}/categories.csv"
    stages = [
        Stage(
            "categories",
            ("tools/label_categories", posts, "--out", labelled, "--seed", str(job.seed)),
            (posts,),
            (labelled,),
            cost=5,
            note="labels for pretraining",
        )
    ]
    for split in ("train", "test"):
        stages.append(
            Stage(
                f"pretrain_lmdb_{split}",
                (
                    "tools/create_lmdb",
                    labelled,
                    "--force",
                    "--root",
                    str(Path(posts).parent),
                    "--split",
                    split,
                    "--size",
                    str(job.setting.size),
                    "--seed",
                    str(job.seed),
                    "--out",
                    f"{folder}/{split}_lmdb",
                ),
                (labelled,),
                (f"{folder}/{split}_lmdb",),
                cost=15,
            )
        )
    return [*stages, _mean_stage("pretrain_mean", f"{folder}/train_lmdb", f"{folder}/mean.binaryproto")]
