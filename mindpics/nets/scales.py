"""Scales of the main job: the paper's, one for two cores, one for tests; a recipe a net and row.

The mini nets are the same functions with other numbers.
"""

from dataclasses import asdict, dataclass, field, replace

from mindpics.nets import alexnet, resnet50
from mindpics.nets.solvers import SCHEDULES, SNAPSHOTS, Schedule
from mindpics.published import published

HEADS = ("independent", "all-in-one")
BATCH = published()["training"]["batch_size"]  # section 4: 128 and 32


@dataclass(frozen=True)
class Recipe:
    """How one net is trained for one row of Table 3, or pretrained.

    Attributes
    ----------
    crop : int
        Side in pixels of what the net sees.
    width : float
        Share of the body's channels.
    batch : int
        Pictures an update sees, in `iter_size` passes.
    schedule : mindpics.nets.solvers.Schedule
    seconds : float
        Roughly what training on all traits' pictures takes, for the time left.
    iter_size : int
    frozen : bool
        BatchNorm keeps the statistics that came with the weights (``use_global_stats``).
    """

    crop: int
    width: float
    batch: int
    schedule: Schedule
    seconds: float
    iter_size: int = 1
    frozen: bool = False

    @property
    def a_pass(self):
        """Pictures a pass, the ``batch_size`` of the net."""
        return self.batch // self.iter_size


@dataclass(frozen=True)
class Setting:
    """Numbers of one scale.

    Attributes
    ----------
    name : str
    size : int
        Side in pixels to which pictures are warped.
    per_word, per_pole : int or None
        At most so many pictures a word, a pole.
    recipes : dict
        (net, heads, init) -> Recipe; pretraining is (net, "pretrain", "scratch").
    test_batch : int
    gain : float
        Of AlexNet's fillers, see `mindpics.nets.alexnet.add_body`.
    fraction : float or None
        BatchNorm's ``moving_average_fraction``.
    normalization : {"BATCH_SIZE", "VALID"}
    loss : {"python", "native"}
        Of `mindpics.nets.head_losses`.
    snapshots : int
        Of a training, evenly over it.
    switches : dict
        Switches by which it differs from the scale's own, see `mindpics.nets.switches`.
    """

    name: str
    size: int
    per_word: int | None
    per_pole: int | None
    recipes: dict
    test_batch: int = 40
    gain: float = 1.0
    fraction: float | None = None
    normalization: str = "BATCH_SIZE"
    loss: str = "python"
    snapshots: int = SNAPSHOTS
    switches: dict = field(default_factory=dict)

    def recipe(self, net, heads, init="scratch"):
        """Return the `Recipe` of a row, or of pretraining (heads "pretrain").

        Parameters
        ----------
        net : {"alexnet", "resnet50"}
        heads : {"independent", "all-in-one", "pretrain"}
        init : {"scratch", "finetune"}
        """
        return self.recipes[net, heads, init]

    def body(self, recipe):
        """Return the keywords of a body's ``add_body`` that are not the crop."""
        return {"width": recipe.width, "gain": self.gain, "fraction": self.fraction, "frozen": recipe.frozen}

    def recorded(self):
        """Return it as JSON for run.json: numbers of all rows, then crop, width, batch ... of each."""
        whole = {key: value for key, value in vars(self).items() if key not in ("recipes", "switches")}
        of_rows = {"crop": {}, "width": {}, "batch": {}, "iter_size": {}, "schedule": {}}
        for key, recipe in self.recipes.items():
            for name, rows in of_rows.items():
                rows[" ".join(key)] = asdict(recipe)[name]
        return whole | {"given": self.switches} | of_rows


def _paper(net, crop, seconds):
    """Return the recipes of a net at the paper's size; `seconds` by init, of one GPU."""
    starts = {("pretrain", "scratch"): "pretrain"}
    starts |= {(heads, init): init for init in seconds if init != "pretrain" for heads in HEADS}
    return {
        (net, heads, init): Recipe(crop, 1.0, BATCH[net], SCHEDULES[init], seconds[start])
        for (heads, init), start in starts.items()
    }


PAPER = Setting(
    name="paper",
    size=256,  # section 4
    per_word=1100,  # section 3.1
    per_pole=None,
    # 47,266 iterations of AlexNet and 189,063 of ResNet-50 at 0.1 and 0.25 s on one GPU
    recipes=_paper("alexnet", alexnet.CROP, {"scratch": 6800, "finetune": 4700, "pretrain": 600})
    | _paper("resnet50", resnet50.CROP, {"finetune": 47000, "pretrain": 6000}),
    test_batch=40,  # 24,200 and 4,840 are whole multiples: a test pass sees each picture once
)

# Chosen on two cores: the whole of Table 3 in ten minutes of training. A 99-pixel crop is the
# smallest at which a narrow AlexNet still starts; 112 keeps the paper's ratio of picture to crop.
# An independent net sees a fifth of few pictures: a smaller batch gives it as many iterations.
MINI = Setting(
    name="mini",
    size=112,
    per_word=1100,
    per_pole=300,
    recipes={
        ("alexnet", "pretrain", "scratch"): Recipe(99, 0.25, 64, Schedule(10, 8, 0.01), 85),
        ("alexnet", "independent", "scratch"): Recipe(99, 0.25, 16, Schedule(28, 22, 0.01), 110),
        ("alexnet", "all-in-one", "scratch"): Recipe(99, 0.25, 64, Schedule(28, 22, 0.01), 95),
        ("alexnet", "independent", "finetune"): Recipe(99, 0.25, 16, Schedule(26, 20, 0.005), 105),
        ("alexnet", "all-in-one", "finetune"): Recipe(99, 0.25, 64, Schedule(26, 20, 0.005), 85),
        ("resnet50", "pretrain", "scratch"): Recipe(99, 0.125, 32, Schedule(6, 5, 0.05), 130),
        ("resnet50", "independent", "finetune"): Recipe(99, 0.125, 16, Schedule(14, 11, 0.02), 150),
        ("resnet50", "all-in-one", "finetune"): Recipe(99, 0.125, 32, Schedule(22, 17, 0.06), 180),
    },
    gain=3.0,
    fraction=0.95,
)

# The same path in a minute, to be killed on the way; its nets learn nothing. 67 is AlexNet's smallest crop.
TINY = replace(
    MINI,
    name="tiny",
    size=72,
    per_pole=8,
    recipes={
        key: Recipe(67, 0.0625, 7, Schedule(5, 4, recipe.schedule.base_lr / 10), 2)
        for key, recipe in MINI.recipes.items()
    },
    test_batch=6,
)
SETTINGS = {setting.name: setting for setting in (PAPER, MINI, TINY)}
