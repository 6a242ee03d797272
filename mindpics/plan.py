"""Main job's stages, from posts to Table 3, which meet through files."""

from pathlib import Path

from mindpics.data_stages import about, data_stages, pictures_of, pretraining_data_stages
from mindpics.job import pretrained, row_command
from mindpics.jobs.stages import Stage, stages_for
from mindpics.nets import switches
from mindpics.nets.rows import models_of
from mindpics.published import ROWS
from mindpics.results.provenance import OPEN
from mindpics.results.run_files import PAPERS_BEST
from mindpics.sizes import iterations, machine_times, sizes_of, training_seconds


def plan(job, rows=ROWS):
    """Return the stages of the main job for some rows of Table 3, in order."""
    stages = data_stages(job)
    lacking = [net for net in dict.fromkeys(row[0] for row in ROWS) if net not in (job.weights or {})]
    if lacking:
        stages += pretraining_data_stages(job)
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
            cost=5 + pictures_of(job) / 100,
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
    length = f"{recipe.schedule.epochs:g} epochs, {about(job)} {iterations(job, model):,} iterations"
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
