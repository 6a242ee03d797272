"""Options of an experiment: what the paper leaves open, and its grid of C."""

import math
from dataclasses import dataclass

from pinterest_id.refine import TOP
from pinterest_id.splits import PAPER_COUNTS

C_GRID = (0.1, 1.0, 10.0, 100.0)  # section 3.1
MAX_SEED = 2**32 - 1  # of NumPy's legacy generators, which scikit-learn's PCA draws from
CLASSIFIERS = ("joint", "liblinear", "multinomial")


@dataclass(frozen=True)
class Options:
    """What the paper leaves open or a user may want otherwise; the defaults are the paper's.

    `C_grid_baselines`, where given, is the grid of the models of one modality and of the linear fusions
    (section 4.1 prints "C = [0.1, 1, ]"), `C_grid` that of the cascade (section 3.1). With `one_C` both modalities
    have one C, by the cascade's accuracy on the validation pins.
    """

    sizes: tuple = PAPER_COUNTS
    seed: int = 0
    drop_small_users: bool = False
    lacking: int = 0
    split_file: str = ""
    keep_empty_text: bool = False
    keep_no_image: bool = False
    stop_words: str = "snowball"
    unit_features: bool = False
    classifier: str = "joint"
    tol: float = 1e-3
    C_grid: tuple = C_GRID
    C_grid_baselines: tuple = ()
    one_C: bool = False
    refine_modality: str = "mean"
    refine_top: int = TOP

    def __post_init__(self):
        if self.refine_top < 1:
            raise ValueError(f"top: found {self.refine_top}; wanted 1 or more")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed: found {self.seed}; wanted 0 to {MAX_SEED}")
        for name, values in {"C": self.C_grid, "baselines_C": self.C_grid_baselines, "tol": (self.tol,)}.items():
            if wrong := [value for value in values if not 0 < value < math.inf]:
                raise ValueError(f"{name}: found {wrong[0]:g}; wanted a positive, finite number")
