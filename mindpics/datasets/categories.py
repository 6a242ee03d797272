"""Classes of Open Clip Art by subject: the stand-in for ImageNet in pretraining.

A picture's category is the folder it is filed under (animals/birds), one only.
Folders with few pictures go to the one above. Keywords would give several
labels a picture and mean less: the commonest are "hash" and "theme".
"""

import random
from collections import Counter, defaultdict
from pathlib import PurePosixPath

from mindpics.files.tables import write_table

MIN_PER_CATEGORY = 20
PER_CATEGORY = 300  # else four in ten would be computed stars and desktop icons
DEPTH = 2  # deeper folders tell icon themes and continents' flags apart, no subjects
TEST_FRACTION = 0.1
NO_SUBJECT = ("unsorted", "special", "logos")  # folders that say nothing of what a picture shows
COLUMNS = ("id", "image", "label", "category", "split")


def categorise(folders, min_per_category=MIN_PER_CATEGORY, depth=DEPTH):
    """Return the category of each folder in `folders`, or None.

    Folders below `depth` count as the one above at that depth. A folder with
    fewer than `min_per_category` pictures joins the folder above; one at the top
    that is still too small has no category.

    Parameters
    ----------
    folders : list of str, one a picture
        "animals/birds/penguin".

    Returns
    -------
    list of str or None
    """
    parts = [PurePosixPath(folder).parts[:depth] for folder in folders]
    categories = [p if p and p[0] not in NO_SUBJECT else () for p in parts]
    for level in range(depth, 0, -1):
        counts = Counter(categories)
        categories = [c[:-1] if len(c) == level and counts[c] < min_per_category else c for c in categories]
    return ["/".join(c) or None for c in categories]


def label_pictures(
    posts,
    min_per_category=MIN_PER_CATEGORY,
    per_category=PER_CATEGORY,
    depth=DEPTH,
    test_fraction=TEST_FRACTION,
    seed=0,
):
    """Label posts for pretraining.

    Parameters
    ----------
    posts : iterable of dict
        With the key "folder", as Open Clip Art's have.
    min_per_category, depth : int
        See `categorise`; 2 pictures or more, one to learn from and one to test.
    per_category : int or None
        Pictures a category may keep, 2 or more, drawn by `seed`.

    Returns
    -------
    rows : list of dict
        id, image, label (0..K-1, categories in alphabetical order), category, split.
    left_out : Counter
        Pictures without a category, and beyond the cap.

    Raises
    ------
    ValueError
        A post has no "folder", fewer than two categories are left, or one could not be learned and tested.
    """
    for name, pictures in (("min_per_category", min_per_category), ("per_category", per_category)):
        if pictures is not None and pictures < 2:
            raise ValueError(f"{name}: found {pictures}; wanted 2 or more, one to learn from and one to test")
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction: found {test_fraction}; wanted a share between 0 and 1")
    posts = list(posts)
    for post in posts:
        if not isinstance(post.get("folder"), str) or not post["folder"]:
            raise ValueError(f"post {post['id']!r}: found no 'folder' in {sorted(post)}; wanted one")
    categories = categorise([post["folder"] for post in posts], min_per_category, depth)
    members = defaultdict(list)
    for post, category in zip(posts, categories, strict=True):
        members[category].append(post)
    left_out = Counter({"no category": len(members.pop(None, []))})
    if len(members) < 2:
        raise ValueError(f"found {len(members)} categories of {min_per_category} pictures; wanted 2 or more")
    rows = []
    for label, category in enumerate(sorted(members)):
        chosen = sorted(members[category], key=lambda post: post["id"])
        random.Random(f"{seed} {category}").shuffle(chosen)
        left_out["beyond the cap"] += len(chosen[per_category:])
        chosen = chosen[:per_category]
        n_test = min(max(1, round(test_fraction * len(chosen))), len(chosen) - 1)
        for i, post in enumerate(chosen):
            split = "test" if i < n_test else "train"
            rows.append(dict(zip(COLUMNS, (post["id"], post["image"], label, category, split), strict=True)))
    return rows, left_out


def write_categories(path, rows):
    """Write the rows as CSV: id, image, label, category, split."""
    write_table(path, COLUMNS, rows)
