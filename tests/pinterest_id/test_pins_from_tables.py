"""Tables and JSON of pins: the column map, and what is wrong is named."""

import json

import pytest

from pinterest_id.pins_from_tables import read_pins_csv, read_pins_json
from pinterest_id.records import Pin, count_reasons


def test_a_table_is_read_by_its_column_map(tmp_path):
    (tmp_path / "crawl.csv").write_text("username;description;file\nann;a cake;1.jpg\nbob;;2.jpg\n")
    columns = {"user": "username", "text": "description", "image": "file"}
    pins, rejected = read_pins_csv(tmp_path / "crawl.csv", columns, delimiter=";")
    assert pins == [Pin("0000001", "ann", None, "1.jpg", "a cake")]
    assert count_reasons(rejected) == {"no text": 1}
    with pytest.raises(ValueError, match="found no column user, image in username, description, file"):
        read_pins_csv(tmp_path / "crawl.csv", {"text": "description"}, delimiter=";")
    with pytest.raises(ValueError, match="found colour; wanted keys of a pin"):
        read_pins_csv(tmp_path / "crawl.csv", {"colour": "x"})


@pytest.mark.parametrize("key", ["id", "board"])
def test_a_column_that_is_named_and_nowhere_is_an_error(tmp_path, key):
    (tmp_path / "crawl.csv").write_text("user,image,text\nann,1.jpg,a cake\n")
    with pytest.raises(ValueError, match="crawl.csv, line 1: found no column pin in user, image, text"):
        read_pins_csv(tmp_path / "crawl.csv", {key: "pin"})
    columns = {"user": "1", "image": "2", "text": "3"}
    for column in ("4", "pin"):
        with pytest.raises(
            ValueError, match=f"crawl.csv.*found no column {'4 in 1, 2, 3' if column == '4' else f'of {key}'}"
        ):
            read_pins_csv(tmp_path / "crawl.csv", columns | {key: column}, header=False)
    pin = {"user": "ann", "image": "1.jpg", "text": "a cake"}
    (tmp_path / "crawl.json").write_text(json.dumps([pin, pin]))
    with pytest.raises(ValueError, match="crawl.json: found no object with pin; wanted it in one at least"):
        read_pins_json(tmp_path / "crawl.json", {key: "pin"})
    (tmp_path / "crawl.json").write_text(json.dumps([pin, pin | {"pin": "7"}]))
    assert getattr(read_pins_json(tmp_path / "crawl.json", {key: "pin"})[0][1], key) == "7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7", "crawl.json: found a int; wanted an array of pins"),
        ('{"ann": [{"image": "a", "text": "b"}], "bob": 3}', "crawl.json, user 'bob': found a int; wanted an array"),
        ('[{"user": "ann"}]', r"crawl.json, pin 1: found \['user'\]; wanted image, text too"),
        ('[["ann"]]', "crawl.json, pin 1: found a list; wanted a JSON object"),
        ('[{"user": "ann", "image": "a", "text": "b", "text": "c"}]', "crawl.json, pin 1: found 'text' twice"),
        ('{"user": "ann", "image": "a", "text": "b", "text": "c"}', "crawl.json, pin 1: found 'text' twice"),
        ('{"ann": [{"image": "a", "text": "b"}], "ann": []}', "crawl.json: found 'ann' twice; wanted each key once"),
        ('{"ann": [{"image": "a", "text": "b", "image": "c"}]}', "crawl.json, user 'ann', pin 1: found 'image' twice"),
        ('{"user": "ann"}\n{"', r"crawl.json, line 1: found \['user'\]; wanted image, text"),
    ],
)
def test_json_that_holds_no_pins_is_named(tmp_path, text, message):
    (tmp_path / "crawl.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_pins_json(tmp_path / "crawl.json")


def test_a_json_is_read_that_is_larger_than_other_documents_may_be(tmp_path):
    path = tmp_path / "pins.json"
    path.write_text(" " * (65 << 20) + '[{"id": "a", "user": "u", "image": "a.jpg", "text": "w"}]')
    assert [pin.id for pin in read_pins_json(path)[0]] == ["a"]


def test_numbers_are_names_in_json_and_other_keys_are_kept(tmp_path):
    (tmp_path / "crawl.json").write_text('[{"id": 7, "user": 12, "image": "a.jpg", "text": "b", "likes": 3}]')
    pins, _ = read_pins_json(tmp_path / "crawl.json")
    assert (pins[0].id, pins[0].user, pins[0].extra) == ("7", "12", {"likes": 3})


def test_a_key_twice_below_a_pins_own_is_left_alone_as_in_lines(tmp_path):
    pin = '{"user": "ann", "image": "a.jpg", "text": "b", "more": {"x": 1, "x": 2}}'
    for text in (f"[{pin}]", f"{pin}\n{pin.replace('ann', 'bob')}\n"):
        (tmp_path / "crawl.json").write_text(text)
        assert read_pins_json(tmp_path / "crawl.json")[0][0].extra == {"more": {"x": 2}}
