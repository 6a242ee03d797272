"""Pins: one JSON object a line with id, user, board, image and text.

A pin is a picture and a short text that a user saved on a board (paper, section 3).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from mindpics.files.atomic import atomic_write
from mindpics.files.json_files import read_objects, shown
from mindpics.posts.posts import check_id, picture_path

KEYS = ("id", "user", "board", "image", "text")


@dataclass(frozen=True)
class Pin:
    """One pin; `image` is relative to the pins file, `board` may be None, `extra` holds unknown keys."""

    id: str
    user: str
    board: str | None
    image: str
    text: str
    extra: dict = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Rejection:
    """A pin that cannot take part: its id, where it stood, why."""

    id: str
    where: str
    reason: str


def read_pins(path, keep_empty_text=False, keep_no_image=False):
    """Read pins.jsonl.

    Parameters
    ----------
    path : str or Path
    keep_empty_text : bool
        Keep pins without text (the paper has none: "all the pins contain an image and a text").
    keep_no_image : bool
        Keep pins that name no picture, whose features are ready-made.

    Returns
    -------
    pins : list of Pin
    rejected : list of Rejection
        Pins without an image or a text, or with half a surrogate pair; together with `pins` they are all the lines.

    Raises
    ------
    ValueError
        On a line that is no JSON object, lacks a key, or holds the wrong type; on an id seen
        before; on an image path that leaves the file's folder. It names the file and the line.
    """
    path, left_out = Path(path), []
    records = read_objects(path, "pins, one JSON object a line", left_out=left_out)
    pins, rejected = check_records(records, path.parent, keep_empty_text, keep_no_image)
    halves = [Rejection(str(half.record.get("id")), half.where, half.reason) for half in left_out]
    return pins, [*rejected, *halves]


def check_records(records, root, keep_empty_text=False, keep_no_image=False):
    """Turn ``(where, dict)`` pairs into pins and rejections; images are relative to `root`.

    Raises as `read_pins` does.

    Parameters
    ----------
    records : iterable of (str, dict)
        Where each stands, and its keys.
    root : path
    keep_empty_text, keep_no_image : bool
        Pins that are rejected by default.

    Returns
    -------
    pins : list of Pin
    rejected : list of Rejection

    Raises
    ------
    ValueError
        As `read_pins`.
    """
    pins, rejected, where_of = [], [], {}
    for where, record in records:
        _check_keys(record, where)
        if record["id"] in where_of:
            raise ValueError(
                f"{where}: found the id {record['id']!r} of {where_of[record['id']]}; wanted ids that differ"
            )
        where_of[record["id"]] = where
        reason = _reason(record, keep_empty_text, keep_no_image)
        if reason:
            rejected.append(Rejection(record["id"], where, reason))
            continue
        if record["image"]:
            picture_path(root, record["image"], where)
        pins.append(_pin(record))
    return pins, rejected


def write_pins(path, pins):
    """Write pins as pins.jsonl, whole or not at all."""
    with atomic_write(path) as stream:
        for pin in pins:
            record = {key: getattr(pin, key) for key in KEYS} | pin.extra
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_rejections(path, rejected):
    """Write rejections as JSON lines (id, where, reason)."""
    with atomic_write(path) as stream:
        for item in rejected:
            stream.write(json.dumps(vars(item), ensure_ascii=False) + "\n")


def count_reasons(rejected):
    """Return {reason: count}, the most frequent first."""
    reasons = [item.reason for item in rejected]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons), key=reasons.count, reverse=True)}


def _check_keys(record, where):
    missing = [key for key in KEYS if key not in record]
    if missing:
        raise ValueError(f"{where}: found no key {', '.join(missing)}; wanted {', '.join(KEYS)}")
    for key in KEYS:
        value = record[key]
        if not isinstance(value, str) and not (value is None and key in ("board", "image", "text")):
            raise ValueError(f"{where}: found the {key} {shown(value)}; wanted a string")
    check_id(record["id"], where)
    if not record["user"].strip() or not record["user"].isprintable():
        raise ValueError(f"{where}: found the user {shown(record['user'])}; wanted one printable and not empty")


def _reason(record, keep_empty_text, keep_no_image):
    if not keep_no_image and not (record["image"] or "").strip():
        return "no image"
    if not keep_empty_text and not (record["text"] or "").strip():
        return "no text"
    return None


def _pin(record):
    extra = {key: value for key, value in record.items() if key not in KEYS}
    user = record["user"].strip()  # blanks around a name are none of it
    return Pin(record["id"], user, record["board"], record["image"] or "", record["text"] or "", extra)
