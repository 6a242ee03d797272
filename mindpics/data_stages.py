"""Main job's stages that make data: pictures, selection, LMDBs, means, categories for pretraining."""

from mindpics.job import selection_words
from mindpics.jobs.stages import Stage
from mindpics.nets import switches
from mindpics.posts.posts import picture_root
from mindpics.results.provenance import OPEN
from mindpics.sizes import sizes_of
from mindpics.traits import TRAITS

CATEGORIES = "categories.csv"  # labels of the pretraining


def data_stages(job):
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
            cost=5 + pictures_of(job) / 150,
            note=f"110 words, at most {setting.per_word} pictures each"
            + (f", {setting.per_pole} a pole" if setting.per_pole else " (121,000 in the paper)"),
            state=sizes_of(job).state,
        )
    )
    stages += _lmdb_stages(job, selected, str(picture_root(posts)))
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
    setting, stages = job.setting, []
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
                    "--out",
                    whole,
                ),
                (selected,),
                (whole,),
                cost=3 + n / 400,
                note=_picture_sizes(job, n),
                state=sizes_of(job).state,
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
                    str(picture_root(posts)),
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
