"""Main job's stages, from posts to Table 3, which meet through files."""

from mindpics.data_stages import CATEGORIES, about, data_stages, pictures_of, pretraining_data_stages
from mindpics.files.layout import JobFiles, TrainingFiles
from mindpics.job import pretrained, row_command
from mindpics.jobs.stages import Stage, stages_for
from mindpics.nets import switches
from mindpics.nets.rows import models_of
from mindpics.posts.posts import picture_root
from mindpics.published import ROWS
from mindpics.results.provenance import OPEN
from mindpics.results.run_files import PAPERS_BEST, POOL
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
            cost=5 + pictures_of(job) / 100,
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
                str(picture_root(posts)),
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
                *switches.words(setting, switches.PRETRAINING),
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
    length = f"{recipe.schedule.epochs:g} epochs, {about(job)} {iterations(job, model):,} iterations"
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
