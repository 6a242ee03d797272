"""Selection by the words of Table 1: who is found, who is kept, who stands where."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from example_posts import POST, write

from mindpics.posts import selection
from mindpics.posts import summary as selection_summary
from mindpics.posts.candidates import find_candidates
from mindpics.posts.whole_selection import Choices, select
from mindpics.traits import word_slots
from pinterest_id.pins_from_posts import pins_from_posts

TOOL = Path(__file__).resolve().parents[2] / "tools" / "select_mindpics"


def post(i, text="", tags=(), **more):
    return {**POST, "id": f"p{i}", "image": f"images/p{i}.png", "text": text, "tags": list(tags), **more}


@pytest.fixture
def candidates_of(tmp_path):
    """Return a function of posts, and of a seed, that scans them as a manifest."""
    return lambda posts, seed=0: find_candidates(write(tmp_path, *posts), seed)


@pytest.fixture
def pics_of(candidates_of):
    return lambda posts, seed=0, **caps: selection.Picker(candidates_of(posts, seed), **caps).pick()


@pytest.mark.parametrize(
    ("text", "tags", "found"),
    [
        ("The MOON rises", [], {"moon"}),
        ("look: #Moon!", [], {"moon"}),
        ("moon's light", [], {"moon"}),
        ("", ["#Poetry"], {"poetry"}),
        ("", ["night sky"], {"sky"}),
        ("moonlight honeymoon #fullmoon full_moon", ["skyline"], set()),
        ("stupid", [], {"stupid"}),
    ],
)
def test_whole_words_case_folded_hashtags_too(candidates_of, text, tags, found):
    candidates = candidates_of([post(1, text, tags)])
    assert candidates.n_read == 1
    assert {slot[0] for slot in candidates.carriers} == found


def test_stupid_fills_low_c_or_low_a_but_one_of_them_only(pics_of):
    picked = pics_of([post(i, "stupid") for i in range(40)])
    assert len(picked) == 40
    assert {(p.trait, p.pole) for p in picked} == {("C", "low"), ("A", "low")}


def test_a_post_of_many_words_takes_one_slot(candidates_of, pics_of):
    every_word = " ".join(word for word, _, _ in word_slots())
    assert len(candidates_of([post(1, every_word)]).slots[0]) == 110
    assert len(pics_of([post(1, every_word)])) == 1


def test_caps_hold_and_a_full_slot_does_not_waste_a_post(pics_of):
    posts = [post(i, "moon sky") for i in range(6)]
    assert Counter(p.word for p in pics_of(posts, per_word=3)) == {"moon": 3, "sky": 3}
    assert len(pics_of(posts, per_word=2)) == 4
    assert len(pics_of(posts, per_pole=5)) == 5


def test_the_seed_decides_and_the_order_of_the_manifest_does_not(pics_of):
    posts = [post(i, "moon") for i in range(50)]
    ids = [
        [p.post["id"] for p in pics_of(order, per_word=10, seed=seed)]
        for order, seed in ((posts, 1), (posts[::-1], 1), (posts, 2))
    ]
    assert ids[0] == ids[1] != ids[2]


def all_poles(n):
    """Return n posts for each of the ten poles."""
    first = {(trait, pole): word for word, trait, pole in reversed(word_slots()) if word not in ("stupid", "lazy")}
    return [post(f"{w}{i}", w, author=f"a{i % 10}") for w in first.values() for i in range(n)]


def test_split_by_image_is_80_20_in_every_pole(pics_of):
    pics = pics_of(all_poles(20))
    split = selection.split(pics, np.arange(len(pics)), seed=3)
    assert Counter((p.label, p.split) for p in split) == {
        (k, s): n for k in range(10) for s, n in (("train", 16), ("test", 4))
    }
    again = selection.split(pics, np.arange(len(pics)), seed=3)
    other = selection.split(pics, np.arange(len(pics)), seed=4)
    assert split == again != other


def test_split_by_group_keeps_authors_and_copies_on_one_side(pics_of):
    pics = pics_of(all_poles(20))
    copies = np.arange(len(pics))
    # a near copy by another author ties the two authors together
    one, other = (next(i for i, p in enumerate(pics) if p.post["author"] == a) for a in ("a1", "a2"))
    copies[one] = copies[other]
    groups = selection.group(pics, ["author", "copies"], copies)
    assert len(set(groups)) == 9
    split = selection.split(pics, groups, by_group=True)
    sides = {frozenset(p.split for p in split if p.post["author"] == f"a{i}") for i in range(10)}
    assert all(len(side) == 1 for side in sides) and len(sides) == 2
    assert {p.split for p in split if p.post["author"] in ("a1", "a2")} in ({"train"}, {"test"})
    assert {(p.label, p.split) for p in split} == {(k, s) for k in range(10) for s in ("train", "test")}


def test_posts_without_a_key_do_not_join_and_an_unknown_key_is_named(pics_of):
    pics = pics_of([post(1, "moon", emoji="x"), post(2, "sky"), post(3, "sky"), post(4, "moon", emoji="x")])
    groups = dict(zip((p.post["id"] for p in pics), selection.group(pics, ["emoji"], np.arange(4)), strict=True))
    assert groups["p1"] == groups["p4"] and len(set(groups.values())) == 3
    with pytest.raises(ValueError, match="found no post with the key 'board'"):
        selection.group(pics, ["board"], np.arange(4))


def test_posts_of_nobody_are_no_group_and_no_users_pins(pics_of, tmp_path):
    nobody = ("", " ", "unknown", "Anonymous")
    posts = [post(i, "moon", author=(*nobody, "Ann", "Bob")[i % 6], tags=["a pin"]) for i in range(24)]
    apart = [{**each, "author": f" {each['author']}"} if index % 12 == 4 else each for index, each in enumerate(posts)]
    assert np.array_equal(*(selection.group(pics_of(each), ["author"], np.arange(24)) for each in (posts, apart)))
    pics = pics_of(posts)
    groups = selection.group(pics, ["author", "copies"], np.arange(24))
    sizes = Counter(pic.post["author"] for pic in pics if list(groups).count(groups[pics.index(pic)]) == 4)
    assert sizes == {"Ann": 4, "Bob": 4} and len(set(groups)) == 18
    pins, _ = pins_from_posts(write(tmp_path, *posts), (2, 20))
    assert {pin.user for pin in pins} == {"Ann", "Bob"}
    with pytest.raises(ValueError, match="found no post with the key 'author' that tells anything"):
        selection.check_groups(pics_of([post(i, "moon", author="") for i in range(4)]), ["author", "copies"])


@pytest.mark.parametrize("caps", [{"per_word": 0}, {"per_pole": -1}])
def test_a_cap_below_one_is_named(pics_of, caps):
    with pytest.raises(ValueError, match="wanted 1 or more"):
        pics_of([post(1, "moon")], **caps)


def test_a_fraction_that_is_none_is_named():
    with pytest.raises(ValueError, match="test fraction: found 20; wanted one between 0 and 1"):
        selection.split([], np.arange(0), test_fraction=20)


@pytest.mark.parametrize(
    "wrong", [{"test_fraction": 0}, {"test_fraction": np.nan}, {"distance": -1}, {"distance": 256}]
)
def test_a_choice_that_is_none_is_named_before_a_post_is_read(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name.replace('_', ' ')}: found {wrong[name]}; wanted"):
        Choices(**wrong)


def test_too_few_pictures_or_groups_are_named(pics_of):
    with pytest.raises(ValueError, match="low O, low C"):
        selection.split(pics_of([post(i, "moon") for i in range(9)]), np.arange(9))
    pics = pics_of(all_poles(5))
    with pytest.raises(ValueError, match="one side of the split only"):
        selection.split(pics, np.array([p.label for p in pics]), by_group=True)


def test_larger_pole_share_is_of_the_pole_larger_in_train(candidates_of):
    pics = [selection.MindPic(post(i), "moon", "O", "high", split="train") for i in range(3)]
    pics += [selection.MindPic(post(9), "hate", "O", "low", split=s) for s in ("train", "test", "test", "test")]
    pics += [selection.MindPic(post(8), "moon", "O", "high", split="test")]
    about = selection_summary.summarise(pics, candidates_of([]), [], list(range(8)))["traits"]["O"]
    assert about["larger_pole"] == "high"
    assert about["larger_pole_share"] == {"train": 0.75, "test": 0.25}


def test_the_tool_counts_everything_and_lists_the_broken(tmp_path):
    posts = [*all_poles(6), post("none", "nothing"), post("gone", "moon"), post("broken", "sky")]
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for p in posts:
        picture = rng.integers(0, 255, (8, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / p["image"]), cv2.resize(picture, (64, 64)))
    (tmp_path / "images/pgone.png").unlink()
    (tmp_path / "images/pbroken.png").write_bytes(b"\x89PNG no more")
    same = (tmp_path / posts[0]["image"]).read_bytes()
    (tmp_path / posts[7]["image"]).write_bytes(same)
    command = [sys.executable, TOOL, write(tmp_path, *posts), "--out", tmp_path / "out", "--workers", "1"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "63 posts read = 1 without a word + 62 with one" in shown
    assert "62 with a word = 0 over the cap + 2 unreadable + 60 selected (48 train, 12 test)" in shown
    assert "near copies: 2 pictures in 1 groups" in shown
    rejected = (tmp_path / "out/rejected.jsonl").read_text()
    assert '"pgone"' in rejected and "no such file" in rejected and '"pbroken"' in rejected
    with open(tmp_path / "out/mindpics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == selection_summary.COLUMNS and len(rows) == 60
    groups = {row["id"]: row["group"] for row in rows}
    assert groups[posts[0]["id"]] == groups[posts[7]["id"]]


def test_a_crawl_without_a_word_of_table_1_is_an_error(tmp_path):
    post = {"id": "a", "image": "a.jpg", "author": "b", "text": "of no word", "tags": [], "source": "", "license": ""}
    (tmp_path / "posts.jsonl").write_text(json.dumps(post) + "\n")
    with pytest.raises(ValueError, match="posts.jsonl: found no post that carries a word"):
        select(tmp_path / "posts.jsonl", tmp_path / "out")


def test_a_word_whose_pictures_cannot_be_read_is_filled_up_from_the_same_word_while_it_has_any(tmp_path):
    posts = [*all_poles(6), *(post(f"more{i}", "moon") for i in range(8)), *(post(f"sky{i}", "sky") for i in range(8))]
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for p in posts:
        picture = rng.integers(0, 255, (8, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / p["image"]), cv2.resize(picture, (64, 64)))
    manifest, choices = write(tmp_path, *posts), Choices(per_word=4, test_fraction=0.4)
    before = select(manifest, tmp_path / "before", choices, 1)
    chosen = {row["id"]: row["word"] for row in selection_summary.read_mindpics(tmp_path / "before/mindpics.csv")}
    moons = [id_ for id_, word in chosen.items() if word == "moon"]
    broken = {*moons[:3], *(f"psky{i}" for i in range(6))}  # of 8 of sky two are left
    for id_ in broken:
        (tmp_path / f"images/{id_}.png").write_bytes(b"none")
    after = select(manifest, tmp_path / "after", choices, 1)
    rows = selection_summary.read_mindpics(tmp_path / "after/mindpics.csv")
    counts = Counter(row["word"] for row in rows)
    assert not broken & {row["id"] for row in rows}
    assert counts["moon"] == 4 and counts["sky"] == 2
    kept = {row["id"] for row in rows if row["word"] not in ("moon", "sky")}
    assert kept == {id_ for id_, word in chosen.items() if word not in ("moon", "sky")}
    assert after["unreadable"] == len(broken) and after["picked"] == after["selected"] + after["unreadable"]
    assert before["unreadable"] == 0 and after["carry_a_word"] == after["picked"] + after["over_the_cap"]


def test_a_file_that_several_posts_name_is_one_picture(tmp_path):
    """A repost of the same file would stand in train and in test, perhaps under opposite poles."""
    posts = [*all_poles(6), *(post(f"moon{i}", "moon") for i in range(8))]
    posts += [p | {"id": f"again-{p['id']}", "image": f"./{p['image']}", "text": "stupid"} for p in posts[:30]]
    manifest = write_pictures(tmp_path, posts)
    facts = select(manifest, tmp_path / "out", Choices(per_word=6), 1)
    rows = selection_summary.read_mindpics(tmp_path / "out/mindpics.csv")
    images = [row["image"].removeprefix("./") for row in rows]
    assert len(images) == len(set(images)) == facts["selected"]
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    assert rejected and {p["reason"] for p in rejected} == {"its picture is another post's that was picked"}
    assert facts["posted_again"] == len(rejected) and facts["unreadable"] == 0
    assert facts["picked"] == facts["selected"] + facts["posted_again"]
    assert f" + {len(rejected)} of a picture that was picked" in selection_summary.table(facts)
    assert Counter(row["word"] for row in rows)["moon"] == 6  # filled up from the others


def test_a_filled_up_word_takes_no_other_words_room(candidates_of):
    picker = selection.Picker(candidates_of([post(i, "moon sky") for i in range(9)]), per_word=3)
    first = picker.pick()
    lost = [pic for pic in first if pic.word == "moon"][:2]
    again = picker.pick(picker.give_back(lost))
    assert [pic.word for pic in again] == ["moon", "moon"] and not picker.pick({("moon", "O", "high")})
    assert not {pic.post["id"] for pic in again} & {pic.post["id"] for pic in first}


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    """A crawl of eight authors' ten pictures, one a pole; each second author posts those of the one before anew."""
    folder, rng = tmp_path_factory.mktemp("photographed"), np.random.default_rng(0)
    (folder / "images").mkdir()
    words, posts = list({(trait, pole): word for word, trait, pole in word_slots()}.values()), []
    for number in range(80):
        pixels = cv2.resize(rng.integers(0, 256, (7, 7, 3), np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
        if number // 10 % 2:
            kept = cv2.imread(str(folder / f"images/{number - 10}.png"))
            jpeg = cv2.imencode(".jpg", kept, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            pixels = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        cv2.imwrite(str(folder / f"images/{number}.png"), pixels)
        ids = {"id": f"p{number}", "image": f"images/{number}.png", "author": f"a{number // 10}"}
        posts.append(POST | ids | {"text": words[number % 10], "tags": []})
    write(folder, *posts)
    return folder / "posts.jsonl"


def sides(folder):
    with open(folder / "mindpics.csv", encoding="utf-8", newline="") as stream:
        return {row["id"]: row["split"] for row in csv.DictReader(stream)}


def test_a_selection_keeps_to_its_seed_split_and_distance(photographed, tmp_path):
    chosen = {"a": Choices(), "again": Choices(), "seed": Choices(seed=1)}
    chosen["group"] = Choices(split="group", group_by=("author",), test_fraction=0.5)
    chosen |= {"bits": Choices(distance=0, group_by=("copies",)), "copies": Choices(group_by=("copies",))}
    facts = {name: select(photographed, tmp_path / name, choices, workers=1) for name, choices in chosen.items()}
    split = {name: sides(tmp_path / name) for name in chosen}
    assert split["a"] == split["again"] != split["seed"]
    authors = {name: {(int(id_[1:]) // 10, side) for id_, side in split[name].items()} for name in ("a", "group")}
    assert len(authors["a"]) > 8 == len(authors["group"])
    assert facts["copies"]["groups"] < facts["bits"]["groups"] <= 80


def test_the_split_has_the_selections_own_seed(photographed, tmp_path, monkeypatch):
    """A selection's other draws differ by seed as well: this looks at the split alone."""
    split, seeds = selection.split, []
    monkeypatch.setattr(selection, "split", lambda *args: seeds.append(args[-1]) or split(*args))
    for seed in (0, 3):
        select(photographed, tmp_path / str(seed), Choices(seed=seed), workers=1)
    assert seeds == [0, 3]


def write_pictures(folder, posts, picture_of=lambda number: number):
    (folder / "images").mkdir()
    for number, p in enumerate(posts):
        pixels = np.random.default_rng(picture_of(number)).integers(0, 255, (8, 8, 3), np.uint8)
        cv2.imwrite(str(folder / p["image"]), cv2.resize(pixels, (64, 64)))
    return write(folder, *posts)


def test_groups_that_allow_no_split_are_named_before_a_picture_is_read(tmp_path):
    posts = [{**p, "author": p["text"]} for p in all_poles(6)]  # one author a pole; there are no pictures at all
    wanted = "found 10 groups by author: low O, .* stand in fewer than two; wanted both sides"
    with pytest.raises(ValueError, match=wanted):
        select(write(tmp_path, *posts), tmp_path / "out", Choices(split="group"), 1)


def test_what_was_rejected_is_said_where_too_little_is_left_for_a_split(tmp_path):
    manifest = write_pictures(tmp_path, all_poles(6))
    for path in sorted((tmp_path / "images").iterdir())[1:]:
        path.write_bytes(b"no picture")
    wanted = r"found under 2 pictures of low O.*\(59 pictures were rejected, the first p\w+: no picture of a known for"
    with pytest.raises(ValueError, match=wanted):
        select(manifest, tmp_path / "out", Choices(), 1)


def test_few_groups_are_told(tmp_path, capsys):
    manifest = write_pictures(tmp_path, all_poles(6))
    select(manifest, tmp_path / "out", Choices(split="group"), 1)
    assert "6 groups by author, near copies left aside: the test side may be far from 20%" in capsys.readouterr().err


def test_a_crawl_without_authors_is_split_by_image_and_by_group_alone_refused(tmp_path):
    manifest = write_pictures(tmp_path, [{**p, "author": "unknown" if "e" in p["id"] else ""} for p in all_poles(6)])
    facts = select(manifest, tmp_path / "out", Choices(), 1)
    told = "no post tells its author, by which none are joined"
    assert (facts["joined"], facts["groups"], facts["test"]) == (told, 60, 12)
    facts = select(manifest, tmp_path / "alone", Choices(group_by=("author",)), 1)
    assert (facts["joined"], facts["groups"]) == (told, 60)
    for path in (tmp_path / "images").iterdir():
        path.unlink()  # what follows is said before a picture is read
    with pytest.raises(ValueError, match="found no post with the key 'author' that tells anything"):
        select(manifest, tmp_path / "grouped", Choices(split="group"), 1)


@pytest.mark.parametrize("split", ["image", "group"])
def test_a_key_that_no_post_has_is_named_before_a_picture_is_read(tmp_path, split):
    wanted = r"found no post with the key 'autor'; wanted one of \['author', 'id'"
    with pytest.raises(ValueError, match=wanted):
        select(write(tmp_path, *all_poles(6)), tmp_path / "out", Choices(split=split, group_by=("autor", "copies")), 1)


def test_reposts_that_join_many_authors_into_one_group_are_told(tmp_path):
    posts = [{**p, "author": f"a{number}"} for number, p in enumerate(all_poles(6))]
    manifest = write_pictures(tmp_path, posts, picture_of=lambda number: max(number, 45))  # the first 46 are one
    facts = select(manifest, tmp_path / "out", Choices(), 1)
    told = "near copies join 46 groups by author into one of 46 pictures"
    assert facts["joined"] == told and told in selection_summary.table(facts)
    with pytest.raises(ValueError, match=rf"one side of the split only.*\({told}\)"):
        select(manifest, tmp_path / "grouped", Choices(split="group"), 1)
