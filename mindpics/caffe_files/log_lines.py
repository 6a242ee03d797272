"""Reader of Caffe's logs: losses, learning rate, test outputs, whatever glog, Windows or a copy made of the lines."""

import math
import re
from dataclasses import dataclass, field

_NUMBER = r"([-+]?(?:\d+(?:\.\d*)?(?:#\w+)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan(?:\(\w*\))?|inf(?:inity)?))"
# glog's prefix is not asked for: copies lose it. Several lines glued into one are all found.
_LINE = re.compile(
    rf"Iteration (?P<trained>\d+)(?: \([^)]*\))?, (?P<figure>loss|lr) = {_NUMBER}"
    rf"|Iteration (?P<tested>\d+), Testing net \(#(?P<net>\d+)\)"
    rf"|(?P<phase>Train|Test) net output #\d+: (?P<output>\S.*?) = {_NUMBER}(?P<weighted> \(\* )?",
    re.IGNORECASE,
)
ROUNDED = 1e-4  # of the largest loss: with average_loss 1 Caffe adds each loss's difference from the last, in float
_OURS = re.compile(r"Iteration \d|net output #")


@dataclass
class Log:
    """What a log says, so far as it has been read.

    Attributes
    ----------
    train, test : dict
        (output, iteration) -> value; Caffe's smoothed "loss" and "lr" are outputs of "train". The second value of an
        output is ``NAME[1]``, an output of the second test net ``NAME#1``. Of a resumed run the later value counts.
        Where the net has an output "loss" of other values (of other losses beside it, a loss_weight, iter_size or
        average_loss), "loss" is the output's, as for Caffe's parse_log.py, and Caffe's smoothed one "total_loss".
    losses : set
        Outputs that are minimised: Caffe prints their weight behind the value.
    unread : int
        Lines of a training of which nothing could be read: cut, or with no number.
    """

    test: dict = field(default_factory=dict)
    losses: set = field(default_factory=set)
    unread: int = 0
    _train: dict = field(default_factory=dict)
    _minimised: dict = field(default_factory=dict)
    _iteration: int = 0
    _tested: int = 0
    _net: int = 0
    _names: dict = field(default_factory=dict)

    @property
    def train(self):
        outputs = {name for name, _ in self._train}
        name = total_name(outputs, "loss" not in outputs or self._is_whole(outputs))
        return {(name, iteration): value for iteration, value in self._minimised.items()} | self._train

    def read(self, line):
        """Take a line."""
        matches = list(_LINE.finditer(line))
        self.unread += not matches and bool(_OURS.search(line)) and ", Testing net" not in line
        for match in matches:
            self._take(match)

    def passes(self):
        """Return [{"iteration": .., output: value, ..}], one a test pass, by iteration."""
        rows = {}
        for (output, iteration), value in self.test.items():
            rows.setdefault(iteration, {"iteration": iteration})[output] = value
        return [row for _, row in sorted(rows.items())]

    def _is_whole(self, outputs):
        """Tell whether the output "loss" is what is minimised, to what Caffe's sum for the mean loses."""
        logged = {iteration: value for (name, iteration), value in self._train.items() if name == "loss"}
        gaps = [abs(value - logged[iteration]) for iteration, value in self._minimised.items() if iteration in logged]
        bound = ROUNDED * max((abs(value) for value in logged.values() if math.isfinite(value)), default=0)
        return self.losses & outputs <= {"loss"} and bool(gaps) and not any(bound < gap < math.inf for gap in gaps)

    def _take(self, match):
        if match["trained"]:
            self._iteration, self._names = int(match["trained"]), {}
            if match["figure"].lower() == "loss":
                self._minimised[self._iteration] = number(match[3])
            else:
                self._train["lr", self._iteration] = number(match[3])
        elif match["tested"]:
            self._tested, self._net, self._names = int(match["tested"]), int(match["net"]), {}
        else:
            self._output(match["phase"].lower(), match["output"], number(match[8]), match["weighted"])

    def _output(self, phase, name, value, weighted):
        count = self._names[phase, name] = self._names.get((phase, name), -1) + 1
        name += f"[{count}]" if count else ""
        if phase == "train":
            self._train[name, self._iteration] = value
        else:
            name += f"#{self._net}" if self._net else ""
            self.test[name, self._tested] = value
        if weighted:
            self.losses.add(name)


def total_name(outputs, whole):
    """Return what the sum of all losses is called beside outputs: "loss", or "total_loss" where "loss" is no such.

    Parameters
    ----------
    outputs : collection of str
    whole : bool
        Whether an output "loss" would be all that is minimised.
    """
    name = "loss" if whole else "total_loss"
    while not whole and name in outputs:
        name = f"total_{name}"
    return name


def is_total(name):
    """Tell whether a column may be a sum of all losses, see `total_name`."""
    return name.replace("total_", "") == "loss"


def number(text):
    """Return the value of a number as C prints it: -nan, nan(ind), 1.#QNAN, -1.#IND and 1.#INF included."""
    text = text.lower()
    if "nan" in text or "#ind" in text or "#qnan" in text:
        return math.nan
    if "inf" in text:
        return -math.inf if text.startswith("-") else math.inf
    return float(text)
