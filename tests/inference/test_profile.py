"""An author's profile: the numbers, the tool on a trained net, the page in a browser."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_run import BEST, EVIL
from tool_module import run_tool

from mindpics.inference.infer import TraitNets
from mindpics.inference.picture_traits import net_files
from mindpics.inference.profile import interval, profile
from mindpics.posts.authors import in_folder, of_author
from mindpics.results.metrics import load_scores
from mindpics.results.run_files import RunFiles
from mindpics.traits import TRAITS

TOOL = Path(__file__).resolve().parents[2] / "tools" / "profile_user"


def scores_of(high):
    """Return scores [N,5,2] with these probabilities of High in every trait."""
    high = np.repeat(np.array(high, np.float32)[:, None], len(TRAITS), axis=1)
    return np.stack([1 - high, high], axis=2)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    values = np.random.default_rng(0).beta(2, 2, (5, 400))
    low, high = interval(values)
    assert 0.92 < ((low <= 0.5) & (high >= 0.5)).mean() < 0.98


def test_few_pictures_give_a_wide_interval_and_one_gives_none():
    widths = [np.diff(interval(np.resize([[0.2], [0.6]], (n, 1))), axis=0).item() for n in (2, 4, 20, 200)]
    assert widths[0] == 1
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(2 * 1.96 * 0.2 / np.sqrt(200), rel=0.05)
    one = profile(["a"], scores_of([0.7]))["O"]
    assert (one["high"], one["low95"], one["high95"]) == (pytest.approx(0.7), None, None)


def test_pictures_that_say_most_stand_under_their_own_pole_surest_first():
    trait = profile(list("abcde"), scores_of([0.9, 0.2, 0.5, 0.99, 0.6]), shown=2)["N"]
    assert [one["id"] for one in trait["says_high"]] == ["d", "a"]
    assert [one["id"] for one in trait["says_low"]] == ["b"]
    assert trait["pictures_high"] == 3
    assert trait["high"] == pytest.approx(0.638)


@pytest.fixture(scope="module")
def profiled(small_run, tmp_path_factory):
    """The OUT folder of tools/profile_user, for an author of the test pictures and of one that is none."""
    folder = tmp_path_factory.mktemp("author")
    (folder / "images").mkdir()
    ids = load_scores(small_run / "mindpics" / BEST / "scores.npz")[0]
    for id_ in ids:
        name = f"{id_[1:]}.png"
        (folder / "images" / name).write_bytes((small_run.parent / "emoji/images" / name).read_bytes())
    (folder / "images" / "text.jpg").write_text("no picture")
    authors = {f"p{id_[1:]}": EVIL for id_ in ids} | {"torn": EVIL, "another": "Zoë Ångström"}
    with open(folder / "posts.jsonl", "w", encoding="utf-8") as stream:
        for id_, author in authors.items():
            image = "images/text.jpg" if id_ in ("torn", "another") else f"images/{id_[1:]}.png"
            post = {"id": id_, "image": image, "author": author, "text": "", "tags": [], "source": "", "license": ""}
            stream.write(json.dumps(post) + "\n")
    subprocess.run(
        [
            sys.executable,
            TOOL,
            "--posts",
            folder / "posts.jsonl",
            "--author",
            EVIL,
            "--row",
            small_run / "mindpics" / BEST,
            "--out",
            folder / "out",
        ],
        check=True,
        capture_output=True,
    )
    return folder / "out"


def test_the_tool_gives_the_mean_of_the_nets_own_scores(small_run, profiled):
    facts = json.loads((profiled / "profile.json").read_text(encoding="utf-8"))
    ids, _, scores = load_scores(small_run / "mindpics" / BEST / "scores.npz")
    assert [one["id"] for one in facts["pictures"]] == list(ids)
    low, high = interval(scores[..., 1].astype(float))
    for column, trait in enumerate(TRAITS):
        found = facts["traits"][trait]
        assert found["high"] == pytest.approx(scores[:, column, 1].mean(), abs=1e-5)
        assert (found["low95"], found["high95"]) == pytest.approx((low[column], high[column]), abs=1e-4)
    assert facts["unreadable"] == [{"id": "torn", "reason": facts["unreadable"][0]["reason"]}]
    assert "no picture of a known format" in facts["unreadable"][0]["reason"]
    assert facts["is_not"].startswith("This is no measurement of a person.")
    assert facts["net"]["stand_in"].startswith("drawn stripes")
    assert len(facts["net"]["files"]) == 3


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_shows_it_and_a_name_stays_text(profiled, visit, width, scheme):
    facts = json.loads((profiled / "profile.json").read_text(encoding="utf-8"))
    address = (profiled / "index.html").as_uri()
    page = visit(address, width, scheme)
    assert page.complaints == [] and page.requests == [address]
    assert page.title() == f"Profile of {EVIL}"
    assert EVIL in page.inner_text("h1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    notes = page.locator(".note").all_inner_texts()
    assert "no measurement of a person" in notes[0] and "stand-in" in notes[1]
    for trait, found in facts["traits"].items():
        said = "{high:.0%} ({low95:.0%} to {high95:.0%})".format(**found)
        assert page.inner_text(f"#trait-{trait} h3 span") == said
    page.click("details summary")
    cells = page.locator("tbody tr").all_inner_texts()
    assert [row.split() for row in cells] == [
        [one["id"], *(f"{one['high'][trait]:.3f}" for trait in TRAITS)] for one in facts["pictures"]
    ]
    assert "torn: no picture of a known format" in page.inner_text("ul >> nth=0")
    page.click(".enlarge >> nth=0")
    assert page.is_visible("dialog img")


def test_blanks_around_an_author_are_none_of_the_name(tmp_path):
    post = {"text": "", "tags": [], "source": "", "license": ""}
    authors = ("Ann", "Ann ", " Ann", "Anna")
    lines = [json.dumps(post | {"id": f"p{i}", "image": f"{i}.png", "author": a}) for i, a in enumerate(authors)]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines))
    for author in authors[:3]:
        assert [id_ for id_, _ in of_author(tmp_path / "posts.jsonl", author)] == ["p0", "p1", "p2"]


def test_bad_input_is_named(tmp_path, profiled):
    posts = profiled.parent / "posts.jsonl"
    with pytest.raises(ValueError, match="no post of author 'Zoe Angstrom' .* most like that name: 'Zoë Ångström'"):
        of_author(posts, "Zoe Angstrom")
    with pytest.raises(ValueError, match="nowhere: found no such folder"):
        in_folder(tmp_path / "nowhere")
    (tmp_path / ".hidden").write_text("")
    with pytest.raises(ValueError, match="no file in it"):
        in_folder(tmp_path)
    (tmp_path / "out.png").symlink_to(posts)
    with pytest.raises(ValueError, match="found a link that leaves"):
        in_folder(tmp_path)


def test_a_folder_is_read_with_what_lies_below_it_and_any_name(tmp_path):
    (tmp_path / "a").mkdir()
    for name in (b"a/two.png", b"one.png", b"\xff.png"):
        (tmp_path / os.fsdecode(name)).write_text("")
    assert [id_ for id_, _ in in_folder(tmp_path)] == ["a/two.png", "one.png", "\\udcff.png"]


def test_nets_that_were_trained_on_scaled_pixels_are_given_such(small_run, tmp_path):
    run = RunFiles(small_run)
    net, mean = net_files(run, BEST), run.mindpics.mean
    (tmp_path / "photos").mkdir()
    shutil.copy(small_run.parent / "emoji" / "images" / "0.png", tmp_path / "photos")
    given = "--pictures", tmp_path / "photos", "--net", *net, "--mean", mean, "--scale", ".5", "--out", tmp_path / "out"
    assert run_tool("profile_user", *given) == 0
    facts = json.loads((tmp_path / "out" / "profile.json").read_text(encoding="utf-8"))
    pixels = np.asarray(Image.open(tmp_path / "photos" / "0.png"))[None, :, :, ::-1].transpose(0, 3, 1, 2)
    wanted = TraitNets([net], mean, scale=0.5).scores(pixels)[0, :, 1]
    np.testing.assert_allclose([facts["traits"][trait]["high"] for trait in TRAITS], wanted, atol=1e-5)
    assert np.abs(TraitNets([net], mean).scores(pixels)[0, :, 1] - wanted).max() > 0.01


def test_a_row_that_is_none_is_named(small_run, tmp_path):
    def said(*given):
        out = ("--out", tmp_path / "out")
        done = subprocess.run([sys.executable, TOOL, *given, *out], capture_output=True, text=True, check=False)
        assert done.returncode
        return done.stderr

    pictures = ("--pictures", small_run.parent / "emoji" / "images")
    assert "--net and --mean go together" in said(*pictures, "--net", "a", "b")
    row = small_run / "mindpics" / BEST
    assert "--scale goes with --net: a row's pictures" in said(*pictures, "--row", row, "--scale", ".5")
    missing = small_run / "mindpics" / "alexnet_independent_scratch"
    assert "wanted what tools/reproduce --row alexnet/independent/scratch makes" in said(*pictures, "--row", missing)
    assert list(tmp_path.iterdir()) == []
