"""The manifest reader: what it keeps, and that every error names the line."""

import json
import tracemalloc

import pytest
from example_posts import COMPRESSIONS, POST, without, write

from mindpics.posts.posts import files_below, picture_path, read_posts


def test_keeps_unknown_keys_and_order_and_passes_over_empty_lines(tmp_path):
    second = {**POST, "id": "b", "likes": 7}
    assert list(read_posts(write(tmp_path, POST, "", second, ""))) == [POST, second]


def test_no_file_below_a_folder_is_passed_over_in_silence(tmp_path):
    (tmp_path / "in/deep").mkdir(parents=True)
    for name in ("b", "in/a", "in/deep/c"):
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)] == ["b", "in/a", "in/deep/c"]
    (tmp_path / "in/far").symlink_to("/usr", target_is_directory=True)
    with pytest.raises(ValueError, match="in: found the link 'far' to a folder; wanted folders and files alone"):
        files_below(tmp_path)


@pytest.mark.parametrize("key", POST)
def test_a_missing_key_names_file_line_and_key(tmp_path, key):
    with pytest.raises(ValueError, match=rf"posts\.jsonl, line 2: found no '{key}'"):
        list(read_posts(write(tmp_path, {**POST, "id": "z"}, without(key))))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "line 2: found '{broken'; wanted a JSON object"),
        ("[1]", "line 2: found a list; wanted a JSON object"),
        ("[" * 100_000, "line 2: found"),
        ({**POST, "id": "b", "tags": "moon"}, "found 'moon' as 'tags'; wanted a list"),
        ({**POST, "id": "b", "tags": [1]}, "wanted a list of str"),
        ({**POST, "id": 5}, "found 5 as 'id'; wanted a str"),
        ({**POST, "id": "x" * 201}, "wanted 1 to 200 bytes"),
        ({**POST, "id": "two\nlines"}, "printable"),
        (POST, "line 2: found id 'a1' of line 1 again"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    with pytest.raises(ValueError) as error:
        list(read_posts(write(tmp_path, POST, line)))
    assert message in str(error.value)
    assert str(tmp_path / "posts.jsonl") in str(error.value)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_bytes(json.dumps(POST).encode() + b'\n{"id": "\xff"}\n')
    with pytest.raises(ValueError, match="line 2: found bytes that are not UTF-8"):
        list(read_posts(path))


@pytest.mark.parametrize("image", ["/etc/passwd", "../other/a.png", "images/../../a.png", "", "a\0b"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match="line 1.*inside"):
        list(read_posts(write(tmp_path, {**POST, "image": image})))


def test_a_link_that_leaves_the_folder_is_refused_and_one_inside_is_not(tmp_path):
    root = tmp_path / "root"
    (root / "images").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    (root / "images" / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "images" / "a.png").write_bytes(b"x")
    (root / "images" / "in.png").symlink_to(root / "images" / "a.png")
    assert picture_path(root, "images/in.png", "here").name == "in.png"
    with pytest.raises(ValueError, match="here: found image 'images/out.png', a link that leaves"):
        picture_path(root, "images/out.png", "here")


def test_no_manifest_is_said(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        list(read_posts(tmp_path / "posts.jsonl"))


def test_memory_stays_flat(tmp_path):
    path = tmp_path / "posts.jsonl"
    padding = "x" * 100_000
    with open(path, "w", encoding="utf-8") as stream:
        for i in range(200):  # 20 MB
            stream.write(json.dumps({**POST, "id": f"p{i}", "text": padding}) + "\n")
    tracemalloc.start()
    assert sum(1 for _ in read_posts(path)) == 200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_half_a_surrogate_pair_costs_its_post_alone(tmp_path, capsys):
    halves = [{**POST, "id": "b", "text": "\ud800"}, {**POST, "id": "\udc00"}, {**POST, "id": "c", "more": ["\udc00"]}]
    path = write(tmp_path, POST, *halves, {**POST, "id": "d", "text": "\U0001f600"})
    assert [post["id"] for post in read_posts(path)] == ["a1", "d"]
    assert "left out 3 posts, the first: " in capsys.readouterr().err


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_compressed_manifest_is_read_whatever_its_name(tmp_path, compress):
    path = write(tmp_path, POST, {**POST, "id": "b"})
    packed = compress(path.read_bytes())
    path.write_bytes(packed + compress(b"\n" + json.dumps({**POST, "id": "c"}).encode()))
    assert [post["id"] for post in read_posts(path)] == ["a1", "b", "c"]
    for broken in (packed[:-9], packed[:12] + b"?" * 30 + packed[42:]):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="posts.jsonl, line [123]: found bytes that cannot be read .*; wanted a m"):
            list(read_posts(path))
