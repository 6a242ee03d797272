"""Sizes of a job: how many pictures its crawl gives, and how long a training takes with them on its machine."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mindpics.nets.rows import paper_counts
from mindpics.nets.scales import PAPER
from mindpics.posts.candidates import find_candidates
from mindpics.posts.parquet_crawl import parquet_files
from mindpics.posts.picture_files import pictures_state
from mindpics.posts.posts import picture_root
from mindpics.posts.selection import TEST_FRACTION, Picker
from mindpics.traits import TRAITS

# Training pictures for which the scales' seconds hold: the paper's, and those of the emoji stand-in.
MEASURED = {PAPER.name: sum(paper_counts()["train"].values()), "mini": 1489, "tiny": 64}
# The paper's scale has seconds of one GPU; a step on two cores (tools/benchmark caffe) takes so many times as long.
ON_CPU = {"alexnet": 49, "resnet50": 30}


@dataclass(frozen=True)
class Sizes:
    """Pictures of each trait in each split: of the crawl, before any turns out unreadable, or the most there may be.

    Attributes
    ----------
    counts : dict
        {"train": {"O": n, ...}, "test": ...}
    known : bool
        Of the job's own crawl.
    state : str
        Of the crawl's pictures that a selection tries first: it is another when they are restored or replaced.
    """

    counts: dict
    known: bool
    state: str = ""

    def pictures(self, split, traits=TRAITS):
        """Return how many pictures of some traits a split has."""
        return sum(self.counts[split][trait] for trait in traits)


def sizes_of(job):
    """Return the `Sizes` of a `mindpics.job.Job`; a crawl that is there is scanned, once a process."""
    setting = job.setting
    if job.posts and Path(job.posts).exists():
        crawl = Path(job.posts)
        changed = pictures_state(parquet_files(crawl))
        return _picked(job.posts, changed, job.seed, setting.per_word, setting.per_pole, job.tags_only)
    if setting.per_pole is None:
        return Sizes(paper_counts(), False)
    whole = setting.per_pole * 2
    test = round(whole * TEST_FRACTION)
    return Sizes({"train": dict.fromkeys(TRAITS, whole - test), "test": dict.fromkeys(TRAITS, test)}, False)


def iterations(job, model):
    """Return the updates of a training of a `mindpics.nets.rows.Model`."""
    recipe = job.setting.recipe(model.net, model.heads, model.init)
    return max(1, math.ceil(recipe.schedule.epochs * sizes_of(job).pictures("train", model.traits) / recipe.batch))


def training_seconds(job, model):
    """Return roughly what a training takes on the job's machine: a GPU, or two cores."""
    sizes, recipe = sizes_of(job), job.setting.recipe(model.net, model.heads, model.init)
    share = sizes.pictures("train", model.traits) / MEASURED[job.setting.name] if sizes.known else model.share
    return recipe.seconds * share * machine_times(job, model.net)


def machine_times(job, net):
    """Return how many times a scale's seconds a net takes on the job's machine."""
    return ON_CPU[net] if job.setting.name == PAPER.name and job.gpu is None else 1


@cache
def _picked(posts, changed, seed, per_word, per_pole, tags_only):
    picked = Picker(find_candidates(Path(posts), seed, tags_only=tags_only), per_word, per_pole).pick()
    counts = Counter(pic.trait for pic in picked)
    test = {trait: round(counts[trait] * TEST_FRACTION) for trait in TRAITS}
    state = pictures_state(picture_root(posts) / pic.post["image"] for pic in picked)
    return Sizes({"train": {trait: counts[trait] - test[trait] for trait in TRAITS}, "test": test}, True, state)
