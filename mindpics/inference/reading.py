"""Reading of a picture before a net: warp or crop, before or after ReLU, one crop or ten, scaled."""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

from mindpics.files.json_files import shown
from mindpics.posts.crops import FITS


@dataclass(frozen=True)
class Reading:
    """A reading of the paper's "activation values of the 4,096 neurons in the 7-th layer" (Pinterest, section 3).

    Attributes
    ----------
    fit : {"warp", "crop"}
        Warped as convert_imageset does, or DeCAF's: the shorter side scaled, the centre cut.
    before_relu : bool
        DeCAF's fc7_cudanet_out; after it, fc7_neuron_cudanet_out.
    ten_crops : bool
        Mean of four corners, the centre, and their mirrors; else the centre.
    scale : float
        What pixels less the mean are multiplied by: the transform_param's with which a net was trained.
    """

    fit: str = "warp"
    before_relu: bool = False
    ten_crops: bool = False
    scale: float = 1.0

    def __post_init__(self):
        if not math.isfinite(self.scale):
            raise ValueError(f"scale: found {self.scale}; wanted a finite number")


def add_arguments(parser):
    parser.add_argument(
        "--no-warp",
        action="store_true",
        help="as DeCAF: the shorter side scaled, the centre cut; not warped to a square",
    )
    parser.add_argument("--before-relu", action="store_true", help="the blob before its first ReLU in place")
    parser.add_argument("--ten-crops", action="store_true", help="mean of ten crops, not the centre crop")


def add_scale(parser):
    """Add --scale to a tool that feeds a net pictures."""
    parser.add_argument(
        "--scale",
        type=_finite,
        default=1.0,
        metavar="FACTOR",
        help="of pixels less the mean, as of the transform_param in training: .00390625 for LeNet (default 1)",
    )


def _finite(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"found {text!r}; wanted a finite number")
    return value


def reading_of(args):
    """Return the Reading of a tool's arguments."""
    return Reading("crop" if args.no_warp else "warp", args.before_relu, args.ten_crops)


def load_reading(name):
    """Return the Reading of features NAME, from NAME.json; the default where none is written down.

    Raises
    ------
    ValueError
        When NAME.json says something else.
    """
    path = Path(f"{name}.json")
    if not path.is_file():
        return Reading()
    try:
        recorded = json.loads(path.read_text(encoding="utf-8")).get("reading", {})
        reading = Reading(**recorded)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: found no facts of features ({error}); wanted those that tools/extract_features writes"
        ) from None
    if reading.fit not in FITS:
        raise ValueError(f"{path}: found fit {shown(reading.fit)}; wanted one of {', '.join(FITS)}")
    return reading
