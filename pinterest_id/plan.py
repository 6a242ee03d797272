"""Stages of the Pinterest experiment in the main job.

Creators of Open Clip Art stand in for Pinterest's users. Their pictures are described by fc7 of
the AlexNet that learned emoji artwork: no picture and no author of theirs is in it. Pins of one's own
are described by that net too, or at the paper's scale by ImageNet weights that are given.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from mindpics.cli import shared
from mindpics.files.json_files import read_json
from mindpics.files.layout import JobFiles, NetFiles
from mindpics.jobs.stages import Stage
from mindpics.posts.picture_files import pictures_state
from pinterest_id.layout import ExperimentFiles
from pinterest_id.records import read_pins
from pinterest_id.splits import PAPER_COUNTS, split_users

POSTS = "data/open/clipart/posts.jsonl"
PINS = "data/open/clipart/pins.jsonl"  # beside its pictures
# Few works a creator, and many creators, keep it hard; titles alone are about as short as the
# paper's texts (median 4 words).
LEAST, MOST, WORDS = 8, 20, "title"
CRAWL_SEED = 0  # which works of a creator with many: the data, and so the same for all seeds of a run
SPLIT = ("--split", "0.6667", "0.1667", "0.1666")  # the paper's 400 : 100 : 100
NET = "alexnet_all-in-one_scratch"
DECAF = NetFiles("prototxt/decaf_fc7").deploy
IMAGENET_MEAN = (
    "104",
    "117",
    "123",
)  # B G R: the mean of ImageNet's mean image, for who has no imagenet_mean.binaryproto


@dataclass(frozen=True)
class Source:
    """Pins, and the net whose fc7 describes their pictures.

    Attributes
    ----------
    pins : str
        pins.jsonl.
    net : tuple of str
        Deploy prototxt and caffemodel.
    mean : tuple of str
        A file, or three numbers.
    inputs : tuple of str
        Files of the net, or folders of them.
    split : tuple of str
        Words for tools/run_identification.
    note : str
    lacking, drop_small_users
        Of users with fewer pins, see `pinterest_id.splits.split_users`.
    """

    pins: str
    net: tuple
    mean: tuple
    inputs: tuple
    split: tuple = SPLIT
    note: str = "fc7 of the AlexNet that learned emoji, in place of DeCAF's; after ReLU, centre crop"
    lacking: int = 0
    drop_small_users: bool = False


def stand_in(root, pins=PINS):
    """Return the `Source` of a run's own AlexNet, whose MindPics part has trained it."""
    files = JobFiles(root).mindpics
    weights, nets = files.row(NET).training(NET).weights, files.nets
    return Source(pins, (nets.net(NET).deploy, weights), (files.mean,), (nets.prototxts, weights, files.mean))


def source_of(root, scale, pins=None, weights=None, mean=None, **small_users):
    """Return the `Source` of pins of one's own, or of the stand-in.

    Parameters
    ----------
    root : str
        Folder of the run.
    scale : str
        At "paper" the split is the paper's 400, 100, 100 pins a user, and fc7 is the given weights'; else the split
        has shares of the same size, and the net is the run's own, of the scale's width.
    pins, weights, mean : str, optional
        pins.jsonl; bvlc_alexnet.caffemodel; imagenet_mean.binaryproto.
    **small_users
        lacking, drop_small_users: of pins of one's own.
    """
    if pins is None:
        return stand_in(root)
    split = () if scale == "paper" else SPLIT
    if weights is None or scale != "paper":
        return replace(stand_in(root, pins), split=split, **small_users)
    decaf = shared(DECAF)
    files = (decaf, weights, *([mean] if mean else []))
    note = f"fc7 of {weights}, in place of DeCAF's; after ReLU, centre crop"
    return Source(pins, (decaf, weights), (mean,) if mean else IMAGENET_MEAN, files, split, note, **small_users)


def source_of_job(job, mean=None):
    """Return the `Source` of a `mindpics.job.Job`; `mean` is its imagenet_mean.binaryproto."""
    small_users = {"lacking": job.lacking, "drop_small_users": job.drop_small_users}
    return source_of(job.root, job.setting.name, job.pins, (job.weights or {}).get("alexnet"), mean, **small_users)


def refuse_other_pins(root, pins):
    """Raise ValueError where a run's folder holds an identification of other pins: no table is of two crawls."""
    path = ExperimentFiles(Path(root) / "pinterest_id").facts
    identified, pins_of_call = read_json(path).get("inputs", {}).get("pins"), pins or PINS
    if identified and Path(identified).resolve() != Path(pins_of_call).resolve():
        raise ValueError(
            f"{path}: found an identification of {identified}; wanted one of {pins_of_call}, "
            "or another folder for the run"
        )


def require_pins(root, source):
    """Raise ValueError where users have too few pins for the split, before fc7 of their pictures is computed.

    Pins whose picture is not there count as lost; what cannot be decoded shows with fc7.

    Parameters
    ----------
    root : str
        Folder of the run; where it has fc7 already, the split itself says as much at once.
    source : Source
    """
    path = Path(source.pins)
    if source.pins == PINS or Path(f"{root}/pinterest_id/fc7.npy").exists():
        return
    users = [pin.user for pin in read_pins(path)[0] if (path.parent / pin.image).is_file()]
    sizes = tuple(map(float, source.split[1:])) or PAPER_COUNTS
    try:
        split_users(users, sizes, drop_small=source.drop_small_users, lacking=source.lacking)
    except ValueError as error:
        raise ValueError(f"{path}, pins whose picture is there: {error}") from None


def plan(root, scale="mini", seed=0, gpu=None, source=None):
    """Return the stages from posts, or from pins of one's own, to table2.csv.

    Parameters
    ----------
    root : str
        Folder of the run, like runs/mini.
    scale : str
        Of the source's net, which fine-tuning goes on from: a name of `mindpics.nets.scales.SETTINGS`.
    seed : int
        Of the split into train, validation and test, and of fine-tuning.
    gpu : int, optional
    source : Source, optional
        By default the stand-in's.
    """
    source = source or stand_in(root)
    folder = f"{root}/pinterest_id"
    files = ExperimentFiles(folder)
    fc7 = features(source, f"{folder}/fc7", gpu)
    run = identification(source, f"{folder}/fc7", seed, folder)
    made = (source.pins, *fc7.outputs)
    told = (files.split, files.facts)  # the last of it, which table2 removes and writes again
    identify = Stage("identify", run, made, told, cost=10, note="classifiers, cascade, refinement")
    tuned = f"{folder}/fine_tuned"
    fine_tune = Stage(
        "finetune_fc7",
        (
            "tools/finetune_fc7",
            "--pins",
            source.pins,
            "--split",
            files.split,
            "--weights",
            source.net[1],
            "--scale",
            scale,
            "--seed",
            str(seed),
            "--out",
            tuned,
            *_on(gpu),
        ),
        (source.pins, files.split, source.net[1]),
        (f"{tuned}/fc7.npy", f"{tuned}/fc7.ids.txt"),
        cost=80,
        state=_pictures_of(source.pins),
        note="fc7 that has seen the users' training pictures: not in the paper",
    )
    report = Stage(
        "table2",
        (*run, "--fine-tuned", f"{tuned}/fc7"),
        (*made, *fine_tune.outputs),
        (files.table2,),
        cost=20,
        note="with the fine-tuned rows; tables and figures",
    )
    drawn = [_stand_in_pins()] if source.pins == PINS else []
    return [*drawn, fc7, identify, fine_tune, report]


def features(source, out, gpu=None, name="fc7", words=(), cost=10):
    """Return the stage that writes OUT.npy and OUT.ids.txt: fc7 of the pins' pictures.

    Parameters
    ----------
    source : Source
    out : str
        NAME of NAME.npy.
    gpu : int or None
    name : str
        Of the stage.
    words : tuple of str
        Further words of `tools/extract_features`.
    cost : float
        Seconds, about.
    """
    command = ("tools/extract_features", *source.net, "--mean", *source.mean, "--jsonl", source.pins, "--blob", "fc7")
    return Stage(
        name,
        (*command, "--out", out, *words, *_on(gpu)),
        (*source.inputs, source.pins),
        (f"{out}.npy", f"{out}.ids.txt"),
        cost=cost,
        note=source.note if not words else " ".join(words),
        state=_pictures_of(source.pins),
    )


def _pictures_of(pins):
    """Return the state of the pictures of pins of one's own: lost ones that are back are read again."""
    path = Path(pins)
    return _state(path, path.stat().st_mtime_ns) if pins != PINS and path.is_file() else ""


@cache
def _state(path, _changed):
    return pictures_state(path.parent / pin.image for pin in read_pins(path)[0])


def identification(source, fc7, seed, out):
    """Return the words of tools/run_identification.

    Parameters
    ----------
    source : Source
    fc7 : str
        NAME of NAME.npy.
    seed : int
        Of the split.
    out : str
    """
    command = ("tools/run_identification", "--pins", source.pins, "--features", fc7, *source.split)
    lacking = ("--lacking", str(source.lacking)) if source.lacking else ()
    dropping = ("--drop-small-users",) if source.drop_small_users else ()
    return (*command, *lacking, *dropping, "--seed", str(seed), "--out", out)


def _stand_in_pins():
    words = ("--pins-per-user", str(LEAST), str(MOST), "--words", WORDS, "--seed", str(CRAWL_SEED), "--out", PINS)
    note = f"creators of {LEAST} works or more stand in for users, at most {MOST} works each"
    return Stage("pins", ("tools/make_pins", "posts", POSTS, *words), (POSTS,), (PINS,), note=note)


def _on(gpu):
    return () if gpu is None else ("--gpu", str(gpu))
