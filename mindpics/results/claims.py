"""The MindPics paper's claims in words (section 4.1) beside what a run shows, each with its 95% interval."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindpics.files.findings import Finding
from mindpics.files.layout import MindpicsFiles
from mindpics.published import ROWS, table3_row
from mindpics.results.metrics import Z95, load_scores, log_odds
from mindpics.results.run_files import PAPERS_BEST
from mindpics.traits import N_LABELS, TRAIT_NAMES, TRAITS, own_poles

# (claim, first row, second row), each NET/HEADS/INIT: the first is above the second in mean accuracy
ABOVE = (
    (
        "all-in-one is above independent, AlexNet from scratch",
        "alexnet/all-in-one/scratch",
        "alexnet/independent/scratch",
    ),
    (
        "all-in-one is above independent, AlexNet fine-tuned",
        "alexnet/all-in-one/finetune",
        "alexnet/independent/finetune",
    ),
    ("all-in-one is above independent, ResNet-50", "resnet50/all-in-one/finetune", "resnet50/independent/finetune"),
    ("fine-tuned is above scratch, AlexNet all-in-one", "alexnet/all-in-one/finetune", "alexnet/all-in-one/scratch"),
    ("ResNet-50 is above AlexNet, all-in-one", "resnet50/all-in-one/finetune", "alexnet/all-in-one/finetune"),
)
BUT_FOR = "A"  # from scratch, all-in-one is below independent for Agreeableness alone


@dataclass(frozen=True)
class Claim:
    """A claim and what a run shows: a difference with its interval, in points of accuracy or of AUC.

    `paper` is the paper's own difference, None where it prints none.
    """

    words: str
    paper: float | None
    shown: float
    low: float
    high: float

    @property
    def verdict(self):
        return "shown" if self.low > 0 else "contradicted" if self.high < 0 else "not told from chance"

    def __str__(self):
        paper = "" if self.paper is None else f" (paper {self.paper:+.1f})"
        return f"{self.words}{paper}: {self.shown:+.1f} ({self.low:+.1f} to {self.high:+.1f}), {self.verdict}"


def claims(mindpics):
    """Return the `Claim`s that the scores under RUN/mindpics allow.

    Accuracies are paired on the same test pictures and averaged over traits; AUCs of two traits are of different
    pictures. Intervals are normal ones, of AUCs with DeLong's variance.
    """
    files = MindpicsFiles(Path(mindpics))
    read = {row.switch: scores for row in ROWS if (scores := _whole(files.row(row.name).scores)) is not None}
    claims_shown = []
    for words, first, second in ABOVE:
        if first in read and second in read and _same_pictures(read[first], read[second]):
            claims_shown.append(_accuracy(words, first, second, read, TRAITS, "avg"))
            if first == "alexnet/all-in-one/scratch":
                below = f"all-in-one is below independent for {TRAIT_NAMES[BUT_FOR]}, AlexNet from scratch"
                claims_shown.append(_accuracy(below, second, first, read, (BUT_FOR,), BUT_FOR))
    best = next(row.switch for row in ROWS if row.name == PAPERS_BEST)
    return claims_shown + (_auc_order(read[best]) if best in read else [])


def _whole(path):
    """Return (ids, labels, scores) where they are finite and have every pole, else None: `verify` tells of others."""
    try:
        ids, labels, scores = load_scores(path)
    except (OSError, ValueError):
        return None
    return (ids, labels, scores) if len(np.unique(labels)) == N_LABELS and np.isfinite(scores).all() else None


def check_claims(table):
    """Yield a Finding of each claim beside a table3.csv: "ok" where it is shown, else "differs"."""
    for claim in claims(table.parent):
        yield Finding("ok" if claim.verdict == "shown" else "differs", "paper-claim", str(claim), str(table))


def _same_pictures(first, second):
    return np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def _accuracy(words, first, second, read, traits, column):
    labels, variance, means = read[first][1], 0.0, []
    for trait in map(TRAITS.index, traits):
        less = _right(labels, read[first][2], trait) - _right(labels, read[second][2], trait)
        means.append(less.mean())
        variance += less.var() / len(less) / len(traits) ** 2
    paper = table3_row(*first.split("/"))[column] - table3_row(*second.split("/"))[column]
    return _claim(words, paper, np.mean(means), variance)


def _right(labels, scores, trait):
    """Return 1.0 or 0.0 of each picture of a trait: a tie counts against."""
    of_trait, poles = own_poles(labels, trait)
    rows = np.flatnonzero(of_trait)
    return (scores[rows, trait, poles[of_trait]] > scores[rows, trait, 1 - poles[of_trait]]).astype(float)


def _auc_order(scored):
    """Extraversion above Conscientiousness, and that above each of the others."""
    _, labels, scores = scored
    odds = log_odds(scores)
    auc = {trait: _auc(*own_poles(labels, index), odds[:, index]) for index, trait in enumerate(TRAITS)}
    pairs = [("E", "C"), *(("C", trait) for trait in "OAN")]
    return [
        _claim(
            f"AUC of {TRAIT_NAMES[above]} is above {TRAIT_NAMES[below]}'s",
            None,
            auc[above][0] - auc[below][0],
            auc[above][1] + auc[below][1],
        )
        for above, below in pairs
    ]


def _auc(of_trait, poles, odds):
    """Return a head's AUC, that of figure 3, and DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988)."""
    from scipy.stats import rankdata  # a second, which only a run with scores takes

    high, low = (odds[of_trait & (poles == pole)] for pole in (1, 0))
    ranks = rankdata(np.concatenate([high, low]))
    of_high = (ranks[: len(high)] - rankdata(high)) / len(low)
    of_low = 1 - (ranks[len(high) :] - rankdata(low)) / len(high)
    return of_high.mean(), of_high.var() / len(high) + of_low.var() / len(low)


def _claim(words, paper, shown, variance):
    half = Z95 * np.sqrt(variance)
    return Claim(words, paper, *(float(100 * value) for value in (shown, shown - half, shown + half)))
