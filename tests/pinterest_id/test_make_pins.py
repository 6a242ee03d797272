"""Every layout of a data set that tools/make_pins takes, each of the same pins, gives the same pins.jsonl."""

import csv
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tool_module import load_tool

from mindpics import cli
from mindpics.posts.picture_files import read_picture
from pinterest_id.pins_from_folders import read_pins_folder
from pinterest_id.records import Pin, count_reasons, read_pins

make_pins = load_tool(Path(__file__).resolve().parents[2] / "tools" / "make_pins")
PINS = [
    Pin("ann/2", "ann", None, "ann/2.jpg", 'a "käse" pie'),
    Pin("ann/10", "ann", None, "ann/10.PNG", "blue, sky…"),
    Pin("bob/x", "bob", None, "bob/x.bmp", "two words"),
    Pin("bob/y", "bob", None, "bob/y.tif", "a #cake"),
]
HEADER = ["id", "user", "image", "text"]


def cells():
    return [[pin.id, pin.user, pin.image, pin.text] for pin in PINS]


def table(rows, **options):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n", **options).writerows(rows)
    return stream.getvalue()


def write(root, name, text, encoding="utf-8"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))


def of_table(root):
    write(root, "crawl.csv", table([HEADER, *cells()]))
    return ["csv", "crawl.csv"]


def of_table_with_other_names(root):
    write(root, "crawl.csv", table([["n", "who", "file", "says", "likes"], *([*row, "7"] for row in cells())]))
    return [
        "csv",
        "crawl.csv",
        "--column",
        "id=n",
        "--column",
        "user=who",
        "--column",
        "image=file",
        "--column",
        "text=says",
    ]


def of_windows_table(root):
    write(root, "crawl.csv", table([HEADER, *cells()], delimiter=";"), "cp1252")
    return ["csv", "crawl.csv", "--delimiter", ";", "--encoding", "cp1252"]


def of_tabs_without_header_or_quotes(root):
    write(root, "crawl.tsv", "".join("\t".join(row) + "\n" for row in cells()))
    return [
        "csv",
        "crawl.tsv",
        "--delimiter",
        r"\t",
        "--no-header",
        "--no-quotes",
        "--column",
        "id=1",
        "--column",
        "user=2",
        "--column",
        "image=3",
        "--column",
        "text=4",
    ]


def of_json_array(root):
    write(root, "crawl.json", json.dumps([dict(zip(HEADER, row, strict=True)) for row in cells()], indent=1))
    return ["json", "crawl.json"]


def of_json_lines(root):
    lines = [json.dumps(dict(zip(HEADER, row, strict=True)), ensure_ascii=False) for row in cells()]
    write(root, "crawl.json", "\n".join(lines), "cp1252")
    return ["json", "crawl.json", "--encoding", "cp1252"]


def of_json_by_user(root):
    users = {"ann": [], "bob": []}
    for pin in PINS:
        users[pin.user].append({"pin": pin.id, "image": pin.image, "description": pin.text})
    write(root, "crawl.json", json.dumps(users))
    return ["json", "crawl.json", "--column", "id=pin", "--column", "text=description"]


def of_folders(root):
    for pin in PINS:
        write(root, f"{pin.id}.txt", pin.text)
    return ["folder", "."]


def of_folders_in_cp1252(root):
    for pin in PINS:
        write(root, f"{pin.id}.txt", pin.text, "cp1252")
    return ["folder", ".", "--encoding", "cp1252"]


def of_two_trees(root):
    for pin in PINS:
        write(root.parent / "texts", f"{pin.id}.txt", pin.text)
    return ["folder", ".", "--texts", "../texts"]


def of_a_text_file_a_user_by_names(root):
    write(root.parent / "texts", "ann.txt", f"10.PNG\t{PINS[1].text}\n2\t{PINS[0].text}\n")
    write(root.parent / "texts", "bob.txt", f"bob/x\t{PINS[2].text}\r\ny.tif\t{PINS[3].text}\r\n")
    return ["folder", ".", "--texts", "../texts"]


def of_a_text_file_a_user_in_order(root):
    write(root, "ann.txt", f"{PINS[0].text}\n{PINS[1].text}\n\n")  # 2 comes before 10
    write(root, "bob.txt", f"{PINS[2].text}\n{PINS[3].text}")
    return ["folder", "."]


LAYOUTS = [
    of_table,
    of_table_with_other_names,
    of_windows_table,
    of_tabs_without_header_or_quotes,
    of_json_array,
    of_json_lines,
    of_json_by_user,
    of_folders,
    of_folders_in_cp1252,
    of_two_trees,
    of_a_text_file_a_user_by_names,
    of_a_text_file_a_user_in_order,
]


@pytest.fixture
def crawl(tmp_path, monkeypatch):
    """A folder of four real pictures of two users, in which the tool is called."""
    root = tmp_path / "images"
    for pin in PINS:
        (root / pin.user).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(root / pin.image)
    monkeypatch.chdir(root)
    return root


def run(*arguments):
    parser = cli.parser_of("", make_pins.add_arguments)
    make_pins.main(parser.parse_args([*arguments, "--out", "pins.jsonl"]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_pins(crawl, layout):
    run(*layout(crawl))
    pins, rejected = read_pins("pins.jsonl")
    assert sorted(pins, key=lambda pin: pin.id) == sorted(PINS, key=lambda pin: pin.id) and not rejected
    lines = sorted(Path("pins.jsonl").read_text(encoding="utf-8").splitlines())
    wanted = [{"id": p.id, "user": p.user, "board": None, "image": p.image, "text": p.text} for p in PINS]
    assert lines == sorted(json.dumps(pin, ensure_ascii=False) for pin in wanted)
    assert all(read_picture(Path(pin.image)).shape == (8, 8, 3) for pin in pins)  # .bmp and .tif too


def examples():
    """The commands of the tool's help, their further lines joined."""
    lines = re.findall(r"^    tools/make_pins (.*)$", make_pins.__doc__.replace("\\\n", " "), re.MULTILINE)
    return [shlex.split(line.split("      (")[0]) for line in lines]


@pytest.mark.parametrize("words", examples(), ids=lambda words: " ".join(words[:2]))
def test_an_example_of_the_help_works_as_written(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("crawl/ann", "images/ann", "data/open/clipart"):
        Path(folder).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(f"{folder}/1.jpg")
    Path("1.jpg").write_bytes(Path("crawl/ann/1.jpg").read_bytes())
    write(tmp_path, "crawl/crawl.csv", "username,image,description\nann,ann/1.jpg,a cake\n")
    write(tmp_path, "crawl.tsv", "ann\t1.jpg\ta käse pie\n", "cp1252")
    write(tmp_path, "crawl/crawl.json", json.dumps([{"user": "ann", "image": "ann/1.jpg", "description": "a cake"}]))
    write(tmp_path, "crawl/ann/1.txt", "a cake")
    write(tmp_path, "texts/ann.txt", "a cake\n")
    post = {"image": "1.jpg", "author": "ann", "text": "a cake", "tags": [], "source": "drawn", "license": "CC0"}
    posts = [post | {"id": str(number), "author": ("ann", "bob")[number % 2]} for number in range(40)]
    write(tmp_path, "data/open/clipart/posts.jsonl", "".join(json.dumps(one) + "\n" for one in posts))
    make_pins.main(cli.parser_of("", make_pins.add_arguments).parse_args(words))
    assert read_pins(words[words.index("--out") + 1])[0][0].user == "ann"


@pytest.mark.parametrize("layout", [of_windows_table, of_folders_in_cp1252, of_json_lines])
def test_a_text_of_another_encoding_is_named_with_the_switch_or_place(crawl, layout):
    arguments = [one for one in layout(crawl) if one not in ("--encoding", "cp1252")]
    with pytest.raises(ValueError, match=r"(crawl\.csv|2\.txt|10\.txt|crawl\.json).*not UTF-8") as stopped:
        run(*arguments)
    assert "\n" not in str(stopped.value) and not Path("pins.jsonl").exists()


@pytest.mark.parametrize("layout", [of_table, of_json_array, of_folders])
def test_pins_without_text_or_picture_are_kept_where_asked(crawl, layout, capsys):
    words = layout(crawl)
    if words[0] == "folder":
        (crawl / "ann/2.txt").write_text("")
        (crawl / "bob/x.bmp").unlink()
    else:
        source = (crawl / words[1]).read_text()
        texts = (PINS[0].text.replace('"', '""'), json.dumps(PINS[0].text)[1:-1])  # as csv and as JSON quote
        (crawl / words[1]).write_text(source.replace(texts[words[0] == "json"], "").replace("bob/x.bmp", ""))
    kept = {}
    for switches in ((), ("--keep-empty-text",), ("--keep-no-image",), ("--keep-empty-text", "--keep-no-image")):
        run(*words, *switches)
        pins, _ = read_pins("pins.jsonl", "--keep-empty-text" in switches, "--keep-no-image" in switches)
        kept[switches] = {pin.id for pin in pins}
    assert [len(ids) for ids in kept.values()] == [2, 3, 3, 4]
    assert "2 pins of 2 users; rejected: 1 no text, 1 no image" in capsys.readouterr().out.replace(
        "1 no image, 1 no text", "1 no text, 1 no image"
    )


def test_no_pin_is_an_error_and_writes_nothing(crawl):
    command = [sys.executable, make_pins.__file__, "folder", ".", "--out", "pins.jsonl"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == "make_pins: .: found no pin (rejected: 4 no text); wanted an image and a text\n"
    assert not Path("pins.jsonl").exists()


@pytest.mark.parametrize(
    ("layout", "out", "found"),
    [
        (of_table, "crawl.csv", "--out crawl.csv: found a file that is read as well"),
        (of_json_lines, "../images/crawl.json", "--out ../images/crawl.json: found a file that is read as well"),
        (of_a_text_file_a_user_in_order, "ann.txt", "ann.txt: found the name of a text or picture"),
    ],
)
def test_pins_are_not_written_over_what_they_are_made_of(crawl, layout, out, found):
    words = layout(crawl)
    before = (crawl / out).read_bytes()
    command = [sys.executable, make_pins.__file__, *words, "--out", out]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1 and failed.stderr.startswith(f"make_pins: {found}; wanted another")
    assert (crawl / out).read_bytes() == before


def test_hidden_and_system_files_are_passed_over_and_counted(crawl, capsys):
    of_folders(crawl)
    for name in (
        ".DS_Store",
        "Thumbs.db",
        "__MACOSX/ann/2.jpg",
        "ann/._2.jpg",
        "ann/@eaDir/2.jpg",
        ".git/x/y.jpg",
        "ann/notes.doc",
    ):
        write(crawl, name, "x")
    write(crawl, "loose.jpg", "x")
    run("folder", ".")
    assert len(read_pins("pins.jsonl")[0]) == 4
    said = capsys.readouterr().out
    assert "4 pins of 2 users; rejected: 1 in no user's folder" in said
    assert "6 hidden or system" in said and "1 other files" in said


def test_pictures_that_differ_in_their_ending_are_two_pins_with_the_text_of_both(crawl):
    of_folders(crawl)
    Image.new("RGB", (8, 8)).save(crawl / "ann/2.png")
    run("folder", ".")
    found = {pin.id: (pin.image, pin.text) for pin in read_pins("pins.jsonl")[0] if pin.user == "ann"}
    assert found == {
        "ann/2.jpg": ("ann/2.jpg", PINS[0].text),
        "ann/2.png": ("ann/2.png", PINS[0].text),
        "ann/10": ("ann/10.PNG", PINS[1].text),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\n", r"ann.txt: found 1 lines for 2 pictures; wanted one for each, or NAME<tab>text in each"),
        ("2\ta\n7\tb\n", r"ann.txt, line 2: found '7', which is no picture of the user"),
        ("2\ta\n2.jpg\tb\n", r"ann.txt, line 2: found '2.jpg', again"),
        ("\ta\n", r"ann.txt, line 1: found '', which is no picture"),
    ],
)
def test_a_users_text_file_that_does_not_fit_is_named(crawl, text, message):
    write(crawl, "ann.txt", text)
    with pytest.raises(ValueError, match=message):
        read_pins_folder(crawl)


def test_a_raised_digit_in_a_name_is_no_number(crawl):
    Image.new("RGB", (8, 8)).save(crawl / "ann/3².png")
    write(crawl, "ann.txt", "a\nb\nc\n")
    texts = {pin.id: pin.text for pin in read_pins_folder(crawl)[0] if pin.user == "ann"}
    assert texts == {"ann/2": "a", "ann/3²": "b", "ann/10": "c"}


def test_of_pictures_with_the_same_name_in_several_boards_a_users_text_file_names_the_path(crawl):
    for board in ("cakes", "pies"):
        (crawl / "ann" / board).mkdir()
        Image.new("RGB", (8, 8)).save(crawl / f"ann/{board}/2.jpg")
    write(crawl, "ann.txt", "ann/pies/2\ta\n2\tb\ncakes/2.jpg\tc\n10\td\n")
    texts = {pin.id: pin.text for pin in read_pins_folder(crawl)[0] if pin.user == "ann"}
    assert texts == {"ann/2": "b", "ann/10": "d", "ann/cakes/2": "c", "ann/pies/2": "a"}
    (crawl / "ann/2.jpg").unlink()
    with pytest.raises(ValueError, match="ann.txt, line 2: found '2', which fits ann/cakes/2 and ann/pies/2; wanted B"):
        read_pins_folder(crawl)


def test_texts_in_two_places_are_an_error(crawl):
    write(crawl, "ann.txt", "a\nb\n")
    write(crawl, "ann/2.txt", "c")
    with pytest.raises(ValueError, match="ann.txt: found texts here and in ann/2.txt; wanted one of the two"):
        read_pins_folder(crawl)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--delimiter", "ab"], "found 'ab'; wanted one character"),
        (["--column", "user"], "found 'user'; wanted KEY=NAME"),
        (["--encoding", "klingon"], "found 'klingon'; wanted an encoding"),
    ],
)
def test_switches_that_say_nothing_are_refused(crawl, capsys, arguments, message):
    with pytest.raises(SystemExit):
        run(*of_table(crawl), *arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("csv crawl.csv --texts texts", "csv: found --texts; wanted with folder alone"),
        ("csv crawl.csv --seed 1", "csv: found --seed; wanted with posts alone"),
        ("json crawl.json --delimiter ;", "json: found --delimiter; wanted with csv alone"),
        ("folder . --column text=says", "folder: found --column; wanted with csv, json alone"),
        ("folder . --pins-per-user 1 2", "folder: found --pins-per-user; wanted with posts alone"),
        ("posts posts.jsonl --keep-no-image", "posts: found --keep-no-image; wanted with csv, json, folder alone"),
    ],
)
def test_a_switch_of_another_kind_of_input_is_refused(crawl, words, found):
    for layout in (of_table, of_json_array, of_folders):
        layout(crawl)
    with pytest.raises(cli.UsageError, match=found):
        run(*words.split())
    assert not Path("pins.jsonl").exists()


def test_a_table_without_header_wants_numbers(crawl):
    with pytest.raises(ValueError, match="found no column of user, image, text; wanted its number"):
        run(*of_table(crawl), "--no-header")
    with pytest.raises(ValueError, match="line 1: found no column 9 in 1, 2, 3, 4"):
        run(*of_tabs_without_header_or_quotes(crawl), "--column", "text=9")


def test_a_folder_is_read_by_user_and_board(tmp_path):
    for name in ("ann/food/1.jpg", "ann/2.PNG", "bob/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "ann/food/1.txt").write_text("a cake")
    (tmp_path / "ann/2.txt").write_text("a pie")
    pins, rejected, _ = read_pins_folder(tmp_path)
    assert [(p.user, p.board, p.image, p.text) for p in pins] == [
        ("ann", None, "ann/2.PNG", "a pie"),
        ("ann", "food", "ann/food/1.jpg", "a cake"),
    ]
    assert count_reasons(rejected) == {"no text": 1}
