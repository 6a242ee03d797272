"""Plan and time left speak of the real crawl and machine."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from mindpics import sizes
from mindpics.job import Job
from mindpics.nets.rows import models_of
from mindpics.nets.scales import MINI, PAPER
from mindpics.plan import plan
from mindpics.published import ROWS, Row
from mindpics.traits import TRAITS, word_slots

ROW = Row("alexnet", "all-in-one", "scratch")
WEIGHTS = {"alexnet": "a.caffemodel", "resnet50": "r.caffemodel"}


@pytest.fixture
def job(tmp_path):
    """A crawl of 6,000 posts: 50 of each word but "stupid" and "lazy", which two traits share, and others of none."""
    words = [word for word, *_ in word_slots() if word not in ("stupid", "lazy")]
    texts = [word for word in words for _ in range(50)]
    texts += ["of no word"] * (6000 - len(texts))
    post = {"author": "a", "text": "", "source": "s", "license": "l"}
    lines = [json.dumps(post | {"id": f"p{i}", "image": f"{i}.png", "tags": [text]}) for i, text in enumerate(texts)]
    (tmp_path / "posts.jsonl").write_text("\n".join(lines) + "\n")
    return Job(PAPER, str(tmp_path / "run"), posts=str(tmp_path / "posts.jsonl"), weights=WEIGHTS, gpu=0)


def test_a_crawl_that_is_there_is_counted_and_the_plan_says_its_pictures_and_iterations(job):
    found = sizes.sizes_of(job)
    of_words = {
        trait: 50 * len([w for w, t, _ in word_slots() if t == trait and w not in ("stupid", "lazy")])
        for trait in TRAITS
    }
    assert found.known and all(found.pictures("train", (t,)) == round(0.8 * n) for t, n in of_words.items())
    n = round(0.8 * sum(of_words.values()))
    notes = {stage.name: stage.note for stage in plan(job)}
    assert notes["lmdb_train"] == f"256x256, about {n:,} pictures"
    assert notes[ROW.name].endswith(f"90 epochs, about {-(-90 * n // 128):,} iterations")
    of_O = found.pictures("train", ("O",))
    assert notes["alexnet_independent_scratch_O"].endswith(f"about {-(-90 * of_O // 128):,} iterations")
    assert not any("96,800" in note or "68,063" in note for note in notes.values())


def test_pictures_that_are_restored_or_replaced_have_the_selection_and_the_lmdbs_made_anew(job, tmp_path):
    """Of 6,000 posts 5,400 carry a word; the job, a process of its own, looks once."""

    def states():
        sizes._picked.cache_clear()
        return {stage.name: stage.state for stage in plan(job) if stage.state}

    seen = [states()]
    assert seen[0].keys() == {"select", "lmdb_train", "lmdb_test"} and states() == seen[0]
    (tmp_path / "5999.png").write_bytes(b"of no word")
    assert states() == seen[0]
    for picture in (b"restored", b"replaced by another"):
        (tmp_path / "0.png").write_bytes(picture)
        seen.append(states())
    assert all(len({state[name] for state in seen}) == 3 for name in seen[0])


def test_a_crawl_in_a_folder_of_parquet_is_looked_into_as_well(job, tmp_path):
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    posts = [json.loads(line) for line in Path(job.posts).read_text().splitlines()]
    for part in (0, 1):
        pyarrow.parquet.write_table(pa.Table.from_pylist(posts[part::2]), crawl / f"{part}.parquet")
    of_folder = replace(job, posts=str(crawl))
    assert sizes.sizes_of(of_folder).counts == sizes.sizes_of(job).counts
    before = sizes.sizes_of(of_folder).state
    sizes._picked.cache_clear()  # a process looks once
    (crawl / "0.png").write_bytes(b"restored")
    assert before and sizes.sizes_of(of_folder).state not in (before, "")
    pyarrow.parquet.write_table(pa.Table.from_pylist(posts[1:1001:2]), crawl / "1.parquet")
    assert sizes.sizes_of(of_folder).pictures("train") < sizes.sizes_of(job).pictures("train")


def test_time_goes_with_the_pictures_and_the_machine(job):
    (model,) = models_of(ROW)
    whole = Job(PAPER, "runs/x", posts="not/there.jsonl", weights=WEIGHTS, gpu=0)
    share = sizes.sizes_of(job).pictures("train") / 96800
    assert sizes.training_seconds(job, model) == pytest.approx(share * sizes.training_seconds(whole, model))
    on_cpu = sizes.training_seconds(replace(job, gpu=None), model)
    assert on_cpu == pytest.approx(sizes.ON_CPU["alexnet"] * sizes.training_seconds(job, model))
    assert on_cpu / sizes.iterations(job, model) == pytest.approx(4.9, rel=0.05)  # a step of batch 128 on two cores
    costs = {stage.name: stage.cost for stage in plan(replace(job, gpu=None), ROWS)}
    assert costs[ROW.name] == on_cpu


def test_a_crawl_that_is_not_there_yet_has_at_most_the_papers_pictures_and_a_stand_in_at_most_its_caps():
    paper = sizes.sizes_of(Job(PAPER, "runs/x", posts="not/there.jsonl", weights=WEIGHTS))
    assert (paper.known, paper.pictures("train"), paper.pictures("test")) == (False, 96800, 24200)
    mini = sizes.sizes_of(Job(MINI, "runs/mini"))
    assert (mini.known, mini.pictures("train"), mini.pictures("test", ("O",))) == (False, 2400, 120)
