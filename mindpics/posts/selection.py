"""Selection of MindPics by the words of Table 1 (section 3.1): picks, groups, split."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

import numpy as np
import scipy  # whose parts are loaded when they are first asked for

from mindpics.posts.posts import is_told
from mindpics.traits import label_of, trait_of

PER_WORD = 1100  # "about 1,100 images were selected for each word"
TEST_FRACTION = 0.2


@dataclass(frozen=True)
class MindPic:
    """A picture with the one word slot it fills."""

    post: dict
    word: str
    trait: str
    pole: str
    group: int = -1
    split: str = ""

    @property
    def label(self):
        return label_of(self.trait, self.pole)


class Picker:
    """Gives each candidate one of its slots that has room, in a seeded order.

    The order and the choice depend on the seed and the ids only, not on the order of the manifest.

    Parameters
    ----------
    candidates : mindpics.posts.candidates.Candidates
        Their draws hold the seed.
    per_word, per_pole : int or None
        Pictures a word slot, and a pole of a trait, may take.

    Raises
    ------
    ValueError
        A cap below 1.
    """

    def __init__(self, candidates, per_word=PER_WORD, per_pole=None):
        if min(cap for cap in (per_word, per_pole, 1) if cap is not None) < 1:
            raise ValueError(f"found at most {per_word} a word, {per_pole} a pole; wanted 1 or more")
        self.candidates, self.per_word, self.per_pole = candidates, per_word, per_pole
        self.unpicked = np.argsort(candidates.draws, kind="stable").tolist()
        self.taken = Counter()

    def pick(self, words=None):
        """Return the next pictures, a list of MindPic; those left over found every slot of theirs full.

        Parameters
        ----------
        words : collection of (word, trait, pole), optional
            Only of these slots.
        """
        picked, unpicked = {}, []
        for index in self.unpicked:
            slots = self.candidates.slots[self.candidates.kinds[index]]
            free = [slot for slot in slots if (words is None or slot in words) and self._has_room(slot)]
            if not free:
                unpicked.append(index)
                continue
            slot = random.Random(self.candidates.draws[index].item()).choice(free)
            self.taken.update([slot, slot[1:]])  # the word's slot, and the pole of its trait
            picked[self.candidates.positions[index].item()] = slot
        self.unpicked = unpicked
        posts = self.candidates.posts(list(picked))
        return [MindPic(post, *slot) for post, slot in zip(posts, picked.values(), strict=True)]

    def give_back(self, mindpics):
        """Take pictures out that cannot be read; return their slots, which have room again."""
        slots = [(pic.word, pic.trait, pic.pole) for pic in mindpics]
        self.taken.subtract([each for slot in slots for each in (slot, slot[1:])])
        return set(slots)

    def _has_room(self, slot):
        full_word = self.per_word is not None and self.taken[slot] >= self.per_word
        full_pole = self.per_pole is not None and self.taken[slot[1:]] >= self.per_pole
        return not (full_word or full_pole)


def group(mindpics, keys, copies):
    """Join pictures that share a value of any key into groups.

    Parameters
    ----------
    mindpics : list of MindPic
    keys : list of str
        "copies", or a key of the posts such as "author". Posts without the key, or with an empty, unknown or
        anonymous author, do not join by it.
    copies : ndarray, int, [N]
        Near-copy group of each picture.

    Returns
    -------
    ndarray, int, [N]

    Raises
    ------
    ValueError
        No post has the key, or tells anything by it.
    """
    rows, columns, n_values = [], [], 0
    for key in keys:
        values = copies.tolist() if key == "copies" else [pic.post.get(key) for pic in mindpics]
        present = [i for i, value in enumerate(values) if is_told(value)]
        if mindpics and not present:
            keys_of_posts = sorted(mindpics[0].post)
            raise ValueError(f"found no post with the key {key!r} that tells anything; wanted one of {keys_of_posts}")
        values = [str(value).strip() for value in values]
        number = {value: n_values + i for i, value in enumerate(dict.fromkeys(values))}
        rows += present
        columns += [number[values[i]] for i in present]
        n_values += len(number)
    n = len(mindpics)  # a graph of pictures and values: its components are the groups
    links = scipy.sparse.coo_array(
        (np.ones(len(rows), bool), (rows, np.add(columns, n))), shape=(n + n_values, n + n_values)
    )
    return scipy.sparse.csgraph.connected_components(links, directed=False)[1][:n]


def check_keys(mindpics, keys):
    """Raise ValueError for a key that no post has: a group by it is not meant, even where it tells nothing of any."""
    for key in keys:
        if key != "copies" and not any(key in pic.post for pic in mindpics):
            raise ValueError(f"found no post with the key {key!r}; wanted one of {sorted(mindpics[0].post)}")


def telling(mindpics, keys):
    """Return those of the keys, as `group` takes them, by which a post tells anything."""
    return [key for key in keys if key == "copies" or any(is_told(pic.post.get(key)) for pic in mindpics)]


def check_groups(mindpics, keys):
    """Return the number of groups before a picture is read; ValueError where they allow no split: copies only join.

    Parameters
    ----------
    mindpics : list of MindPic
        As they are picked.
    keys : list of str
        As `group` takes them.

    Raises
    ------
    ValueError
        A pole stands in one group, or `group` raises.
    """
    named = [key for key in keys if key != "copies"]
    groups = group(mindpics, named, None).tolist()
    n_groups, groups_of = len(set(groups)), defaultdict(set)
    for pic, number in zip(mindpics, groups, strict=True):
        groups_of[pic.label].add(number)
    few = [label for label in range(10) if len(groups_of[label]) < 2]
    if few:
        raise ValueError(
            f"found {n_groups} groups by {', '.join(named) or 'picture'}: {_poles(few)} stand in fewer "
            "than two; wanted both sides: fewer keys to group by, more pictures a word, or a split by image"
        )
    return n_groups


def joined(mindpics, keys, groups):
    """Return (pictures, groups): of the group that near copies join of most groups by the other keys.

    Parameters
    ----------
    mindpics : list of MindPic
    keys : list of str
    groups : ndarray, int, [N]
        By all of `keys`.
    """
    before = group(mindpics, [key for key in keys if key != "copies"], None)
    of_group = defaultdict(set)
    for now, then in zip(groups.tolist(), before.tolist(), strict=True):
        of_group[now].add(then)
    largest = max(of_group, key=lambda number: len(of_group[number]))
    return int(np.sum(groups == largest)), len(of_group[largest])


def check_fraction(test_fraction):
    """Raise ValueError unless a share of test pictures lies between 0 and 1."""
    if not 0 < test_fraction < 1:
        raise ValueError(f"test fraction: found {test_fraction}; wanted one between 0 and 1")


def split(mindpics, groups, by_group=False, test_fraction=TEST_FRACTION, seed=0):
    """Split into train and test, each label in about the same share on both sides.

    Parameters
    ----------
    mindpics : list of MindPic
    groups : ndarray, int, [N]
    by_group : bool
        Keep each group on one side; the paper's "random split" is by image.
    test_fraction : float
        By group, the nearest 1/k is taken.

    Returns
    -------
    list of MindPic
        With "group" and "split" filled in.

    Raises
    ------
    ValueError
        A pole would be missing on one side; a fraction that is none.
    """
    check_fraction(test_fraction)
    labels = np.array([pic.label for pic in mindpics], int)
    few = [label for label in range(10) if np.sum(labels == label) < 2]
    if few:
        raise ValueError(f"found under 2 pictures of {_poles(few)}; wanted both poles of each trait on both sides")
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split  # takes a second

    index = np.arange(len(labels))
    if by_group:
        folds = StratifiedGroupKFold(max(2, round(1 / test_fraction)), shuffle=True, random_state=seed)
        test = next(folds.split(index, labels, groups))[1]
    else:
        test = train_test_split(index, test_size=test_fraction, stratify=labels, random_state=seed)[1]
    in_test = np.isin(index, test)
    missing = [label for label in range(10) if not 0 < in_test[labels == label].sum() < np.sum(labels == label)]
    if missing:
        raise ValueError(
            f"found too few groups: {_poles(missing)} would stand on one side of the split only; "
            "wanted both sides: try another seed, fewer keys to group by, or a split by image"
        )
    return [
        replace(pic, group=int(group), split="test" if test_ else "train")
        for pic, group, test_ in zip(mindpics, groups, in_test, strict=True)
    ]


def _poles(labels):
    return ", ".join(f"{pole} {trait}" for trait, pole in map(trait_of, labels))
