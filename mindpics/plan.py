"""Main job's stages, from posts to Table 3, which meet through files."""

import os
from pathlib import Path

from mindpics.job import pretrained, row_command, selection_words
from mindpics.jobs.stages import Stage, stages_for
from mindpics.nets import switches
from mindpics.nets.rows import models_of
from mindpics.published import ROWS
from mindpics.results.provenance import OPEN
from mindpics.results.run_files import PAPERS_BEST
from mindpics.sizes import iterations, machine_times, sizes_of, training_seconds
from mindpics.traits import TRAITS


def plan(job, rows=ROWS):
    """Return the stages of the main job for some rows of Table 3, in order."""
    stages = _data_stages(job)
    lacking = [net for net in dict.fromkeys(row[0] for row in ROWS) if net not in (job.weights or {})]
    if lacking:
        stages += _pretraining_data_stages(job)
    for net in lacking:
        stages += _pretraining_stages(job, net)
    for row in rows:
        stages += _row_stages(job, row)
    table = _table_stage(job, rows)
    return stages_for([*stages, table], table.outputs)


def report_stages(jobs, tables, maps=True):
    """Return the stages that draw the first job's run and write the report of all: features for maps, then the page.

    Parameters
    ----------
    jobs : list of mindpics.job.Job
        One, or several that the report shows side by side.
    tables : list of str
        Paths of all that the page shows of them and that must be there first.
    maps : bool
        There are scores of MindPics, whose maps want features.
    """
    job, roots = jobs[0], [job.root for job in jobs]
    name = PAPERS_BEST
    folder, weights = f"{job.mindpics}/{name}", f"{job.mindpics}/{name}/{name}/final.caffemodel"
    selected, mean = f"{job.mindpics}/mindpics.csv", f"{job.mindpics}/mean.binaryproto"
    posts = job.posts or f"{OPEN}/emoji/posts.jsonl"
    features = (f"{folder}/pool5.npy", f"{folder}/pool5.ids.txt") if maps else ()
    activations, lmdbs = f"{folder}/activations.npz", (f"{job.mindpics}/test_lmdb", f"{job.mindpics}/train_lmdb")
    stages = [
        Stage(
            "activations",
            (
                "tools/score_net",
                "--lmdb",
                *lmdbs,
                "--mean",
                mean,
                "--net",
                f"{job.mindpics}/nets/prototxt/{name}/deploy.prototxt",
                weights,
                "--activations",
                "--out",
                activations,
                *_gpu(job),
            ),
            (weights, mean, *lmdbs),
            (activations,),
            cost=5 + _pictures(job) / 100,
            note="what the output units give for all MindPics, for figures 4 to 9",
        ),
        Stage(
            "pool5",
            (
                "tools/extract_features",
                f"{job.mindpics}/nets/prototxt/{name}/deploy.prototxt",
                weights,
                "--mean",
                mean,
                "--csv",
                selected,
                "--root",
                str(Path(posts).parent),
                "--blob",
                "pool5",
                "--out",
                f"{folder}/pool5",
                *_gpu(job),
            ),
            (weights, mean, selected),
            features,
            cost=40,
            note="features of the last pooling layer, for the maps",
        ),
        Stage(
            "report",
            ("tools/report", *roots),
            (*tables, *features, *((activations,) if maps else ()), *(f"{root}/run.json" for root in roots)),
            (f"{job.root}/report/index.html",),
            cost=45,
            note="figures and report/index.html",
        ),
    ]
    return stages if maps else stages[-1:]


def _data_stages(job):
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
            cost=5 + _pictures(job) / 150,
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
    return f"{job.setting.size}x{job.setting.size}, {_about(job)} {n:,} pictures"


def _about(job):
    """A crawl that is there has been looked into, though no picture of it is read yet."""
    return "about" if sizes_of(job).known else "at most"


def _pictures(job):
    return sum(sizes_of(job).pictures(split) for split in ("train", "test"))


def _mean_stage(name, lmdb, mean):
    return Stage(name, ("tools/compute_mean", lmdb, mean), (lmdb,), (mean,), cost=2)


def _pretraining_data_stages(job):
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


def _pretraining_stages(job, net):
    """A classifier of those categories, by the same solver path as everything else."""
    folder, setting = f"{job.root}/pretrain", job.setting
    labelled = f"{folder}/categories.csv"
    stages = []
    solver = f"{folder}/{net}/solver.prototxt"
    stages.append(
        Stage(
            f"pretrain_net_{net}",
            (
                "tools/make_pretraining_net",
                net,
                "--scale",
                setting.name,
                "--csv",
                labelled,
                "--data",
                folder,
                "--out",
                f"{folder}/{net}",
                "--seed",
                str(job.seed),
                *switches.words(setting),
            ),
            (labelled,),
            (solver, f"{folder}/{net}/train_val.prototxt"),
        )
    )
    stages.append(
        Stage(
            f"pretrain_{net}",
            ("tools/train_net", solver, "--force", "--out", f"{folder}/{net}/run", *_gpu(job)),
            (
                solver,
                f"{folder}/{net}/train_val.prototxt",
                f"{folder}/mean.binaryproto",
                f"{folder}/train_lmdb",
                f"{folder}/test_lmdb",
            ),
            (pretrained(job, net),),
            cost=setting.recipe(net, "pretrain").seconds * machine_times(job, net),
            resumable=True,
            begun=f"{folder}/{net}/run/solver.prototxt",
            note="Open Clip Art categories, standing in for ImageNet",
        )
    )
    return stages


def _row_stages(job, row):
    """Train the one net or the five nets of a row, then score the test set with them."""
    folder, data = job.mindpics, job.pictures
    stages, nets = [], []
    for model in models_of(row):
        train_val = f"{folder}/nets/prototxt/{model.name}"
        solver = f"{folder}/nets/solvers/{model.name}.prototxt"
        run = f"{folder}/{row.name}/{model.name}"
        weights = ["--weights", pretrained(job, model.net)] if model.init == "finetune" else []
        lmdbs = tuple(f"{data}/{split}{model.lmdb_suffix}_lmdb" for split in ("train", "test"))
        stages.append(
            Stage(
                model.name,
                ("tools/train_net", solver, "--force", "--out", run, *weights, *_gpu(job)),
                (f"{folder}/nets/solvers", f"{folder}/nets/prototxt", f"{data}/mean.binaryproto", *lmdbs, *weights[1:]),
                (f"{run}/final.caffemodel",),
                resumable=True,
                begun=f"{run}/solver.prototxt",
                cost=training_seconds(job, model),
                note=_sizes(job, model),
            )
        )
        nets += ["--net", f"{train_val}/deploy.prototxt", f"{run}/final.caffemodel"]
    stages.append(
        Stage(
            f"score_{row.name}",
            (
                "tools/score_net",
                "--lmdb",
                f"{data}/test_lmdb",
                "--mean",
                f"{data}/mean.binaryproto",
                *nets,
                "--out",
                job.scores(row),
                *_gpu(job),
            ),
            (f"{data}/test_lmdb", f"{data}/mean.binaryproto", *(n for n in nets if n.endswith("caffemodel"))),
            (job.scores(row),),
            cost=2 + sizes_of(job).pictures("test") / 150,
        )
    )
    return stages


def _sizes(job, model):
    """Return batch, crop, width and length of a training."""
    recipe = job.setting.recipe(model.net, model.heads, model.init)
    length = f"{recipe.schedule.epochs:g} epochs, {_about(job)} {iterations(job, model):,} iterations"
    return f"batch {recipe.batch}, crop {recipe.crop}, width {recipe.width:g}, {length}"


def _table_stage(job, rows):
    """The table shows every row that has been scored, now or before."""
    made = {row: row_command(job, row) for row in rows}  # those of before keep the command that made them
    row_arguments = [part for row in ROWS for part in ("--row", row.switch, job.scores(row), made.get(row, ""))]
    table = f"{job.mindpics}/table3.csv"
    return Stage(
        "table3",
        ("tools/make_table3", "--out", table, *row_arguments),
        tuple(job.scores(row) for row in rows),
        (table,),
    )


def _gpu(job):
    return ["--gpu", str(job.gpu)] if job.gpu is not None else []
