"""Authors of posts as users."""

import json

import pytest

from pinterest_id.pins_from_posts import pins_from_posts


def post(number, author):
    return {
        "id": f"p{number}",
        "image": f"{number}.png",
        "author": author,
        "text": f"work {number} by Ann Lee",
        "tags": ["cat"],
        "source": "s",
        "license": "l",
        "title": f"cat {number}",
    }


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
    with pytest.raises(ValueError, match="found 1 authors of 4 posts or more; wanted two"):
        pins_from_posts(path, (4, 9))
