"""Selection of MindPics whole: from a crawl to mindpics.csv, rejected.jsonl and summary.json."""

from dataclasses import asdict, dataclass

import numpy as np

from mindpics.files import own_folder
from mindpics.files.json_files import write_json, write_objects
from mindpics.files.layout import MindpicsFiles
from mindpics.posts import crops, near_copies, selection, summary
from mindpics.posts.candidates import find_candidates
from mindpics.posts.first_look import look


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
    mindpics, hashes, rejected = _pick_readable(picker, candidates.root, workers, choices.max_pixels)
    copies = near_copies.group_copies(hashes, choices.distance, run_tasks)
    groups = selection.group(mindpics, choices.group_by, copies)
    by_group = choices.split == "group"
    mindpics = selection.split(mindpics, groups, by_group, choices.test_fraction, choices.seed)
    facts = summary.summarise(mindpics, candidates, rejected, copies.tolist())
    files = MindpicsFiles(out)
    summary.write_csv(files.selection, mindpics)  # first: by it the folder is known as ours
    write_objects(files.rejected, [*rejected, *candidates.left_out])
    settings = {"posts": posts, "out": out, **asdict(choices), "group_by": list(choices.group_by), "workers": workers}
    arguments = {key: str(value) for key, value in settings.items()}
    write_json(files.summary, {"arguments": arguments, **facts})
    return facts


def _pick_readable(picker, root, workers, max_pixels):
    """Pick, read, and fill words up whose pictures cannot be read, from the same word while it has any; see `look`."""
    mindpics, hashes, rejected, words = [], [], [], None
    while words is None or words:
        picked = picker.pick(words)
        readable, picked_hashes, unreadable = look(picked, root, workers, max_pixels)
        mindpics += readable
        hashes.append(picked_hashes)
        rejected += unreadable
        lost = {post["id"] for post in unreadable}
        words = picker.give_back([pic for pic in picked if pic.post["id"] in lost])
    if not mindpics:
        first = rejected[0]
        reason = f"{first['id']}: {first['reason']}"
        raise ValueError(f"{root}: found none of {len(rejected)} pictures readable ({reason}); wanted one")
    return mindpics, np.concatenate(hashes), rejected
