"""The report as a person has it: opened from disk in Chromium, wide and narrow, by mouse and by keys."""

import csv
import shutil

import pytest
from small_run import EVIL

from mindpics.published import table3_row
from mindpics.report.page import write_report
from mindpics.traits import TRAITS
from pinterest_id.study import read_study

TABLE = """(headings) => {
  for (const table of document.querySelectorAll("table")) {
    const [first, ...rest] = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
    if (headings.every((heading, i) => first[i] === heading)) return rest;
  }
}"""


@pytest.fixture(scope="module")
def report(small_run, tmp_path_factory):
    """(run, the report's file: address) without the t-SNE maps, which take longest."""
    run = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(small_run, run, ignore=shutil.ignore_patterns("*_lmdb", "snapshots", "pool5*"))
    return run, write_report(run, study=read_study)[0].as_uri()


@pytest.fixture(scope="module")
def page(report, visit):
    """Opened once: what a test opens or sorts in it disturbs no other."""
    return visit(report[1])


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_opens_from_disk_without_a_complaint_or_a_request(page):
    assert page.complaints == []
    assert page.requests and all(address.startswith(("file:", "data:")) for address in page.requests)
    assert page.evaluate("[...document.images].filter((image) => image.src && !image.naturalWidth).length") == 0


def test_text_is_drawn(page):
    """A machine without fonts draws none, or boxes of one width."""
    narrow, wide = page.evaluate("""["iiii", "mmmm"].map((text) => {
      const context = document.createElement("canvas").getContext("2d");
      context.font = getComputedStyle(document.body).font;
      return context.measureText(text).width;
    })""")
    assert 0 < narrow < wide


def test_table_3_is_the_csv(report, page):
    shown, ours = page.evaluate(TABLE, ["row", "paper"]), rows_of(report[0] / "mindpics" / "table3.csv")
    assert [line[0] for line in shown] == [f"{r['net']} {r['heads']} {r['init']}" for r in ours] and len(shown) == 2
    for line, row in zip(shown, ours, strict=True):
        avg, paper = float(row["avg"]), float(row["published_avg"])
        interval = f"{float(row['low95']):.1f} to {float(row['high95']):.1f}"
        larger = f"{float(row['larger_pole_avg']):.1f}"
        assert line[1:8] == [f"{paper}", f"{avg:.1f}", f"{avg - paper:+.1f}", interval, larger, row["n"], "0"]
        assert line[8].startswith(f"from {row['weights']}; {row['normalization']}") and line[9] == row["command"]


def test_every_trait_is_the_csv(report, page):
    shown = iter(page.evaluate(TABLE, ["row", "trait", "paper"]))
    for row in rows_of(report[0] / "mindpics" / "table3.csv"):
        paper = table3_row(row["net"], row["heads"], row["init"])
        for trait in TRAITS:
            assert next(shown)[1:4] == [trait, f"{paper[trait]:.1f}", f"{float(row[trait]):.1f}"]


def test_table_2_is_the_csv(report, page):
    shown, ours = page.evaluate(TABLE, ["model", "paper"]), rows_of(report[0] / "pinterest_id" / "table2.csv")
    assert len(shown) == len(ours) == 8
    for line, row in zip(shown, ours, strict=True):
        numbers = [f"{float(row[name]):.2f}" for name in ("accuracy", "low95", "high95", "f1_macro", "recall_at_10")]
        assert line[:3] == [row["model"], row["published_accuracy"], numbers[0]]
        assert line[4:9] == [f"{numbers[1]} to {numbers[2]}", row["published_f1"], *numbers[3:], row["n"]]


def test_words_are_the_csv(report, page):
    shown = page.evaluate(TABLE, ["word", "trait", "pole"])
    ours = rows_of(report[0] / "report" / "figures" / "words.csv")
    told = {(line[0], line[1], line[2]): line[3:6] for line in shown}
    assert told == {
        (r["word"], r["trait"], r["pole"]): [r["right"], r["n"], f"{100 * float(r['accuracy']):.0f}"] for r in ours
    }
    assert len(shown) == 10


@pytest.mark.parametrize("closed_by", ["mouse", "Escape"])
def test_a_picture_enlarges_and_closes(page, closed_by):
    picture = page.locator(".enlarge").first
    source = picture.locator("img").get_attribute("src")
    picture.focus()
    picture.click() if closed_by == "mouse" else page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    assert dialog.is_visible() and dialog.locator("img").get_attribute("src") == source
    assert dialog.locator("img").bounding_box()["width"] > picture.bounding_box()["width"]
    dialog.get_by_label("Close").click() if closed_by == "mouse" else page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_a_column_sorts_by_its_numbers_both_ways(page):
    heading = page.locator("table", has_text="recall@10").locator("th").nth(2)
    for direction, reverse in (("ascending", False), ("descending", True)):
        heading.get_by_role("button").press("Enter")
        values = [float(line[2]) for line in page.evaluate(TABLE, ["model", "paper"])]
        assert heading.get_attribute("aria-sort") == direction and values == sorted(values, reverse=reverse)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_does_not_scroll_sideways(report, visit, width, scheme):
    page = visit(report[1], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("details").evaluate_all("all => all.forEach((one) => (one.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_script_as_a_creators_name_stays_text(report, page):
    assert "broken" not in page.title() and page.locator("script").count() == 1
    assert page.get_by_text(EVIL).count() >= 10
    users = [row["user"] for row in rows_of(report[0] / "pinterest_id" / "table3.csv")]
    assert EVIL in users and EVIL in [line[2] for line in page.evaluate(TABLE, ["F1", "rank", "user"])]
