"""Authors of posts as users."""

import json

import pytest

from pinterest_id.pins_from_posts import pins_from_posts
from pinterest_id.records import count_reasons, read_pins, write_pins


def post(number, author, **more):
    return {
        "id": f"p{number}",
        "image": f"{number}.png",
        "author": author,
        "text": f"work {number} by Ann Lee",
        "tags": ["cat"],
        "source": "s",
        "license": "l",
        "title": f"cat {number}",
    } | more


def write_posts(folder, *posts):
    (folder / "posts.jsonl").write_text("".join(json.dumps(record) + "\n" for record in posts))
    return folder / "posts.jsonl"


def test_authors_of_posts_become_users_without_their_names_in_the_text(tmp_path):
    path = tmp_path / "posts.jsonl"
    authors = ["Ann Lee"] * 5 + ["Bob"] * 3 + ["unknown", "", " Anonymous "] * 3 + ["Eve"]
    path.write_text("".join(json.dumps(post(n, author)) + "\n" for n, author in enumerate(authors)))
    pins, rejected = pins_from_posts(path, (2, 4))
    assert count_reasons(rejected) == {"author unknown": 9}
    assert [pin.user for pin in pins] == ["Ann Lee"] * 4 + ["Bob"] * 3
    assert all("Lee" not in pin.text for pin in pins if pin.user == "Ann Lee")
    assert all("Lee" in pin.text for pin in pins if pin.user == "Bob")
    assert pins_from_posts(path, (2, 4), words=["title", "tags"])[0][-1].text == "cat 7 cat"
    assert pins == pins_from_posts(path, (2, 4))[0] != pins_from_posts(path, (2, 4), seed=1)[0]
    with pytest.raises(ValueError, match="found 1 authors of 4 posts or more; wanted two"):
        pins_from_posts(path, (4, 9))


@pytest.mark.parametrize("value", [12, [1, 2], {"en": "cat"}, 0])
def test_a_value_that_is_no_text_is_named_with_its_post(tmp_path, value):
    path = write_posts(tmp_path, post(1, "Ann"), post(2, "Bob", title=value))
    with pytest.raises(ValueError, match=r"posts.jsonl, post 'p2': found title .*; wanted a text or a list of texts"):
        pins_from_posts(path, (1, 1), words=["text", "title"])


def test_a_key_that_no_post_has_is_an_error_and_a_post_without_text_a_rejection(tmp_path):
    path = write_posts(tmp_path, post(1, "Ann", title=None), post(2, "Bob", title=["two", "words"]))
    with pytest.raises(ValueError, match=r"posts.jsonl: found no post with titel; wanted keys of \['author', 'id',"):
        pins_from_posts(path, (1, 1), words=["titel"])
    pins, rejected = pins_from_posts(path, (1, 1), words=["title"])
    assert [(pin.id, pin.text) for pin in pins] == [("p2", "two words")]
    assert [(item.id, item.reason) for item in rejected] == [("p1", "no text")]
    assert len(pins_from_posts(path, (1, 1), words=["title"], keep_empty_text=True)[0]) == 2


def test_an_author_without_a_letter_leaves_the_texts_whole(tmp_path):
    pins, _ = pins_from_posts(write_posts(tmp_path, post(1, "!?", text="don't, O'Neil"), post(2, "Bob")), (1, 1))
    assert pins[0].text == "don't, O'Neil"


@pytest.mark.parametrize(
    ("author", "text", "without"),
    [
        ("jane_doe", "lunch by Jane Doe #jane_doe_art", "lunch by # _ _art"),
        ("Jane Doe", "pie by jane_doe, Janet™", "pie by _ , Janet™"),
        ("Jose\u0301", "a cat by José", "a cat by"),
        ("José", "a cat by Jose\u0301 and Jose", "a cat by and Jose"),
        ("Ａｎｎ", "Ann drew ａｎｎ an ½ inch high", "drew an ½ inch high"),
    ],
)
def test_an_authors_name_goes_however_it_is_written(tmp_path, author, text, without):
    pins, _ = pins_from_posts(write_posts(tmp_path, post(1, author, text=text), post(2, "Bob")), (1, 1))
    assert next(pin.text for pin in pins if pin.id == "p1") == without


@pytest.mark.parametrize("author", ["Ann\nLee", "Ann\u00a0Lee", "Ann\tLee"])
def test_an_author_that_cannot_be_printed_is_a_counted_rejection(tmp_path, author):
    path = write_posts(tmp_path, post(1, "Ann"), post(2, "Bob"), post(3, author))
    pins, rejected = pins_from_posts(path, (1, 1))
    assert [pin.user for pin in pins] == ["Ann", "Bob"] and count_reasons(rejected) == {"author not printable": 1}
    write_pins(tmp_path / "pins.jsonl", pins)
    assert read_pins(tmp_path / "pins.jsonl") == (pins, [])
