"""Main job's stages, from posts to Table 3, which meet through files."""

import os
from pathlib import Path

from mindpics.files.layout import JobFiles, TrainingFiles
from mindpics.job import pretrained, row_command, selection_words
from mindpics.jobs.stages import Stage, stages_for
from mindpics.nets import switches
from mindpics.nets.rows import models_of
from mindpics.published import ROWS
from mindpics.results.provenance import OPEN
from mindpics.results.run_files import PAPERS_BEST, POOL
from mindpics.sizes import iterations, machine_times, sizes_of, training_seconds
from mindpics.traits import TRAITS

CATEGORIES = "categories.csv"  # labels of the pretraining


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
    files = job.files.mindpics
    row, selected, mean = files.row(name), files.selection, files.mean
    weights = row.training(name).weights
    posts = job.posts or f"{OPEN}/emoji/posts.jsonl"
    features = (row.path(f"{POOL}.npy"), row.path(f"{POOL}.ids.txt")) if maps else ()
    activations, lmdbs = row.activations, (files.lmdb("test"), files.lmdb("train"))
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
                files.nets.net(name).deploy,
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
            POOL,
            (
                "tools/extract_features",
                files.nets.net(name).deploy,
                weights,
                "--mean",
                mean,
                "--csv",
                selected,
                "--root",
                str(Path(posts).parent),
                "--blob",
                POOL,
                "--out",
                row.path(POOL),
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
            (*tables, *features, *((activations,) if maps else ()), *(JobFiles(root).facts for root in roots)),
            (job.files.report.page,),
            cost=45,
            note="figures and report/index.html",
        ),
    ]
    return stages if maps else stages[-1:]


def _data_stages(job):
    """Pictures, selection, LMDBs, mean, nets."""
    files, folder, setting = job.data, job.pictures, job.setting
    posts = job.posts or f"{OPEN}/emoji/posts.jsonl"
    selected = files.selection
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
    stages.append(_mean_stage("mean", files.lmdb("train"), files.mean))
    nets = job.files.mindpics.nets
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
                nets.folder,
                "--seed",
                str(job.seed),
                *switches.words(setting),
            ),
            (selected,),
            (nets.prototxts, nets.solvers),
            note="18 nets and solvers",
        )
    )
    return stages


def _lmdb_stages(job, selected, pictures):
    """All pictures of a split; then those of each trait, for the independent nets, copied out of them."""
    setting, workers, stages = job.setting, f"{os.cpu_count()}", []
    for split in ("train", "test"):
        n, whole = sizes_of(job).pictures(split), job.data.lmdb(split)
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
            out = job.data.lmdb(split, f"_{trait}")
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
    files, posts = job.files.pretraining, f"{OPEN}/clipart/posts.jsonl"
    labelled = files.path(CATEGORIES)
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
                    files.lmdb(split),
                ),
                (labelled,),
                (files.lmdb(split),),
                cost=15,
            )
        )
    return [*stages, _mean_stage("pretrain_mean", files.lmdb("train"), files.mean)]


def _pretraining_stages(job, net):
    """A classifier of those categories, by the same solver path as everything else."""
    data, files, setting = job.files.pretraining, job.files.pretrained(net), job.setting
    labelled = data.path(CATEGORIES)
    stages = []
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
                data.folder,
                "--out",
                files.folder,
                "--seed",
                str(job.seed),
                *switches.words(setting),
            ),
            (labelled,),
            (files.solver, files.train_val),
        )
    )
    stages.append(
        Stage(
            f"pretrain_{net}",
            ("tools/train_net", files.solver, "--force", "--out", files.run, *_gpu(job)),
            (files.solver, files.train_val, data.mean, data.lmdb("train"), data.lmdb("test")),
            (pretrained(job, net),),
            cost=setting.recipe(net, "pretrain").seconds * machine_times(job, net),
            resumable=True,
            begun=TrainingFiles(files.run).solver,
            note="Open Clip Art categories, standing in for ImageNet",
        )
    )
    return stages


def _row_stages(job, row):
    """Train the one net or the five nets of a row, then score the test set with them."""
    files, data = job.files.mindpics, job.data
    stages, nets = [], []
    for model in models_of(row):
        solver = files.nets.solver(model.name)
        run = files.row(row.name).training(model.name)
        weights = ["--weights", pretrained(job, model.net)] if model.init == "finetune" else []
        lmdbs = tuple(data.lmdb(split, model.lmdb_suffix) for split in ("train", "test"))
        stages.append(
            Stage(
                model.name,
                ("tools/train_net", solver, "--force", "--out", run.folder, *weights, *_gpu(job)),
                (files.nets.solvers, files.nets.prototxts, data.mean, *lmdbs, *weights[1:]),
                (run.weights,),
                resumable=True,
                begun=run.solver,
                cost=training_seconds(job, model),
                note=_sizes(job, model),
            )
        )
        nets += ["--net", files.nets.net(model.name).deploy, run.weights]
    stages.append(
        Stage(
            f"score_{row.name}",
            (
                "tools/score_net",
                "--lmdb",
                data.lmdb("test"),
                "--mean",
                data.mean,
                *nets,
                "--out",
                job.scores(row),
                *_gpu(job),
            ),
            (data.lmdb("test"), data.mean, *(n for n in nets if n.endswith("caffemodel"))),
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
    table = job.files.mindpics.table3
    return Stage(
        "table3",
        ("tools/make_table3", "--out", table, *row_arguments),
        tuple(job.scores(row) for row in rows),
        (table,),
    )


def _gpu(job):
    return ["--gpu", str(job.gpu)] if job.gpu is not None else []
