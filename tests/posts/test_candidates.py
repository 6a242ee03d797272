"""Scanning a crawl: what Arrow finds is what a loop over the lines finds, its errors included."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from example_posts import COMPRESSIONS, POST, without, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mindpics.files import json_files as json_lines
from mindpics.posts import crawl_files
from mindpics.posts.candidates import draw, find_candidates
from mindpics.posts.posts import read_posts
from mindpics.posts.words import SLOTS, carried_words


def oracle(manifest, seed=0):
    """Return what a plain loop finds: (posts read, [(post, words, draw)]), or the error's text."""
    try:
        posts = list(read_posts(manifest))
    except ValueError as error:
        return str(error)
    carried = [(post, carried_words(post["text"], post["tags"])) for post in posts]
    return len(posts), [(post, words, draw(seed, post["id"])) for post, words in carried if words]


def scanned(manifest, seed=0, **options):
    """Return the same of `find_candidates`."""
    try:
        found = find_candidates(manifest, seed, **{"workers": 1} | options)
    except ValueError as error:
        return str(error)
    words = [found.words[kind] for kind in found.kinds]
    return found.n_read, list(zip(found.posts(found.positions.tolist()), words, found.draws.tolist(), strict=True))


texts = st.lists(
    st.sampled_from(
        [
            *list(SLOTS)[::9],
            "MOON",
            "#Sky!",
            "moon's",
            "s\u212ay",
            "\u017fky",
            "stre\u00df",
            "moonlight",
            "x_moon",
            "\u00e9moon",
            "moon\u00e9",
            "\U0001f600",
            "\ud800",
            "\x00",
            "\u2028",
            '"',
            "\\",
        ]
    ),
    max_size=4,
).map(" ".join)
odd_values = st.sampled_from([None, 5, True, "", "a\tb", "x" * 201, "\u6771", "../a", "/a", "a..b", ["moon"], {}, [1]])


@st.composite
def lines(draw):
    """A line of a crawl: mostly a post, in any order of keys, sometimes with something wrong."""
    post = {**POST, "id": str(draw(st.integers(0, 10**6))), "text": draw(texts)}
    post["tags"] = draw(st.lists(texts, max_size=3))
    post["more"] = draw(st.sampled_from([1, "moon", [None], float("nan"), 1e300, "\ud83d", "long " * 300]))
    kind = draw(st.integers(0, 24))
    if kind == 0:
        post[draw(st.sampled_from(sorted(POST)))] = draw(odd_values)
    elif kind == 1:
        del post[draw(st.sampled_from(sorted(post)))]
    elif kind == 2:
        return draw(st.sampled_from([b"", b"  \t", b"\r", b"\x0c", b"[1]", b"5", b"{}{}", b"\xef\xbb\xbf{}", b"\xff"]))
    text = json.dumps(dict(draw(st.permutations(list(post.items())))), ensure_ascii=draw(st.booleans()))
    end = draw(st.sampled_from(["", "", "", "\r", " ", "\t"])) if kind else draw(st.sampled_from(["", "}", "{}"]))
    return (text + end).encode("utf-8", "surrogatepass")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines(), max_size=12), st.sampled_from([200, 2000, 1 << 20]), st.booleans(), st.integers(0, 2))
def test_the_scan_is_the_loop(tmp_path, body, block, last_line_ends, seed):
    path = tmp_path / "posts.jsonl"
    path.write_bytes(b"\n".join(body) + b"\n" * last_line_ends)
    # written out, since NaN is not equal to itself
    assert repr(scanned(path, seed, block=block)) == repr(oracle(path, seed))


def many(n):
    """Return n posts; one in five carries a word."""
    rng = random.Random(0)
    words = [*["walk", "home", "blue"] * 145, *SLOTS]
    return [{**POST, "id": f"p{i}", "text": rng.choice(words), "tags": [rng.choice(words)]} for i in range(n)]


def test_any_number_of_workers_and_any_block_give_the_same(tmp_path):
    path = write(tmp_path, *many(3000))
    wanted = oracle(path)
    assert 300 < len(wanted[1]) < 1500
    assert scanned(path) == scanned(path, block=100_000) == scanned(path, workers=2, block=50_000) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ({**POST, "id": "p7"}, "line 2001: found id 'p7' of line 8 again"),
        ({**POST, "id": 5}, "line 2001: found 5 as 'id'; wanted a str"),
        ("{broken", "line 2001: found '{broken'; wanted a JSON object"),
        (json.dumps(POST, indent=1), "line 2001: found '{'; wanted a JSON object"),
        (json.dumps({**POST, "id": "x"}) * 2, "wanted a JSON object (Extra data"),
        (json.dumps({**POST, "id": "x"})[:-1] + ', "te\\u0078t": "sky"}', "line 2001: found 'text' twice"),
        (without("text"), "line 2001: found no 'text'"),
        ({**POST, "id": "x", "image": "a/../../b"}, "line 2001: found image 'a/../../b'"),
    ],
)
def test_an_error_names_the_line_whatever_the_block(tmp_path, line, wanted):
    path = write(tmp_path, *many(2000), line, "no JSON either")
    for block in (20_000, 1 << 20):
        with pytest.raises(ValueError) as error:
            find_candidates(path, workers=1, block=block)
        assert wanted in str(error.value) and str(path) in str(error.value)
    assert scanned(path) == oracle(path)


def test_one_line_that_arrow_cannot_read_leaves_it_the_others(tmp_path, monkeypatch):
    posts = many(2000)
    posts[777]["more"] = "HUGE"
    path = write(tmp_path, *posts)
    path.write_text(path.read_text().replace('"HUGE"', "1e999"))  # infinite to Python, too big for Arrow
    judged = []
    monkeypatch.setattr(crawl_files, "check_post", lambda post, *_: judged.append(post))
    assert scanned(path)[0] == 2000
    assert 0 < len(judged) < 2 * crawl_files.FEW and any(post["id"] == "p777" for post in judged)


def test_a_line_without_end_is_not_swallowed(tmp_path, monkeypatch):
    monkeypatch.setattr(crawl_files, "MAX_LINE", 5000)
    monkeypatch.setattr(json_lines, "MAX_LINE", 5000)
    path = write(tmp_path, *many(50), {**POST, "id": "x", "text": "y" * 90_000}, *many(50))
    for block in (1000, 1 << 20):
        assert "line 51: found more than 5000 bytes; wanted a manifest" in scanned(path, block=block)
    assert scanned(path) == oracle(path)


def test_ids_of_one_hash_are_not_taken_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr("mindpics.posts.candidates.hash_texts", lambda ids: np.zeros(len(ids), np.uint64))
    assert scanned(write(tmp_path, *many(30))) == oracle(tmp_path / "posts.jsonl")


def parquet(folder, posts, **columns):
    table = pa.Table.from_pylist(posts)
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, values) if at >= 0 else table.append_column(name, values)
    pyarrow.parquet.write_table(table, folder / "posts.parquet", row_group_size=700)
    return folder / "posts.parquet"


def test_parquet_gives_what_json_lines_give(tmp_path):
    posts = [post | {"likes": i} for i, post in enumerate(many(3000))]
    texts = pa.array([post["text"] for post in posts]).dictionary_encode()
    wanted = scanned(write(tmp_path, *posts))
    assert scanned(parquet(tmp_path, posts, text=texts)) == wanted
    assert scanned(parquet(tmp_path, posts), workers=2) == wanted


def test_licences_are_of_the_posts_asked_for_and_what_is_no_post_is_named_by_its_place(tmp_path, monkeypatch):
    posts = [POST | {"id": f"p{n}", "license": f"licence {n % 2}"} for n in range(1500)]
    asked = {f"p{n}" for n in range(0, 1500, 3)}
    broken = [*posts, {**POST, "id": "p1500", "image": "/a"}]
    for path in (parquet(tmp_path, posts), write(tmp_path, *posts)):
        assert crawl_files.count_licenses(path, asked) == {"licence 0": 250, "licence 1": 250}
    for path, where in ((parquet(tmp_path, broken), "row 1501"), (write(tmp_path, "", *broken), "line 1502")):
        assert crawl_files.count_licenses(path, asked).total() == 500
        with pytest.raises(ValueError, match=f"{where}: found image '/a'"):
            crawl_files.count_licenses(path, {"p1500"})
    monkeypatch.setattr(crawl_files.open_crawl, "__defaults__", (1000,))  # of many blocks
    with pytest.raises(ValueError, match="line 1502: found image '/a'"):
        crawl_files.count_licenses(path, {"p1500"})


def test_values_that_json_lacks_become_text(tmp_path):
    posts = [{**POST, "text": "moon"}]
    path = parquet(tmp_path, posts, taken=pa.array([0], pa.timestamp("s")))
    assert find_candidates(path).posts([0])[0]["taken"] == "1970-01-01 00:00:00"


def test_a_folder_of_parquet_is_one_crawl_of_its_files_in_order(tmp_path):
    posts = many(1500)
    wanted = scanned(write(tmp_path, *posts))
    for number in range(3):
        folder = tmp_path / "crawl" / f"year={number}"
        folder.mkdir(parents=True)
        parquet(folder, posts[500 * number : 500 * number + 500]).rename(folder / "part-0.parquet")
        (folder / "_SUCCESS").touch()
    assert scanned(tmp_path / "crawl") == wanted
    assert find_candidates(tmp_path / "crawl", workers=1).root == tmp_path / "crawl"
    parquet(tmp_path / "crawl/year=2", [{**POST, "id": "x", "image": "/a"}])
    with pytest.raises(ValueError, match="year=2/posts.parquet, row 1: found image '/a'"):
        find_candidates(tmp_path / "crawl", workers=1)
    parquet(tmp_path / "crawl/year=2", [{**POST, "id": "p3"}])
    with pytest.raises(ValueError, match="year=2/posts.parquet, row 1: found id 'p3' of .*0/part-0.parquet, row 4"):
        find_candidates(tmp_path / "crawl", workers=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: found a folder without a .parquet file"):
        find_candidates(tmp_path / "empty")


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_compressed_crawl_is_scanned_as_its_lines_are(tmp_path, compress):
    path = write(tmp_path, *many(300))
    wanted = scanned(path)
    packed = compress(path.read_bytes())
    path.write_bytes(packed)
    assert scanned(path, block=4000) == wanted
    path.write_bytes(packed[:-9])
    with pytest.raises(ValueError, match="posts.jsonl: found bytes that cannot be read"):
        find_candidates(path, workers=1)


def test_children_read_what_their_parent_unpacked(tmp_path):
    path = write(tmp_path, *many(300))
    wanted = scanned(path)
    path.write_bytes(COMPRESSIONS["gz"](path.read_bytes()))
    assert scanned(path, block=20_000, workers=2) == wanted


def test_half_a_surrogate_pair_costs_its_post_alone_and_is_listed(tmp_path):
    halves = [
        {**POST, "id": "a", "text": "moon \ud800"},
        {**POST, "id": "\udc00"},
        {**POST, "id": "p3", "tags": ["\udc00\ud800"]},  # an id that is there twice
        {**POST, "id": "b", "more": {"\ud83d": 1}},
    ]
    path = write(tmp_path, *many(100), *halves[:2], *many(101)[100:], *halves[2:])
    raw = json.dumps({**POST, "id": "c", "text": "\ud83d\ude00"}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    path.write_bytes(path.read_bytes() + b"\n" + raw)
    for block in (1 << 20, 5000):
        found = find_candidates(path, workers=1, block=block)
        assert found.n_read == 101 and scanned(path, block=block) == oracle(path)
        assert [post["id"] for post in found.left_out] == ["a", "\ufffd", "p3", "b", "c"]
        assert found.left_out[0]["text"] == "moon \ufffd"
        assert found.left_out[1]["reason"].startswith(f"{path}, line 102: half a surrogate pair")


@pytest.mark.parametrize("key", ["text", "id"])
def test_bytes_of_parquet_that_are_no_utf8_are_named(tmp_path, key):
    """As a line of JSON that is none; a key that is read with the candidates alone as well."""
    values = pa.array([b"thanks", b"\xff thanks", b"a"], pa.binary()).view(pa.string())
    path = parquet(tmp_path, [{**POST, "id": f"p{n}", "text": "thanks"} for n in range(3)], **{key: values})
    with pytest.raises(ValueError, match=f"posts.parquet, row 2: found bytes that are not UTF-8 as '{key}'; wanted"):
        find_candidates(path, workers=1)
    path = parquet(tmp_path, [{**POST, "id": f"p{n}", "text": "thanks"} for n in range(3)], title=values)
    with pytest.raises(ValueError, match="posts.parquet, row 2: found bytes that are not UTF-8 as 'title'; wanted"):
        (candidates := find_candidates(path, workers=1)).posts(candidates.positions)


def test_parquet_of_something_else_is_named(tmp_path):
    posts = many(1000)
    ids = pa.array([*(f"p{i}" for i in range(999)), "p3"])
    none = pa.array([None if i == 800 else "a" for i in range(1000)])
    for columns, wanted in (
        ({"id": pa.array(range(1000))}, "found column 'id' of int64; wanted string"),
        ({"tags": pa.array(["a"] * 1000)}, "found column 'tags' of string; wanted list"),
        ({"id": ids}, "row 1000: found id 'p3' of row 4 again"),
        ({"author": none}, "row 801: found None as 'author'; wanted a str"),
    ):
        with pytest.raises(ValueError, match=wanted):
            find_candidates(parquet(tmp_path, posts, **columns), workers=1)
    with pytest.raises(ValueError, match="no column 'license'"):
        find_candidates(parquet(tmp_path, [without("license")]))
    (tmp_path / "posts.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(ValueError, match="no Parquet file"):
        find_candidates(tmp_path / "posts.parquet")
    with pytest.raises(ValueError, match="no such file"):
        find_candidates(tmp_path / "gone.parquet")


def test_an_empty_manifest_holds_no_post(tmp_path):
    (tmp_path / "posts.jsonl").write_bytes(b"")
    found = find_candidates(tmp_path / "posts.jsonl")
    assert (found.n_read, len(found), found.several, dict(found.carriers)) == (0, 0, 0, {})


def test_tags_only_looks_at_tags_and_hashtags_alone(tmp_path):
    posts = [("a", "the moon", []), ("b", "a #Moon here", []), ("c", "", ["moon"]), ("d", "#moonlight moon", ["cat"])]
    lines = [
        json.dumps(
            {"id": id_, "image": "x.jpg", "author": "n", "text": text, "tags": tags, "source": "s", "license": "l"}
        )
        for id_, text, tags in posts
    ]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines) + "\n")
    found = {tags_only: find_candidates(tmp_path / "posts.jsonl", tags_only=tags_only) for tags_only in (False, True)}
    ids = {of: [post["id"] for post in each.posts(each.positions.tolist())] for of, each in found.items()}
    assert ids == {False: ["a", "b", "c", "d"], True: ["b", "c"]}


@pytest.mark.parametrize("text", ["#moo\u0301n", "moon\u0301", "मूmoon", "moon\u200cs"])
def test_a_word_with_an_accent_or_a_sign_is_another_word(tmp_path, text):
    """By Arrow's way and by Python's: a mark belongs to the word it stands in."""
    assert carried_words(text, []) == () and carried_words(text, [], tags_only=True) == ()
    assert len(find_candidates(write(tmp_path, POST | {"text": text, "tags": []}))) == 0


TWICE = json.dumps(POST)[:-1] + ', "%s": "z"}'


def test_a_byte_order_mark_is_no_part_of_the_first_post(tmp_path):
    path = write(tmp_path, POST, POST | {"id": "b", "text": "a moon"})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert scanned(path) == oracle(path) and oracle(path)[0] == 2
    assert scanned(path, block=100) == oracle(path)


def test_a_key_given_twice_is_an_error_with_its_line(tmp_path):
    path = write(tmp_path, POST | {"id": "b"}, TWICE % "text")
    assert scanned(path) == oracle(path) and oracle(path).endswith("line 2: found 'text' twice; wanted each key once")


def test_a_key_that_no_one_reads_may_be_there_twice(tmp_path):
    path = write(tmp_path, (TWICE % "likes")[:-1] + ', "likes": 2, "more": {"id": 1, "id": 2}}')
    assert scanned(path) == oracle(path) and oracle(path)[0] == 1
