"""Training, validation and test pins: the same number, or the same share, of every user's pins.

Paper, section 4: 400, 100 and 100 of each user's 600 pins, at random.
"""

from pathlib import Path

import numpy as np

from mindpics.files.tables import read_table, write_table

PARTS = ("train", "validation", "test")
PAPER_COUNTS = (400, 100, 100)
PAPER_SHARES = (4 / 6, 1 / 6, 1 / 6)
UNUSED = ""
COLUMNS = ("id", "user", "split")


def split_users(users, sizes=PAPER_COUNTS, seed=0, drop_small=False, lacking=0):
    """Split each user's pins at random.

    Parameters
    ----------
    users : sequence of str, length N
        The user of each pin.
    sizes : three int or three float
        Pins a user for training, validation and test; or their shares, which sum to 1.
    seed : int
    drop_small : bool
        Leave users with too few pins out, in place of an error.
    lacking : int
        How many pins a user may lack of the counts: validation and test are whole, training has so many fewer.

    Returns
    -------
    parts : str array, shape [N]
        "train", "validation", "test", or "" for pins over the counts and of users left out.
    dropped : list of (user, pins)

    Raises
    ------
    ValueError
        When users have too few pins (it names them), or only one user is left.
    """
    users = np.asarray(users, dtype=str)
    sizes = _check_sizes(sizes)
    if lacking and not (isinstance(sizes[0], int) and 0 <= lacking < sizes[0]):
        raise ValueError(f"found {lacking} pins that a user may lack; wanted fewer than the training pins, with counts")
    names, codes, counts = np.unique(users, return_inverse=True, return_counts=True)
    least = _least(sizes, lacking)
    small = [(str(name), int(count)) for name, count in zip(names, counts, strict=True) if count < least]
    if small and not drop_small:
        raise ValueError(_small_text(small, least))
    parts = np.full(len(users), UNUSED, dtype="U10")
    kept = np.flatnonzero(counts >= least)
    if len(kept) < 2:
        raise ValueError(f"pins: found {len(kept)} of {len(names)} users with {least} pins or more; wanted two or more")
    rng = np.random.default_rng(seed)
    for code in kept:
        mine = rng.permutation(np.flatnonzero(codes == code))
        for part, rows in zip(PARTS, np.split(mine, np.cumsum(_counts(len(mine), sizes))), strict=False):
            parts[rows] = part
    return parts, small


def write_split(path, pins, parts):
    """Write split.csv: id, user, split.

    Parameters
    ----------
    path : path
    pins : list of Pin [N]
    parts : sequence of str [N]
        Of PARTS, or UNUSED.
    """
    write_table(path, COLUMNS, ([pin.id, pin.user, part] for pin, part in zip(pins, parts, strict=True)))


def is_as_written(path):
    """Say whether a split.csv has the columns of `write_split`, no other and in their order."""
    return Path(path).read_text(encoding="utf-8").partition("\n")[0] == ",".join(COLUMNS)


def read_split(path):
    """Return {id: part} of split.csv, part "" for pins over the counts; ValueError when it is none."""
    parts = {}
    for where, row in read_table(path, ("id", "split")):
        if row["split"] not in (*PARTS, UNUSED) or row["id"] in parts:
            form = f"ids that differ, and a split of {', '.join(PARTS)} or none"
            raise ValueError(f"{where}: found id {row['id']!r}, split {row['split']!r}; wanted {form}")
        parts[row["id"]] = row["split"]
    return parts


def parts_of_file(path, ids, users, known):
    """Return the part of each pin by a table of ids and parts; pins that it does not name are unused.

    Parameters
    ----------
    path : path
        A CSV with id and split.
    ids, users : sequence of str, length N
    known : set of str
        Ids that the table may name: those of `ids`, and of pins that were rejected.

    Raises
    ------
    ValueError
        When it names an id that is no pin's, leaves a part empty, or a user without training pins.
    """
    split = read_split(path)
    if strangers := sorted(set(split) - set(known)):
        raise ValueError(
            f"{path}: found id {strangers[0]!r} and {len(strangers) - 1} more that no pin has; wanted ids of the pins"
        )
    parts = np.array([split.get(id_, UNUSED) for id_ in ids], dtype="U10")
    if empty := [part for part in PARTS if part not in parts]:
        raise ValueError(f"{path}: found no pin of {', '.join(empty)}; wanted some of each of {', '.join(PARTS)}")
    learned = {user for user, part in zip(users, parts, strict=True) if part == PARTS[0]}
    kept = {user for user, part in zip(users, parts, strict=True) if part != UNUSED}
    if untaught := sorted(kept - learned):
        raise ValueError(f"{path}: found no training pin of user {untaught[0]!r}; wanted one of every user")
    if len(learned) < 2:
        raise ValueError(f"{path}: found one user, {learned.pop()!r}; wanted two or more")
    return parts


def _check_sizes(sizes):
    if len(sizes) != 3 or min(sizes) <= 0:
        raise ValueError(f"sizes: found {tuple(sizes)}; wanted three positive numbers (train, validation, test)")
    if all(float(size).is_integer() for size in sizes):
        return tuple(int(size) for size in sizes)
    if not np.isclose(sum(sizes), 1):
        raise ValueError(
            f"sizes: found {tuple(sizes)}, which sum to {sum(sizes):g}; wanted shares that sum to 1, or whole numbers"
        )
    return tuple(float(size) for size in sizes)


def _counts(n, sizes):
    """Return how many of n pins, three at least, go to each part, one at least; shares leave none unused."""
    if isinstance(sizes[0], int):
        return min(sizes[0], n - sizes[1] - sizes[2]), *sizes[1:]
    validation, test = (max(1, round(n * share)) for share in sizes[1:])
    while validation + test >= n:  # rounded up: the larger gives one to training
        validation, test = (validation - 1, test) if validation > test else (validation, test - 1)
    return n - validation - test, validation, test


def _least(sizes, lacking):
    return sum(sizes) - lacking if isinstance(sizes[0], int) else 3


def _small_text(small, least):
    named = ", ".join(f"{name} ({count})" for name, count in small[:20])
    rest = f" and {len(small) - 20} more" if len(small) > 20 else ""
    ways = "drop them (--drop-small-users), let them lack some (--lacking) or ask for smaller parts"
    return f"{len(small)} users have fewer than {least} pins: {named}{rest}; {ways}"
