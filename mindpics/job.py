"""Main job's settings: arguments, the command that repeats them, paths."""

from dataclasses import dataclass, replace
from pathlib import Path

from mindpics.cli import count
from mindpics.files.environment import environment
from mindpics.files.fingerprints import sha256
from mindpics.files.json_files import read_json, write_json
from mindpics.files.layout import JobFiles, MindpicsFiles, TrainingFiles
from mindpics.files.own_folder import Kind
from mindpics.jobs.commands import as_typed
from mindpics.nets import switches
from mindpics.nets.scales import PAPER, SETTINGS, Setting
from mindpics.posts.posts import picture_root
from mindpics.results.provenance import OPEN, STAND_IN, is_open_corpus, pretrained_net
from mindpics.training import device

NETS = ("alexnet", "resnet50")
RUN = Kind("a run of the main job", proof=(".stages",))


@dataclass(frozen=True)
class Job:
    """What a user asks of the main job.

    Attributes
    ----------
    setting : mindpics.nets.scales.Setting
    root : str
        Folder of the run, like runs/mini.
    posts : str or None
        posts.jsonl; None for the embedded stand-in, emoji artwork.
    weights : dict
        net -> caffemodel to fine-tune from; a net without one is pretrained on Open Clip Art.
    gpu : int or None
    seed : int
    split : {"image", "group"}
    group_by : tuple of str
        What a group is, as `tools/select_mindpics` has it; () for its default.
    tags_only : bool
        Table 1's words count as tags and hashtags alone.
    pins : str or None
        pins.jsonl of paper 2; without `posts` it is what the run is of.
    lacking : int
        How many training pins a user of `pins` may lack.
    drop_small_users : bool
        Users with too few pins are left out.
    prepared : str or None
        The `mindpics` folder of another job, whose selection, LMDBs and mean this one takes; None for its own.
    """

    setting: Setting
    root: str
    posts: str | None = None
    weights: dict | None = None
    gpu: int | None = None
    seed: int = 0
    split: str = "image"
    group_by: tuple = ()
    tags_only: bool = False
    pins: str | None = None
    lacking: int = 0
    drop_small_users: bool = False
    prepared: str | None = None

    @property
    def files(self):
        """The folder's `mindpics.files.layout.JobFiles`, paths as str."""
        return JobFiles(self.root)

    @property
    def mindpics(self):
        return self.files.mindpics.folder

    @property
    def pictures(self):
        """Folder of mindpics.csv, the LMDBs and the mean."""
        return self.prepared or self.mindpics

    @property
    def data(self):
        """The `mindpics.files.layout.MindpicsFiles` of that folder, paths as str."""
        return MindpicsFiles(self.pictures)

    def scores(self, row):
        return self.files.mindpics.row(row.name).scores

    def with_seeds(self, count):
        """Return `count` jobs that differ in the seed, this one first; the others lie beside it, as ROOT-seedS."""
        later = range(self.seed + 1, self.seed + count)
        return [self, *(replace(self, seed=seed, root=f"{self.root}-seed{seed}") for seed in later)]

    def stages_inside(self, stages):
        """Return the stages that make something in this job's folder: the others' work, like pictures, is shared."""
        return [stage for stage in stages if all(Path(path).is_relative_to(self.root) for path in stage.outputs)]


def add_arguments(parser):
    """Give an argparse parser the arguments that make jobs."""
    parser.add_argument("--scale", choices=sorted(SETTINGS), default="mini")
    parser.add_argument("--posts", type=_path, help="your crawl's posts.jsonl (default: open pictures, a stand-in)")
    parser.add_argument("--weights-alexnet", type=_path, help="bvlc_alexnet.caffemodel (default: pretrain a stand-in)")
    parser.add_argument(
        "--weights-resnet50", type=_path, help="ResNet-50-model.caffemodel (default: pretrain a stand-in)"
    )
    parser.add_argument("--pins", type=_path, help="your pins.jsonl, for paper 2: beside --posts, or without paper 1")
    parser.add_argument(
        "--lacking", type=int, default=0, metavar="PINS", help="pins: a user may lack so many training pins"
    )
    parser.add_argument("--drop-small-users", action="store_true", help="pins: leave users with too few out")
    parser.add_argument(
        "--mean-alexnet", type=_path, help="imagenet_mean.binaryproto, for fc7 (default: its mean, 104 117 123)"
    )
    device.add_argument(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--seeds", type=count, default=1, metavar="N", help="run N seeds from --seed on, the later ones into OUT-seedS"
    )
    parser.add_argument("--split", choices=("image", "group"), default="image", help="the paper's, or by group")
    parser.add_argument(
        "--group-by",
        nargs="+",
        default=[],
        metavar="KEY",
        help="what a group is: 'copies' or keys of the posts (default: author copies)",
    )
    parser.add_argument("--tags-only", action="store_true", help="words as tags or hashtags alone, not in free text")
    switches.add_arguments(parser)
    parser.add_argument(
        "--out", type=_path, help="folder of the run (default runs/SCALE, with --posts or --pins runs/SCALE-FOLDER)"
    )


def _path(text):
    """Spell a path one way: a stage whose command is spelt otherwise, as by a shell's completion, would run anew."""
    return text and str(Path(text))


def jobs_of(args):
    """Return the `Job` of each seed that parsed arguments ask for."""
    weights = {"alexnet": args.weights_alexnet, "resnet50": args.weights_resnet50}
    first = Job(
        setting=switches.switched(SETTINGS[args.scale], **switches.from_args(args)),
        root=args.out or default_root(args.scale, args.posts or args.pins),
        posts=args.posts,
        pins=args.pins,
        lacking=args.lacking,
        drop_small_users=args.drop_small_users,
        weights={net: path for net, path in weights.items() if path},
        gpu=args.gpu,
        seed=args.seed,
        split=args.split,
        group_by=tuple(args.group_by),
        tags_only=args.tags_only,
    )
    return first.with_seeds(args.seeds)


def default_root(scale, crawl):
    """Return the folder of a run that is given none: runs/SCALE, or runs/SCALE-NAME of a crawl that lies in NAME."""
    return f"runs/{scale}" + (f"-{picture_root(crawl).resolve().name}" if crawl else "")


def require_inputs(args):
    """Raise ValueError where a manifest of the command line is not there, before any stage asks for it."""
    if (args.lacking or args.drop_small_users) and not args.pins:
        raise ValueError("--lacking, --drop-small-users: found no --pins; wanted pins of your own")
    if args.lacking and args.scale != PAPER.name:
        raise ValueError(
            f"--lacking {args.lacking}: found --scale {args.scale}, which splits a user's pins by shares; "
            f"wanted --scale {PAPER.name}, or no --lacking"
        )
    for switch, path in (("--posts", args.posts), ("--pins", args.pins)):
        if path and not Path(path).exists():
            raise ValueError(f"{switch} {path}: found no such file or folder; wanted a crawl's manifest")


def refuse_another_crawl(job):
    """Raise ValueError where a job's folder holds a selection from other posts: no table is of two crawls."""
    path = job.files.mindpics.summary
    selected = read_json(path).get("arguments", {}).get("posts")
    crawl = job.posts or f"{OPEN}/emoji/posts.jsonl"
    if selected and Path(selected).resolve() != Path(crawl).resolve():
        raise ValueError(
            f"{path}: found a selection from {selected}; wanted one from {crawl}, or another folder for the run"
        )


def row_command(job, row):
    """Return the command that reproduces one row of Table 3, into the same folder."""
    words = ["--scale", job.setting.name, "--row", row.switch]
    words += ["--posts", job.posts] if job.posts else []
    for net, path in (job.weights or {}).items():
        words += [f"--weights-{net}", path]
    words += ["--gpu", job.gpu] if job.gpu is not None else []
    words += ["--seed", job.seed] if job.seed else []
    words += ["--split", job.split] if job.split != "image" else []
    words += ["--group-by", *job.group_by] if job.group_by else []
    words += ["--tags-only"] if job.tags_only else []
    words += switches.words(job.setting)
    words += ["--out", job.root] if job.root != default_root(job.setting.name, job.posts) else []
    return as_typed(["tools/reproduce", *words])


def selection_words(job):
    """Return the words that give `tools/select_mindpics` the job's readings."""
    by = ["--group-by", *job.group_by] if job.group_by else []
    return ["--split", job.split, *by, *(["--tags-only"] if job.tags_only else [])]


def describe(job, pins_alone=False):
    """Return the first line of a run: what data, and what it stands in for; `pins_alone`: no row of Table 3 is run."""
    if pins_alone:
        return f"Pins: {job.pins}. Paper 1 is left out; --posts is its crawl."
    return f"{_describe_posts(job)} Pins: {job.pins}." if job.pins else _describe_posts(job)


def _describe_posts(job):
    if job.posts is None:
        return (
            "Stand-in data: emoji artwork found by the paper's 110 words stands in for 121,000 Instagram pictures, "
            "and pretraining on Open Clip Art for ImageNet weights. Its numbers say nothing about people."
        )
    data = f"{'Stand-in data' if is_open_corpus(picture_root(job.posts)) else 'Data'}: {job.posts}"
    lacking = [net for net in NETS if net not in (job.weights or {})]
    if not lacking:
        return f"{data}."
    return f"{data}; pretraining on Open Clip Art stands in for ImageNet weights of {', '.join(lacking)}."


def pretrained(job, net):
    """Return the caffemodel that `net` is fine-tuned from."""
    return (job.weights or {}).get(net) or TrainingFiles(job.files.pretrained(net).run).weights


def write_job(job, command):
    """Write the main job's run.json: what was asked, on what data, with which versions.

    The data are those of Table 3; of pins where there is none.
    """
    table3 = _sha256_or_none(Path(job.files.mindpics.table3))
    facts = {
        "command": command,
        "scale": job.setting.name,
        "setting": job.setting.recorded(),
        "data": _posts(job) if job.posts or table3 or not job.pins else job.pins,
        "pins": job.pins,
        "weights": {net: _weights(job, net) for net in NETS},
        "gpu": job.gpu,
        "seed": job.seed,
        "split": job.split,
        "lacking": job.lacking,
        "drop_small_users": job.drop_small_users,
        "selection": _sha256_or_none(Path(job.files.mindpics.selection)),
        "table3": table3,
    }
    write_json(Path(job.files.facts), facts | environment())


def _posts(job):
    """Return the manifest that was given, or what stands in for a crawl: open pictures, given by their path too."""
    if job.posts is None:
        return f"{STAND_IN}: emoji artwork, selected by the 110 words"
    return f"{STAND_IN}: {job.posts}" if is_open_corpus(picture_root(job.posts)) else job.posts


def _weights(job, net):
    path = (job.weights or {}).get(net)
    if path is None:
        return f"{STAND_IN}: pretrained on Open Clip Art categories"
    return f"{STAND_IN}: a run's pretrained {pretrained_net(path)}" if pretrained_net(path) else path


def _sha256_or_none(path):
    return sha256(path) if path.is_file() else None
