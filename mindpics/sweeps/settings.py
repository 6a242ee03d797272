"""Settings of a sweep: a grid or a random draw over solver fields, layer parameters, switches, weights and seeds."""

import hashlib
import itertools
import math
import random
import re
from dataclasses import dataclass

from mindpics.caffe_files.fields import value_of
from mindpics.nets.switches import words_of

SWITCHES = ("normalization", "epochs", "batch", "frozen_batch_norm")  # readings of train_net's; base_lr is a field
_RANGE = re.compile(r"(.+)\.\.(.+)")


@dataclass(frozen=True)
class Range:
    """Numbers between two, for random draws: evenly by their logarithm."""

    low: float
    high: float

    def draw(self, generator):
        return float(f"{math.exp(generator.uniform(math.log(self.low), math.log(self.high))):.4g}")


@dataclass(frozen=True)
class Run:
    """One run of a sweep.

    Attributes
    ----------
    settings : dict
        Name -> value.
    weights : str or None
    seed : int or None
    """

    settings: dict
    weights: str | None = None
    seed: int | None = None

    @property
    def name(self):
        """Name of its folder: the settings, as far as a name may have them, and a hash of them all."""
        facts = [f"{name}={value}" for name, value in self.settings.items()]
        facts += [f"seed={self.seed}"] if self.seed is not None else []
        digest = hashlib.sha256(repr((facts, self.weights)).encode()).hexdigest()[:6]
        return f"{re.sub(r'[^A-Za-z0-9.=-]+', '_', '-'.join(facts))[:80] or 'run'}-{digest}"

    def words(self):
        """Return the arguments of train_net that give these settings."""
        words = ["--weights", self.weights] if self.weights else []
        words += ["--seed", str(self.seed)] if self.seed is not None else []
        for name, value in self.settings.items():
            words += words_of(name, value) if name in SWITCHES else _set(name, value)
        return words


def _set(name, value):
    """Return the words that set a field, of which a repeated one has a list."""
    values = value if isinstance(value, list | tuple) else [value]
    return [word for element in values for word in ("--set", f"{name}={_written(element)}")]


def _written(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse(text):
    """Return (name, values) of "NAME=A,B,C", or of "NAME=LOW..HIGH" for random draws.

    Raises
    ------
    ValueError
        Where it is neither.
    """
    name, equals, values = text.rpartition("=")
    if not (name and equals and values):
        raise ValueError(f"--set: found {text!r}; wanted NAME=VALUE,VALUE or NAME=LOW..HIGH")
    match = _RANGE.fullmatch(values)
    if not match:
        return name, [value_of(value) for value in values.split(",")]
    low, high = map(value_of, match.groups())
    if not (isinstance(low, int | float) and isinstance(high, int | float) and 0 < low < high):
        raise ValueError(f"--set: found {text!r}; wanted 0 < LOW < HIGH")
    return name, Range(low, high)


def axes_of(texts):
    """Return {name: values} of texts of --set; ValueError where a name stands twice."""
    axes = {}
    for name, values in map(parse, texts):
        if name in axes:
            raise ValueError(f"--set: found {name} twice; wanted its values behind it, {name}=A,B")
        axes[name] = values
    return axes


def runs_of(settings, weights=(None,), seeds=1, draws=None):
    """Return the `Run`s of a sweep, in order.

    Parameters
    ----------
    settings : dict
        Name -> list of values, or `Range`.
    weights : sequence of path or None
        None for the solver's own, or else the fillers; "none" for the fillers.
    seeds : int
        Each setting is run with the seeds 0, 1, ...
    draws : int, optional
        So many random draws, always the same, in place of the grid.

    Raises
    ------
    ValueError
        For a range without `draws`, and for weights or seeds among the settings.
    """
    for name, parameter in (("weights", "weights"), ("random_seed", "seeds")):
        if name in settings:
            raise ValueError(f"found {name} among the settings; wanted it as {parameter}")
    axes = settings | {"weights": [path and str(path) for path in weights]}
    ranges = [name for name, values in axes.items() if isinstance(values, Range)]
    if ranges and not draws:
        raise ValueError(f"{ranges[0]}: found a range; wanted values, or draws=N, so many random draws")
    points = _draw(axes, draws) if draws else map(dict, _grid(axes))
    return [
        Run({name: value for name, value in point.items() if name != "weights"}, point["weights"], seed)
        for point in points
        for seed in range(seeds)
    ]


def _grid(axes):
    return (zip(axes, values, strict=True) for values in itertools.product(*axes.values()))


def _draw(axes, draws):
    """Return distinct points; fewer where there are no more."""
    generator, points = random.Random(0), []
    for _ in range(20 * draws):
        point = {n: v.draw(generator) if isinstance(v, Range) else generator.choice(v) for n, v in axes.items()}
        if len(points) < draws and point not in points:
            points.append(point)
    return points
