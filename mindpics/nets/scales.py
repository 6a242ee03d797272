"""The sizes at which the main job runs: the paper's, one for two cores, and one for tests.

The mini nets are the same functions with other numbers.
"""

from dataclasses import dataclass, replace

from mindpics.nets import alexnet, resnet50
from mindpics.nets.solvers import SCHEDULES, Schedule
from mindpics.published import published

NETS = (alexnet.NAME, resnet50.NAME)
HEADS = ("independent", "all-in-one", "pretrain")
BATCH = published()["training"]["batch_size"]  # section 4: 128 and 32


@dataclass(frozen=True)
class Setting:
    """Numbers of one scale; dicts are keyed by net, batch by (net, heads), the others by (net, heads, init).

    Attributes
    ----------
    name : str
    size : int
        Side in pixels to which pictures are warped.
    per_word, per_pole : int or None
        At most so many pictures a word, a pole.
    crop, width, batch : dict
    test_batch : int
    schedules : dict
        (net, heads, init) -> Schedule; pretraining is (net, "pretrain", "scratch").
    seconds : dict
        (net, init) -> roughly what training takes, for the time left.
    gain : float
        Of AlexNet's fillers, see `mindpics.nets.alexnet.add_body`.
    fraction : float or None
        BatchNorm's ``moving_average_fraction``.
    normalization : {"VALID", "BATCH_SIZE"}
    loss : {"python", "native"}
        Of `mindpics.nets.head_losses`.
    """

    name: str
    size: int
    per_word: int | None
    per_pole: int | None
    crop: dict
    width: dict
    batch: dict
    test_batch: int
    schedules: dict
    seconds: dict
    gain: float = 1.0
    fraction: float | None = None
    normalization: str = "VALID"
    loss: str = "python"

    def body_size(self, net):
        """Return the keywords of a body's ``add_body`` that are not the crop."""
        return {"width": self.width[net], "gain": self.gain, "fraction": self.fraction}

    def with_crop(self, net, crop):
        """Return the same setting with another crop for one net."""
        return replace(self, crop=self.crop | {net: crop})


PAPER = Setting(
    name="paper",
    size=256,  # section 4
    per_word=1100,  # section 3.1
    per_pole=None,
    crop={"alexnet": alexnet.CROP, "resnet50": resnet50.CROP},
    width={"alexnet": 1.0, "resnet50": 1.0},
    batch={(net, heads): batch for net, batch in BATCH.items() for heads in HEADS},
    test_batch=40,  # 24,200 and 4,840 are whole multiples: a test pass sees each picture once
    schedules={(net, heads, init): SCHEDULES[init] for net in NETS for heads in HEADS for init in SCHEDULES},
    # 47,266 iterations of AlexNet and 189,063 of ResNet-50 at 0.1 and 0.25 s on one GPU
    seconds={("alexnet", "scratch"): 6800, ("alexnet", "finetune"): 4700, ("resnet50", "finetune"): 47000,
             ("alexnet", "pretrain"): 600, ("resnet50", "pretrain"): 6000},  # fmt: skip
)

# Chosen on two cores: the whole of Table 3 in ten minutes of training. A 99-pixel crop is the
# smallest at which a narrow AlexNet still starts; 112 keeps the paper's ratio of picture to crop.
# An independent net sees a fifth of few pictures: a smaller batch gives it as many iterations.
MINI = Setting(
    name="mini",
    size=112,
    per_word=1100,
    per_pole=300,
    crop={"alexnet": 99, "resnet50": 99},
    width={"alexnet": 0.25, "resnet50": 0.125},
    batch={
        ("alexnet", "pretrain"): 64,
        ("alexnet", "all-in-one"): 64,
        ("alexnet", "independent"): 16,
        ("resnet50", "pretrain"): 32,
        ("resnet50", "all-in-one"): 32,
        ("resnet50", "independent"): 16,
    },
    test_batch=40,
    schedules={
        ("alexnet", "pretrain", "scratch"): Schedule(10, 8, 0.01),
        ("alexnet", "independent", "scratch"): Schedule(28, 22, 0.01),
        ("alexnet", "all-in-one", "scratch"): Schedule(28, 22, 0.01),
        ("alexnet", "independent", "finetune"): Schedule(26, 20, 0.005),
        ("alexnet", "all-in-one", "finetune"): Schedule(26, 20, 0.005),
        ("resnet50", "pretrain", "scratch"): Schedule(6, 5, 0.05),
        ("resnet50", "independent", "finetune"): Schedule(14, 11, 0.02),
        ("resnet50", "all-in-one", "finetune"): Schedule(22, 17, 0.06),
    },
    seconds={
        ("alexnet", "pretrain"): 140,
        ("resnet50", "pretrain"): 260,
        ("alexnet", "scratch"): 160,
        ("alexnet", "finetune"): 150,
        ("resnet50", "finetune"): 340,
    },
    gain=3.0,
    fraction=0.95,
    # With VALID the five heads of a scratch net pull five times as hard as one, and it does not settle.
    normalization="BATCH_SIZE",
)

# The same path in a minute, to be killed on the way; its nets learn nothing. 67 is AlexNet's smallest crop.
TINY = replace(
    MINI,
    name="tiny",
    size=72,
    per_pole=8,
    crop={"alexnet": 67, "resnet50": 67},
    width={"alexnet": 0.0625, "resnet50": 0.0625},
    batch=dict.fromkeys(MINI.batch, 7),
    test_batch=6,
    schedules={key: Schedule(5, 4, schedule.base_lr / 10) for key, schedule in MINI.schedules.items()},
    seconds=dict.fromkeys(MINI.seconds, 2),
)
SETTINGS = {setting.name: setting for setting in (PAPER, MINI, TINY)}
