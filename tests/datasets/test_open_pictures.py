"""The open corpora from small planted packages: posts, counts, attribution, a second run."""

import io
import json
import tarfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tool_module import run_tool

from mindpics.datasets import open_clipart, open_emoji, open_pictures
from mindpics.files.lock import locked
from mindpics.posts.posts import read_posts

BODY = '<rect width="16" height="16" fill="{}"/>'


def pack(path, **members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(f"package/{name.replace('__', '/')}.json")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def style(path, prefix, icons, chars, aliases=None):
    return pack(
        path,
        icons={"prefix": prefix, "icons": icons, "aliases": aliases or {}, "width": 16, "height": 16},
        info={
            "name": prefix.title(),
            "author": {"name": "Designers", "url": "https://example.org"},
            "license": {"spdx": "CC-BY-4.0"},
        },
        chars=chars,
    )


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two styles, one of which lists no code points, and the keywords of four emoji."""
    first = {
        "full-moon": {"body": BODY.format("gold")},
        "waving-hand": {"body": BODY.format("tan")},
        "waving-hand-dark": {"body": BODY.format("brown")},
        "old": {"body": BODY.format("red"), "hidden": True},
        "logo": {"body": BODY.format("blue")},
        "blank-sky": {"body": ""},
    }
    chars = {"1f315": "full-moon", "1f44b": "waving-hand", "1f44b-1f3ff": "waving-hand-dark", "1f30c": "blank-sky"}
    second = {"full-moon-symbol": {"body": BODY.format("silver")}, "poets-pen": {"body": BODY.format("black")}}
    styles = [
        style(tmp_path / "one.tgz", "one", first, chars, {"full-moon-symbol": {"parent": "full-moon"}}),
        style(tmp_path / "two.tgz", "two", second, {}),
    ]
    rows = [
        {"hexcode": "1F315", "label": "full moon", "tags": ["moon", "space"]},
        {"hexcode": "1F44B", "label": "waving hand", "tags": ["bye"], "skins": [{"hexcode": "1F44B-1F3FF"}]},
        {"hexcode": "1F30C", "label": "sky", "tags": []},
        {"hexcode": "1F58B-FE0F", "label": "poet’s pen"},
    ]
    words = {"🌕": ["full_moon", "night_light", "moon"], "🖋": ["poetry"], "🤷": ["shrug"]}
    keywords = [pack(tmp_path / "base.tgz", en__data=rows), pack(tmp_path / "lib.tgz", **{"dist__emoji-en-US": words})]
    monkeypatch.setattr(open_emoji, "STYLES", open_emoji.STYLES[:2])
    monkeypatch.setattr(open_pictures, "fetch_emoji", lambda downloads: (styles, keywords))
    return styles, keywords


def test_emoji_are_named_by_code_name_or_alias(packages):
    drawings, left_out = open_emoji.read_emoji(*packages)
    posts = {d.post["id"]: d.post for d in drawings}
    assert posts.keys() == {"one_1f315", "one_1f44b", "one_1f30c", "two_1f315", "two_1f58b"}
    assert left_out == {"skin tone of another": 1, "withdrawn by its designers": 1, "not a Unicode emoji": 1}
    moon = posts["two_1f315"]
    assert moon["text"] == "Full moon: moon, space, night light."
    assert moon["tags"] == ["moon", "space", "night light"]
    assert (moon["author"], moon["license"]) == ("Designers (Two)", "CC-BY-4.0")
    assert posts["two_1f58b"]["tags"] == ["poetry"]


def test_only_emoji_with_a_word_are_drawn(packages):
    drawings, left_out = open_emoji.read_emoji(*packages, words={"moon", "poetry", "bang"})
    assert [d.post["id"] for d in drawings] == ["one_1f315", "two_1f315", "two_1f58b"]
    assert left_out["carries none of the words"] == 2


def test_a_fetch_counts_everything_and_a_second_does_nothing(packages, tmp_path, monkeypatch):
    folder = tmp_path / "emoji"
    summary = open_pictures.make_emoji(folder, tmp_path, workers=1)
    assert (summary["read"], summary["drawn"], summary["rejected"], summary["left_out"]) == (8, 4, 1, 3)
    assert summary["rejected_why"] == {"blank": 1}
    posts = list(read_posts(folder / "posts.jsonl"))
    assert all((folder / post["image"]).is_file() for post in posts) and len(posts) == 4
    assert "2 | Designers (One) | CC-BY-4.0 | https://example.org" in (folder / "ATTRIBUTION").read_text()
    monkeypatch.setattr(open_pictures, "fetch_emoji", None)  # would fail if called
    assert open_pictures.make_emoji(folder, tmp_path, workers=1) == summary


def test_another_request_draws_anew(packages, tmp_path):
    folder = tmp_path / "emoji"
    open_pictures.make_emoji(folder, tmp_path, workers=1)
    summary = open_pictures.make_emoji(folder, tmp_path, words={"moon"}, size=32, workers=1)
    assert summary["drawn"] == 2 == len(list((folder / "images").iterdir()))


def test_a_request_after_which_another_was_interrupted_is_drawn_again(packages, tmp_path, monkeypatch):
    folder = tmp_path / "emoji"
    first = open_pictures.make_emoji(folder, tmp_path, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(open_pictures, "read_emoji", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_pictures.make_emoji(folder, tmp_path, size=32, workers=1)
    assert open_pictures.make_emoji(folder, tmp_path, workers=1) == first
    assert all((folder / post["image"]).is_file() for post in read_posts(folder / "posts.jsonl"))


def interrupted(*_):
    raise KeyboardInterrupt


def test_a_second_call_waits_for_the_first(packages, tmp_path, capfd):
    words = ("--only", "emoji", "--all-emoji", "--workers", 1, "--out", tmp_path / "open")
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / "open"):
            second = pool.submit(run_tool, "fetch_open_pictures", *words)
            said = ""
            while "at work there; waiting for it" not in said:
                assert not second.done() and not (tmp_path / "open/emoji").exists()
                said += capfd.readouterr().err
        assert second.result(60) == 0
    assert (tmp_path / "open/emoji/summary.json").is_file()


RDF = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:cc="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/" viewBox="0 0 9 9"><metadata>
 <rdf:RDF><cc:Work><dc:title>{title}</dc:title><dc:description>It
 hoots.</dc:description><dc:subject><rdf:Bag><rdf:li/><rdf:li>bird</rdf:li><rdf:li>bird</rdf:li></rdf:Bag></dc:subject>
 <dc:publisher><cc:Agent><dc:title>publisher</dc:title></cc:Agent></dc:publisher>
 <dc:creator><cc:Agent><dc:title>{creator}</dc:title></cc:Agent></dc:creator>
 <cc:license resource="{license}"/></cc:Work></rdf:RDF></metadata><rect width="9" height="8" fill="{fill}"/></svg>"""


def plant(folder, name, **about):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"title": "Owl", "creator": "Ann", "license": "cc/PublicDomain", "fill": "red", **about}
    path.write_text(RDF.format(**about), encoding="utf-8")
    return path


def test_clipart_says_what_its_rdf_says(tmp_path):
    post = open_clipart.read_clipart(plant(tmp_path, "animals/birds/owl 1.svg"), tmp_path).post
    assert post["id"] == "clipart_animals_birds_owl_1"
    assert (post["author"], post["title"], post["description"], post["tags"]) == ("Ann", "Owl", "It hoots.", ["bird"])
    assert (post["text"], post["folder"], post["license"]) == ("Owl. It hoots. bird", "animals/birds", "public domain")
    other = plant(tmp_path, "a.svg", creator="", license="creativecommons.org/licenses/GPL/2.0/")
    post = open_clipart.read_clipart(other, tmp_path).post
    assert (post["author"], post["license"]) == ("unknown", "GPL-2.0")


def test_clipart_is_drawn_and_links_and_broken_files_are_counted(tmp_path, monkeypatch):
    svgs = tmp_path / "svg"
    plant(svgs, "animals/a.svg")
    plant(svgs, "tools/b.svg", fill="blue")
    plant(svgs, "tools/same.svg")
    (svgs / "tools/broken.svg").write_text("<svg")
    (svgs / "tools/link.svg").symlink_to(svgs / "animals/a.svg")
    monkeypatch.setattr(open_pictures, "fetch_clipart", lambda downloads: svgs)
    summary = open_pictures.make_clipart(tmp_path / "out", tmp_path, workers=1)
    assert (summary["read"], summary["drawn"], summary["rejected"], summary["left_out"]) == (5, 2, 2, 1)
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert {row["id"]: row["reason"].split(":")[0] for row in rejected}["clipart_tools_same"] == (
        "identical to clipart_animals_a"
    )
    folders = Counter(post["folder"] for post in read_posts(tmp_path / "out/posts.jsonl"))
    assert folders == {"animals": 1, "tools": 1}


def test_pins_are_of_eight_styles_and_complete():
    packages = open_emoji.STYLES + open_emoji.KEYWORDS
    assert len({p.name for p in open_emoji.STYLES}) == 8
    assert all(p.digest.startswith("sha512-") and len(p.digest) == 95 for p in packages)
    assert Path(open_clipart.FILE_NAME).suffix == ".deb"
