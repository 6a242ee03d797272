"""Manifests and tables of strangers, by hypothesis: rows, or a ValueError with the line; no path outside the root."""

import csv
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindpics.datasets.picture_lmdb import read_rows
from mindpics.files.json_files import LEFT_OUT, MAX_LINE, read_objects
from mindpics.files.tables import read_table
from mindpics.inference.features import read_items
from mindpics.posts.posts import REQUIRED, picture_path, read_posts
from pinterest_id.pins_from_folders import read_pins_folder
from pinterest_id.pins_from_tables import read_pins_csv
from pinterest_id.records import KEYS, read_pins

settings.register_profile(
    "faults",
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("faults")

POST = {
    "id": "a1",
    "image": "a.jpg",
    "author": "ann",
    "text": "a cake",
    "tags": ["food"],
    "source": "here",
    "license": "CC0",
}
PIN = {"id": "a1", "user": "ann", "board": None, "image": "a.jpg", "text": "a cake"}
PATHS = st.sampled_from(
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b.jpg",
        "..",
        "out/secret.jpg",
        "self/self/a.jpg",
        "a.jpg",
        "b/c.jpg",
        "",
        ".",
        "a\0.jpg",
        "\ud800.jpg",
        "loop/x.jpg",
        "./a.jpg",
        "b//c.jpg",
        "~/a.jpg",
        "x" * 5000,
        "\\..\\a.jpg",
    ]
)
TEXT = st.text(max_size=30) | st.sampled_from(["\ud800", "\0", "\u2028", "\r\n", "x" * 300])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | PATHS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def records(good):
    """Objects like `good`: whole, with keys that are missing, of other types, or new."""
    changes = st.dictionaries(st.sampled_from([*good, "extra"]), VALUE, max_size=3)
    return st.builds(
        lambda number, image, change, gone: {
            key: value for key, value in (good | {"id": f"p{number}", "image": image} | change).items() if key != gone
        },
        st.integers(0, 20),
        PATHS,
        changes,
        st.sampled_from([*good, None, None, None]),
    )


def lines(good):
    """Lines of bytes: mostly records, some broken JSON, bytes that are no text, empty lines."""
    whole = st.builds(lambda record, ascii_: dumps(record, ascii_), records(good), st.booleans())
    cut = st.builds(lambda line, at: line[: at % (len(line) + 1)], whole, st.integers(0, 500))
    odd = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b""))
    deep = st.just(b"[" * 100_000) | st.just(b'{"id": ' + b"9" * 5000 + b"}") | st.just(b'{"a": NaN}')
    return st.lists(st.one_of(whole, whole, whole, whole, cut, odd, st.just(b""), st.just(b"  "), deep), max_size=6)


def dumps(record, ascii_=True):
    return json.dumps(record, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with pictures, links out of it, a link to itself and links in a circle."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path_factory.mktemp("root")
    (folder / "b").mkdir()
    for name in ("a.jpg", "b/c.jpg"):
        (folder / name).write_bytes(b"x")
    (folder / "out").symlink_to(outside)
    (folder / "self").symlink_to(folder)
    (folder / "loop").symlink_to(folder / "loop2")
    (folder / "loop2").symlink_to(folder / "loop")
    return folder


def read(reader, path):
    """Return (records, None) or (None, message); anything but a ValueError is a failure."""
    try:
        return reader(path), None
    except UnicodeError as error:
        pytest.fail(f"{error!r} is no answer")
    except ValueError as error:
        return None, str(error)


def check_message(message, path, given):
    """The message names the file and a line that is there and is not empty."""
    assert message.startswith(f"{path}, line "), message
    number = int(message.removeprefix(f"{path}, line ").split(":")[0].split(",")[0])
    assert given[number - 1].strip(), message
    assert len(message) < 2000  # and not the whole line
    return number


def has_half(line):
    """Whether an object holds half a surrogate pair."""
    text = json.dumps(json.loads(line.decode("utf-8", "surrogatepass")), ensure_ascii=False)
    return any("\ud800" <= character <= "\udfff" for character in text)


@given(given=lines(POST))
def test_posts(root, given):
    path = root / "posts.jsonl"
    path.write_bytes(b"\n".join(given))
    found, message = read(lambda path: list(read_posts(path)), path)
    if message is not None:
        number = check_message(message, path, given)
        path.write_bytes(b"\n".join(given[: number - 1]))  # the lines before it are good
        assert read(lambda path: list(read_posts(path)), path)[1] is None
        return
    assert len(found) == sum(1 for line in given if line.strip() and not has_half(line))
    assert len({post["id"] for post in found}) == len(found)
    for post in found:
        assert all(isinstance(post[key], kind) for key, kind in REQUIRED.items())
        assert picture_path(root, post["image"], "x").resolve().is_relative_to(root.resolve())
        json.dumps(post, ensure_ascii=False).encode()  # whatever is written later can be


@given(given=lines(PIN))
def test_pins(root, given):
    path = root / "pins.jsonl"
    path.write_bytes(b"\n".join(given))
    found, message = read(read_pins, path)
    if message is not None:
        check_message(message, path, given)
        return
    pins, rejected = found
    assert len(pins) + len(rejected) == sum(1 for line in given if line.strip())
    for pin in pins:
        assert (root / pin.image).resolve().is_relative_to(root.resolve())
    for rejection in rejected:
        assert rejection.reason in ("no image", "no text", LEFT_OUT)


@given(given=lines(PIN))
def test_lists_of_pictures(root, given):
    path = root / "list.jsonl"
    path.write_bytes(b"\n".join(given))
    found, message = read(read_items, path)
    if message is not None:
        check_message(message, path, given)
        return
    for _, picture in found:
        assert picture.resolve().is_relative_to(root.resolve())


CELLS = st.one_of(
    PATHS.filter(lambda path: "\ud800" not in path),
    st.sampled_from(["train", "test", "7", "-1", "x", "1" * 30]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


@given(table=st.lists(st.lists(CELLS, min_size=3, max_size=5), max_size=5), raw=st.binary(max_size=20))
def test_tables(root, table, raw):
    """mindpics.csv and crawl.csv; a row's number is that of the line on which it begins."""
    path = root / "table.csv"
    for header, reader in (
        (["id", "image", "label", "split"], lambda path: read_rows(path, "train")),
        (["user", "image", "text", "board"], read_pins_csv),
        (["id", "image", "label", "split"], read_items),
    ):
        with open(path, "w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([header, *table])
        with open(path, "ab") as stream:
            stream.write(raw)
        found, message = read(reader, path)
        if message is not None:
            assert message.startswith(str(path)), message
            continue
        pictures = found[0] if isinstance(found, tuple) else found
        for item in pictures:
            picture = root / item.image if hasattr(item, "image") else item[1]
            assert Path(picture).resolve().is_relative_to(root.resolve())


def test_the_line_of_a_row_is_where_it_begins(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('id,text\na,"two\nlines"\nb,x\n\nc\n', encoding="utf-8")
    rows = read_table(path)
    assert [next(rows)[0].rsplit(" ", 1)[1] for _ in range(2)] == ["2", "4"]
    with pytest.raises(ValueError, match="line 6: found 1 fields; wanted 2"):
        next(rows)


@pytest.mark.parametrize("reader", [lambda path: list(read_posts(path)), lambda path: read_pins(path)[0]])
def test_a_line_of_ten_megabytes_is_read(tmp_path, reader):
    long = (POST | PIN) | {"text": "word " * 2_000_000}
    (tmp_path / "x.jsonl").write_bytes(dumps(long) + b"\n")
    assert len(reader(tmp_path / "x.jsonl")) == 1


def test_a_line_without_end_is_refused_in_little_memory(tmp_path):
    with open(tmp_path / "x.jsonl", "wb") as stream:
        stream.write(b"{}\n")
        stream.truncate(20 << 30)  # zeros, of which nothing is on disk
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"x.jsonl, line 2: found more than {MAX_LINE} bytes"):
        list(read_objects(tmp_path / "x.jsonl"))
    assert tracemalloc.get_traced_memory()[1] < 4 * MAX_LINE
    tracemalloc.stop()


def test_a_text_that_is_a_link_out_of_the_folder_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("secret")
    user = tmp_path / "crawl" / "ann"
    user.mkdir(parents=True)
    (user / "1.jpg").write_bytes(b"x")
    (user / "1.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="a link that leaves"):
        read_pins_folder(tmp_path / "crawl")


def test_the_strategies_reach_what_is_good_too(root):
    """Else the tests above would say nothing of what is read."""
    assert set(PIN) == set(KEYS) and set(POST) == set(REQUIRED)
    path = root / "posts.jsonl"
    path.write_bytes(dumps(POST | {"extra": [1]}) + b"\n\n" + dumps(POST | {"id": "b", "image": "self/self/a.jpg"}))
    assert [post["id"] for post in read_posts(path)] == ["a1", "b"]


def test_a_key_given_twice_is_an_error_with_its_line(tmp_path):
    """posts.jsonl by Arrow's way: tests/posts/test_candidates.py."""
    for record, read in ((POST, read_posts), (PIN, read_pins)):
        path = tmp_path / "manifest.jsonl"
        path.write_text(json.dumps(record) + "\n" + json.dumps(record | {"id": "b"})[:-1] + ', "id": "c"}\n')
        with pytest.raises(ValueError, match="line 2: found 'id' twice; wanted each key once"):
            list(read(path))
