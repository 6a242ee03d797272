"""Pins: reading, bad lines."""

import json

import pytest

from pinterest_id.records import Pin, count_reasons, read_pins, write_pins
from pinterest_id.verify import check_split

GOOD = {"id": "a1", "user": "ann", "board": None, "image": "a/1.jpg", "text": "a cake"}


def write(tmp_path, *records):
    path = tmp_path / "pins.jsonl"
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records), encoding="utf-8")
    return path


def test_reads_back_what_it_wrote_unknown_keys_too(tmp_path):
    pins = [Pin("1", "ann", "food", "1.jpg", "käse", {"likes": 3}), Pin("2", "bob", None, "2.jpg", "x y")]
    write_pins(tmp_path / "pins.jsonl", pins)
    read, rejected = read_pins(tmp_path / "pins.jsonl")
    assert read == pins and read[0].extra == {"likes": 3} and not rejected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r"pins.jsonl, line 2: found .*wanted a JSON object"),
        ('["a"]', r"line 2: found a list; wanted a JSON object"),
        ({k: v for k, v in GOOD.items() if k != "user"}, r"line 2: found no key user; wanted id, user"),
        (GOOD | {"user": 7}, r"line 2: found the user 7; wanted a string"),
        (GOOD | {"id": "b", "user": " "}, r"line 2: found the user .*; wanted one printable and not empty"),
        (GOOD, r"line 2: found the id 'a1' of .*line 1; wanted ids that differ"),
        (GOOD | {"id": "b\nc"}, r"line 2: found id 'b\\nc'"),
        (GOOD | {"id": "b", "image": "../secret.jpg"}, r"line 2: found image '../secret.jpg'"),
        (GOOD | {"id": "b", "image": "/etc/passwd"}, r"line 2: found image '/etc/passwd'"),
    ],
)
def test_a_bad_line_is_named_with_what_was_found_and_wanted(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read_pins(write(tmp_path, GOOD, line))


def test_blanks_around_a_users_name_are_none_of_the_name(tmp_path):
    records = [GOOD | {"id": str(i), "user": user} for i, user in enumerate(["ann", "ann ", " ann", "a nn"])]
    pins, _ = read_pins(write(tmp_path, *records))
    assert [pin.user for pin in pins] == ["ann", "ann", "ann", "a nn"]
    rows = [(line, {"id": str(line), "user": f"{pin.user} ", "split": "train"}) for line, pin in enumerate(pins)]
    assert "split-owner" not in {finding.check for finding in check_split("split.csv", rows, pins, {})}


def test_pins_without_image_or_text_are_rejected_and_counted(tmp_path):
    path = write(
        tmp_path,
        GOOD,
        GOOD | {"id": "b", "image": None},
        GOOD | {"id": "c", "text": "  "},
        GOOD | {"id": "d", "image": ""},
    )
    pins, rejected = read_pins(path)
    assert [pin.id for pin in pins] == ["a1"]
    assert count_reasons(rejected) == {"no image": 2, "no text": 1}
    assert "line 3" in next(item for item in rejected if item.id == "c").where
    assert [pin.id for pin in read_pins(path, keep_empty_text=True)[0]] == ["a1", "c"]
