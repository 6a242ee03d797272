"""Pins: reading, bad lines, other layouts."""

import json

import pytest

from pinterest_id.layouts import pins_from_posts, read_pins_csv, read_pins_folder
from pinterest_id.records import Pin, count_reasons, read_pins, write_pins

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
        ({k: v for k, v in GOOD.items() if k != "user"}, r"line 2: key user is missing; a pin has id, user"),
        (GOOD | {"user": 7}, r"line 2: user must be a string, found 7"),
        (GOOD | {"id": "b", "user": " "}, r"line 2: user must be printable and not empty"),
        (GOOD, r"line 2: id 'a1' was already at .*line 1; ids must differ"),
        (GOOD | {"id": "b\nc"}, r"line 2: id 'b\\nc'"),
        (GOOD | {"id": "b", "image": "../secret.jpg"}, r"line 2: image '../secret.jpg'"),
        (GOOD | {"id": "b", "image": "/etc/passwd"}, r"line 2: image '/etc/passwd'"),
    ],
)
def test_a_bad_line_is_named_with_what_was_found_and_wanted(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read_pins(write(tmp_path, GOOD, line))


def test_pins_without_image_or_text_are_rejected_and_counted(tmp_path):
    path = write(tmp_path, GOOD, GOOD | {"id": "b", "image": None}, GOOD | {"id": "c", "text": "  "},
                 GOOD | {"id": "d", "image": ""})  # fmt: skip
    pins, rejected = read_pins(path)
    assert [pin.id for pin in pins] == ["a1"]
    assert count_reasons(rejected) == {"no image": 2, "no text": 1}
    assert "line 3" in next(item for item in rejected if item.id == "c").where
    assert [pin.id for pin in read_pins(path, keep_empty_text=True)[0]] == ["a1", "c"]


def test_a_table_is_read_by_its_column_map(tmp_path):
    (tmp_path / "crawl.csv").write_text("username;description;file\nann;a cake;1.jpg\nbob;;2.jpg\n")
    columns = {"user": "username", "text": "description", "image": "file"}
    pins, rejected = read_pins_csv(tmp_path / "crawl.csv", columns, delimiter=";")
    assert pins == [Pin("0000001", "ann", None, "1.jpg", "a cake")]
    assert count_reasons(rejected) == {"no text": 1}
    with pytest.raises(ValueError, match="no column user, image; the header has username, description, file"):
        read_pins_csv(tmp_path / "crawl.csv", {"text": "description"}, delimiter=";")
    with pytest.raises(ValueError, match="colour is no key of a pin"):
        read_pins_csv(tmp_path / "crawl.csv", {"colour": "x"})


def test_a_folder_is_read_by_user_and_board(tmp_path):
    for name in ("ann/food/1.jpg", "ann/2.PNG", "bob/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "ann/food/1.txt").write_text("a cake")
    (tmp_path / "ann/2.txt").write_text("a pie")
    pins, rejected = read_pins_folder(tmp_path)
    assert [(p.user, p.board, p.image, p.text) for p in pins] == [
        ("ann", None, "ann/2.PNG", "a pie"), ("ann", "food", "ann/food/1.jpg", "a cake"),
    ]  # fmt: skip
    assert count_reasons(rejected) == {"no text": 1}


def post(number, author):
    return {"id": f"p{number}", "image": f"{number}.png", "author": author, "text": f"work {number} by Ann Lee",
            "tags": ["cat"], "source": "s", "license": "l", "title": f"cat {number}"}  # fmt: skip


def test_authors_of_posts_become_users_without_their_names_in_the_text(tmp_path):
    path = tmp_path / "posts.jsonl"
    authors = ["Ann Lee"] * 5 + ["Bob"] * 3 + ["unknown"] * 9 + ["Eve"]
    path.write_text("".join(json.dumps(post(n, author)) + "\n" for n, author in enumerate(authors)))
    pins = pins_from_posts(path, (2, 4))
    assert [pin.user for pin in pins] == ["Ann Lee"] * 4 + ["Bob"] * 3
    assert all("Lee" not in pin.text for pin in pins if pin.user == "Ann Lee")
    assert all("Lee" in pin.text for pin in pins if pin.user == "Bob")
    assert pins_from_posts(path, (2, 4), words=["title", "tags"])[-1].text == "cat 7 cat"
    assert pins == pins_from_posts(path, (2, 4)) != pins_from_posts(path, (2, 4), seed=1)
    with pytest.raises(ValueError, match="1 authors have 4 posts or more; two users"):
        pins_from_posts(path, (4, 9))
