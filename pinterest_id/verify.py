"""Verification of pins, split, features and scores, against each other and against the paper."""

import os
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from mindpics.files.feature_files import IDS
from mindpics.files.findings import Finding, guarded
from mindpics.files.json_files import read_json
from mindpics.files.tables import numbered_rows
from pinterest_id.feature_files import FeatureFile
from pinterest_id.layout import PINS, ExperimentFiles
from pinterest_id.matrix_files import ENDINGS
from pinterest_id.pictures import digests, shared_of
from pinterest_id.published import published
from pinterest_id.records import read_pins
from pinterest_id.scores import load_scores
from pinterest_id.splits import PAPER_COUNTS, PARTS, UNUSED
from pinterest_id.words import word_statistics


def verify(folder, pictures=True):
    """Check the pins and the experiments on pins that lie in a folder or below.

    Parameters
    ----------
    folder : str or Path
    pictures : bool
        Also read each picture's bytes: the same one under several users, or on both sides of a split.

    Returns
    -------
    list of Finding
        See `mindpics.results.verify.verify`.
    """
    findings, runs = [], []
    for path, folders, files in os.walk(folder):
        place = Path(path)
        folders[:] = sorted(name for name in folders if _may_hold_pins(place / name))
        pins = None
        if PINS in files:
            pins, read_findings = _read(place / PINS)
            findings += read_findings
        if pins:
            findings += guarded("pins", check_pins(pins, place / PINS), place / PINS)
            findings += guarded("features", check_features(pins, place), place)
        if pins and pictures:
            findings += guarded("pin-pictures", check_pictures(pins, place), place / PINS)
        if {ExperimentFiles.split, ExperimentFiles.facts} <= set(files):
            runs.append(place)
    told = {Path(finding.file).resolve() for finding in findings if finding.check == "pins"}
    for place in runs:
        findings += guarded("run", check_experiment(place, pictures, told), ExperimentFiles(place).facts)
    return findings


def _may_hold_pins(folder):
    """Pictures by the thousand are passed over, unless pins.jsonl lies among them as make_pins folder writes it."""
    return (folder.name != "images" or (folder / PINS).is_file()) and not folder.name.endswith("_lmdb")


def _read(path, options=None):
    """Return the pins that take part by a run's options, by default those with image and text, and the findings."""
    keep = [bool((options or {}).get(name)) for name in ("keep_empty_text", "keep_no_image")]
    try:
        pins, rejected = read_pins(path, *keep)
    except (ValueError, OSError) as error:
        return None, [Finding("error", "pins", str(error), str(path))]
    if not pins and not rejected:
        return pins, [Finding("error", "pins", "no pin in it", str(path))]
    return pins, [Finding("ok", "pins", f"{len(pins)} pins, {len(rejected)} without image or text", str(path))]


def check_pins(pins, path):
    """Yield the paper's counts beside ours: pins, users, boards, words."""
    paper = published()["dataset"]
    per_user = Counter(pin.user for pin in pins)
    boards = defaultdict(set)
    for pin in pins:
        boards[pin.user].add(pin.board)
    words, paper_words = word_statistics([pin.text for pin in pins]), paper["words_per_pin"]
    rows = [
        ("pins", len(pins), paper["pins"], 0),
        ("users", len(per_user), paper["users"], 0),
        ("median pins a user", float(np.median(list(per_user.values()))), paper["pins_per_user"], 0),
        (
            "median boards a user",
            float(np.median([len(b - {None}) for b in boards.values()])),
            paper["boards_per_user"],
            0,
        ),
        *((f"words a pin, {name}", words[name], paper_words[name], 0.05) for name in ("min", "max", "median", "mean")),
        ("pins of one word, %", words["one_word_pins_pct"], paper["one_word_pins_pct"], 0.05),
    ]
    for row in rows:
        yield _compare(path, *row)


def _compare(path, quantity, value, published_value, tolerance=0):
    agrees = abs(value - published_value) <= tolerance * published_value
    text = f"{quantity}: {value:,.6g}" + ("" if agrees else f"; the paper: {published_value:,}")
    return Finding("ok" if agrees else "differs", "paper-counts", text, str(path))


def check_features(pins, folder):
    """Yield what is wrong with the NAME.npy and NAME.ids.txt beside the pins."""
    for ids in sorted(folder.glob(f"*{IDS}")):
        try:
            features = FeatureFile(_beside(ids))
            matched, _ = features.match(pins)
            for start in range(0, len(matched), 4096):
                features.matrix([pin.id for pin in matched[start : start + 4096]])
        except (ValueError, OSError) as error:
            yield Finding("error", "features", str(error), str(ids))
            continue
        yield Finding("ok", "features", f"{len(features.ids)} x {features.array.shape[1]}", str(ids))


def _beside(ids):
    """Return the matrix whose ids these are: NAME, for NAME.npy, unless another kind of file is there."""
    name = str(ids).removesuffix(IDS)
    return next((f"{name}{ending}" for ending in ENDINGS if Path(f"{name}{ending}").is_file()), name)


def check_experiment(folder, pictures=True, told=()):
    """Yield contradictions of an experiment's folder: split, dictionary, scores, run.json, and its pins.

    These are those that run.json names, relative to the working directory, where they are still there.

    Parameters
    ----------
    folder : Path
    pictures : bool
    told : collection of Path
        Resolved: files of pins whose faults have been told.
    """
    files = ExperimentFiles(folder)
    try:
        facts = read_json(files.facts)
    except ValueError as error:
        yield Finding("error", "run", str(error), str(files.facts))
        return
    named = Path(facts.get("inputs", {}).get("pins", ""))
    pins, of_pins = _read_named(named, facts.get("options"), files.facts)
    yield from (finding for finding in of_pins if finding.severity != "ok" and named.resolve() not in told)
    yield from guarded("dictionary", _dictionary(files.dictionary, facts), files.dictionary)
    try:
        rows = list(numbered_rows(files.split, ("id", "user", "split")))
    except ValueError as error:
        yield Finding("error", "split", str(error), str(files.split))
        tested = None
    else:
        yield from guarded("split", check_split(files.split, rows, pins or [], facts), files.split)
        if pins and pictures:
            yield from guarded("pin-pictures", check_leak(files.split, rows, pins, named.parent), files.split)
        tested = sorted(id_ for id_, part in _parts(rows).items() if part == "test")
    for path in sorted(files.scores.glob("*.npz")):
        yield from guarded("pin-scores", _scores(path, tested), path)


def _read_named(named, options, facts_path):
    """Return the pins that a run.json names and the findings, of which a note says where they are not there."""
    if named.is_file():
        return _read(named, options)
    text = f"its pins, {str(named)!r}, are not there as seen from here: nothing is held against them"
    return None, [Finding("note", "pins", text, str(facts_path))]


def _dictionary(path, facts):
    words = facts.get("dictionary", {}).get("train and validation")
    if words is None:
        return
    lines = sum(1 for _ in numbered_rows(path)) if path.is_file() else 0
    if lines != words:
        yield Finding("error", "dictionary", f"{lines} words; run.json says {words}", str(path))
    yield _compare(path, "words in the dictionary", words, published()["dataset"]["dictionary_words"])


def _parts(rows):
    """Return {id: part} of the rows of a split.csv."""
    return {row["id"]: row["split"] for _, row in rows}


def check_split(path, rows, pins, facts):
    """Yield contradictions of split.csv: ids twice or unknown, users, parts, counts.

    Parameters
    ----------
    path : Path
    rows : list of (line, dict)
        What stands in it.
    pins : list of Pin
        [] where they are not there.
    facts : dict
        Of run.json.
    """
    users = {pin.id: pin.user for pin in pins}
    ids = set()
    for line, row in rows:
        problem = _row_problem(row, ids, users)
        if problem:
            yield Finding("error", problem[0], problem[1], str(path), line)
        ids.add(row["id"])
    parts = Counter(row["split"] for _, row in rows)
    for part, count in facts.get("parts", {}).items():
        if parts[part] != count:
            yield Finding("error", "split-count", f"{parts[part]} pins of {part}; run.json says {count}", str(path))
    per_user = Counter((row["user"].strip(), row["split"]) for _, row in rows)
    kept = {user for user, part in per_user if part != UNUSED}
    demanded = PARTS[:1] if facts.get("options", {}).get("split_file") else PARTS  # as `parts_of_file` has it
    for part, paper_count in zip(PARTS, PAPER_COUNTS, strict=True):
        missing = sorted(user for user in kept if part in demanded and not per_user[user, part])
        if missing:
            yield Finding("error", "split-user", f"user {missing[0]!r} has no pin of {part}", str(path))
        median = float(np.median([per_user[user, part] for user in kept] or [0]))
        yield _compare(path, f"median {part} pins a user", median, paper_count)


def _row_problem(row, ids, users):
    if row["id"] in ids:
        return "split-twice", f"pin {row['id']!r} twice"
    if row["split"] not in (*PARTS, UNUSED):
        return "split-part", f"pin {row['id']!r}: split {row['split']!r} is none of {', '.join(PARTS)}"
    if users and row["id"] not in users:
        return "split-id", f"pin {row['id']!r} is not among the pins"
    if users and row["user"].strip() != users[row["id"]]:
        return "split-owner", f"pin {row['id']!r} is of {users[row['id']]!r}, not of {row['user']!r}"
    return None


def _scores(path, tested):
    """Check scores; `tested` are the ids of the test pins, None where split.csv cannot be read."""
    try:
        scores = load_scores(path)
    except Exception as error:  # whatever a broken archive leads numpy to
        yield Finding("error", "pin-scores", f"cannot be read: {error}", str(path))
        return
    if tested is not None and sorted(map(str, scores.ids)) != tested:
        text = f"{len(scores.ids)} pins that are not the {len(tested)} test pins of split.csv"
        yield Finding("error", "pin-scores", text, str(path))
    elif np.isnan(scores.logs).any():
        yield Finding("error", "pin-scores", "NaN among the scores", str(path))
    else:
        yield Finding("ok", "pin-scores", f"{len(scores.ids)} test pins, {len(scores.users)} users", str(path))


def check_pictures(pins, folder):
    """Yield the share of pictures that several users have, byte by byte (the paper: 4.2%)."""
    path = folder / PINS
    by_digest, missing = digests(pins, folder)
    if missing:
        text = f"{len(missing)} pictures are not there, the first of pin {missing[0]!r}"
        yield Finding("error", "pin-pictures", text, str(path))
        return
    share = published()["dataset"]["images_shared_by_two_or_more_users_pct"]
    yield _compare(path, "pictures of two or more users, %", shared_of(by_digest), share, 0.05)


def check_leak(path, rows, pins, folder):
    """Yield pictures that one user has on both sides of a split.csv: the same bytes learned and tested.

    Parameters
    ----------
    path, rows, pins
        As `check_split` has them.
    folder : Path
        What image paths are relative to.
    """
    parts = _parts(rows)
    leaked = [same for same in digests(pins, folder)[0].values() if _leaks(same, parts)]
    if leaked:
        text = f"{len(leaked)} pictures of one user are in test and in what is learned, first pin {leaked[0][0].id!r}"
        yield Finding("warning", "pin-leak", text, str(path))


def _leaks(pins, parts):
    sides = defaultdict(set)
    for pin in pins:
        sides[pin.user].add(parts.get(pin.id))
    return any("test" in side and side & {"train", "validation"} for side in sides.values())
