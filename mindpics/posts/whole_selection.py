"""Selection of MindPics whole: from a crawl to mindpics.csv, rejected.jsonl and summary.json."""

import os
import sys
from dataclasses import asdict, dataclass

import numpy as np

from mindpics.files import own_folder
from mindpics.files.json_files import write_json, write_objects
from mindpics.files.layout import MindpicsFiles
from mindpics.posts import crops, near_copies, selection, summary
from mindpics.posts.candidates import find_candidates
from mindpics.posts.first_look import look

FEW_GROUPS = 20  # a group may hold a twentieth of the pictures, a quarter of the test side


@dataclass(frozen=True)
class Choices:
    """What a selection leaves to its user; the defaults are the paper's (sections 3.1 and 4).

    Attributes
    ----------
    per_word, per_pole : int or None
        At most so many pictures of a word, of a pole.
    split : {"image", "group"}
    group_by : tuple of str
        "copies" (near copies) or keys of the posts, for ``split="group"`` and for the summary.
    test_fraction : float
    distance : int
        Bits of 256 in which near copies may differ.
    max_pixels : int
        Larger pictures are rejected.
    seed : int
    tags_only : bool
        A word counts as a tag or a hashtag alone, not in free text.
    """

    per_word: int | None = selection.PER_WORD
    per_pole: int | None = None
    split: str = "image"
    group_by: tuple = ("author", "copies")
    test_fraction: float = selection.TEST_FRACTION
    distance: int = near_copies.DISTANCE
    max_pixels: int = crops.MAX_PIXELS
    seed: int = 0
    tags_only: bool = False

    def __post_init__(self):
        """Raise ValueError before a picture is read."""
        selection.check_fraction(self.test_fraction)
        if not 0 <= self.distance < near_copies.BITS:
            raise ValueError(f"distance: found {self.distance}; wanted bits from 0 to {near_copies.BITS - 1}")


def select(posts, out, choices=None, workers=None, run_tasks=None):
    """Select MindPics; return the summary that is written (see `mindpics.posts.summary.summarise`).

    Parameters
    ----------
    posts : Path
        posts.jsonl (compressed or not) or posts.parquet, beside its pictures, or a folder of such Parquet files.
    out : Path
        Folder that gets mindpics.csv, rejected.jsonl and summary.json.
    choices : Choices, optional
    workers : int, optional
        Processes; default: one a core.
    run_tasks : callable, optional
        Searches near copies elsewhere, see `mindpics.posts.near_copies.group_copies`.

    Raises
    ------
    ValueError
        When `out` holds other things than a selection, no post carries a word, no picture of those can be read, or
        the manifest has a line that is no post; it is named.
    """
    choices = choices or Choices()
    own_folder.require(out, summary.SELECTION, adds=True)
    candidates = find_candidates(posts, choices.seed, workers, tags_only=choices.tags_only)
    picker = selection.Picker(candidates, choices.per_word, choices.per_pole)
    if not picker.unpicked:
        raise ValueError(f"{posts}: found no post that carries a word of Table 1; wanted some for each pole")
    picked = picker.pick()
    by_group = choices.split == "group"
    selection.check_keys(picked, choices.group_by)
    if by_group:
        _tell_few_groups(selection.check_groups(picked, choices.group_by), choices)
    mindpics, hashes, rejected = _pick_readable(picker, picked, candidates.root, workers, choices.max_pixels)
    copies = near_copies.group_copies(hashes, choices.distance, run_tasks)
    joined = ""
    keys = choices.group_by if by_group else selection.telling(mindpics, choices.group_by)
    try:
        groups = selection.group(mindpics, keys, copies)
        joined = "; ".join(filter(None, (_joined(mindpics, keys, groups), _silent(choices.group_by, keys))))
        mindpics = selection.split(mindpics, groups, by_group, choices.test_fraction, choices.seed)
    except ValueError as error:
        lost = rejected and f"{len(rejected)} pictures were rejected, {_first(rejected)}"
        told = "; ".join(note for note in (joined, lost) if note)
        raise ValueError(f"{error}{told and f' ({told})'}") from None
    facts = summary.summarise(mindpics, candidates, rejected, copies.tolist()) | {"joined": joined}
    files = MindpicsFiles(out)
    summary.write_csv(files.selection, mindpics)  # first: by it the folder is known as ours
    write_objects(files.rejected, [*rejected, *candidates.left_out])
    settings = {"posts": posts, "out": out, **asdict(choices), "group_by": list(choices.group_by), "workers": workers}
    arguments = {key: str(value) for key, value in settings.items()}
    write_json(files.summary, {"arguments": arguments, **facts})
    return facts


def _tell_few_groups(n_groups, choices):
    """Say before the pictures are read that a split by so few groups will be uneven."""
    if n_groups < FEW_GROUPS:
        keys = " and ".join(key for key in choices.group_by if key != "copies") or "picture"
        text = f"{n_groups} groups by {keys}, near copies left aside: the test side may be far from"
        print(f"{text} {choices.test_fraction:.0%} of the pictures", file=sys.stderr)


def _joined(mindpics, group_by, groups):
    """Return in words which groups near copies join, "" for none: reposts may make one group of many authors."""
    keys = [key for key in group_by if key != "copies"]
    if not keys or len(keys) == len(group_by):
        return ""
    n_pictures, n_joined = selection.joined(mindpics, group_by, groups)
    if n_joined < 2:
        return ""
    return f"near copies join {n_joined} groups by {' and '.join(keys)} into one of {n_pictures} pictures"


def _silent(group_by, keys):
    """Return in words which keys to group by join nothing, "" for none: the crawl has no authors, say."""
    silent = [key for key in group_by if key not in keys]
    return f"no post tells its {' or '.join(silent)}, by which none are joined" if silent else ""


def _first(rejected):
    return f"the first {rejected[0]['id']}: {rejected[0]['reason']}"


def _pick_readable(picker, picked, root, workers, max_pixels):
    """Read, and fill words up whose pictures cannot be read, from the same word while it has any; see `look`.

    A file that several posts name is a picture of the first that is picked: it would stand on both sides of the split.
    """
    mindpics, hashes, rejected, post_of = [], [], [], {}
    while picked:
        firsts = [pic for pic in picked if post_of.setdefault(_file(pic), pic.post["id"]) == pic.post["id"]]
        readable, picked_hashes, unreadable = look(firsts, root, workers, max_pixels)
        mindpics += readable
        hashes.append(picked_hashes)
        rejected += unreadable
        rejected += [
            pic.post | {"reason": summary.POSTED_AGAIN} for pic in picked if post_of[_file(pic)] != pic.post["id"]
        ]
        kept = {pic.post["id"] for pic in readable}
        words = picker.give_back([pic for pic in picked if pic.post["id"] not in kept])
        picked = picker.pick(words) if words else []
    if not mindpics:
        raise ValueError(f"{root}: found none of {len(rejected)} pictures readable ({_first(rejected)}); wanted one")
    return mindpics, np.concatenate(hashes), rejected


def _file(pic):
    return os.path.normpath(pic.post["image"])
