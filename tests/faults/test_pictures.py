"""What becomes of bad pictures: decoded as documented, or rejected with a true reason; never more than a gigabyte."""

import json
import os
import re
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import caffe
import numpy as np
import pytest
from bad_pictures import KINDS, NOISE, saved
from PIL import Image

from mindpics.caffe_files.lmdbs import read_lmdb
from mindpics.datasets.picture_lmdb import read_rows, write_lmdb
from mindpics.posts import crops
from mindpics.posts.picture_files import read_picture

TOOLS = Path(__file__).resolve().parents[2] / "tools"
HEAD = """
layer { name: "score_%s" type: "InnerProduct" bottom: "fc" top: "score_%s" inner_product_param { num_output: 2 } }
layer { name: "prob_%s" type: "Softmax" bottom: "score_%s" top: "prob_%s" }
"""
DEPLOY = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 4 } }
""" + "".join(HEAD.replace("%s", trait) for trait in "OCEAN")
NAMES = (
    "plain.png",
    "with space.png",
    "käse.png",
    unicodedata.normalize("NFD", "käse-d.png"),
    "日本語.png",
    "🦊.png",
    "new\nline.png",
    "-rf.png",
    "quote'\".png",
    "#hash%20.png",
    "..png",
    "a" * 240 + ".png",
    "\u202egnp.exe.png",
)


def test_there_are_sixty_kinds_and_bombs_are_small():
    assert len(KINDS) >= 60
    for name, (make, _) in KINDS.items():
        if name.startswith("bomb"):
            assert len(make()) < 50_000, name


@pytest.mark.parametrize("name", KINDS)
def test_decoded_as_documented_or_rejected_with_a_reason(name):
    make, wanted = KINDS[name]
    if isinstance(wanted, tuple):
        pixels = crops.decode(make())
        assert pixels.shape == (*wanted, 3)
        assert pixels.dtype == np.uint8
        return
    with pytest.raises(ValueError, match=wanted):
        crops.decode(make())


def test_an_lmdb_of_them_all_counts_every_one_and_says_nothing_on_stderr(tmp_path, capfd):
    """Together with files that are none, and with names that are odd."""
    lines = ["id,image,label,split"]
    wanted = {}
    for number, (make, what) in enumerate(KINDS.values()):
        (tmp_path / f"{number}.jpg").write_bytes(make())
        lines.append(f"k{number},{number}.jpg,1,train")
        wanted[f"k{number}"] = what
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    with open(tmp_path / "huge.jpg", "wb") as stream:
        stream.truncate(1 << 40)  # a terabyte, of which nothing is on disk
    for name, reason in (
        ("link", "no such file"),
        ("absent", "no such file"),
        ("folder", "a folder"),
        ("pipe", "no file: a pipe"),
        ("huge", "1099511627776 bytes; at most"),
    ):
        lines.append(f"{name},{name}.jpg,1,train")
        wanted[name] = reason
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = read_rows(tmp_path / "rows.csv", "train")
    for name in NAMES:
        (tmp_path / name).write_bytes(saved(NOISE, "PNG"))
        rows.append((f"n{len(rows)}", tmp_path / name, 1))
        wanted[rows[-1][0]] = (48, 64)
    capfd.readouterr()
    started = time.monotonic()
    written, rejected = write_lmdb(rows, tmp_path / "lmdb", size=8, workers=2)
    assert time.monotonic() - started < 60  # no reader waited for the pipe
    shown = re.sub(r"\r?[^\n\r]*\|[^\n\r]*", "", capfd.readouterr().err)  # but for the bar
    assert shown.strip() == ""
    listed = [json.loads(line) for line in (tmp_path / "lmdb.rejected.jsonl").read_text("utf-8").splitlines()]
    assert {row["id"] for row in listed} == {id_ for id_, what in wanted.items() if isinstance(what, str)}
    for row in listed:
        assert re.search(wanted[row["id"]], row["reason"]), row
    assert (written, rejected) == (len(wanted) - len(listed), len(listed))
    assert sum(1 for _ in read_lmdb(tmp_path / "lmdb")) == written


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "secret.png"
    path.write_bytes(saved(NOISE, "PNG"))
    path.chmod(0)
    script = (
        "import os, sys, pathlib\nfrom mindpics.posts.picture_files import read_picture\n"
        "os.getuid() or os.setuid(65534)\nread_picture(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert "ValueError: Permission denied" in done.stderr


LONG = [pytest.param(kind, marks=pytest.mark.long) for kind in ("P", "I;16", "CMYK", "turned")]


@pytest.mark.parametrize("kind", ["RGBA", *LONG])
def test_the_largest_pictures_take_less_than_a_gigabyte(tmp_path, kind):
    """Each at the limit of 50 megapixels, in a process that may have no more than 1 GB besides its libraries."""
    size = (7000, 7142)
    options = {}
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif}
    picture = Image.new({"turned": "RGB"}.get(kind, kind), size)
    path = tmp_path / "large"
    picture.save(path, "JPEG" if kind in ("CMYK", "turned") else "PNG", compress_level=1, **options)
    script = (
        "import pathlib, sys\nfrom mindpics.benchmarks.machine import peak_memory_gb\n"
        "from mindpics.posts.picture_files import read_picture\n"
        "print(read_picture(pathlib.Path(sys.argv[1])).shape, peak_memory_gb())"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    shape, gigabytes = done.stdout.rsplit(" ", 1)
    assert shape == str((*(size if kind == "turned" else size[::-1]), 3))
    assert float(gigabytes) < 1


@pytest.mark.long
def test_the_limit_can_be_raised_beyond_pillows_own(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (15000, 12500)).save(path)
    with pytest.raises(ValueError, match="187500000 pixels; at most 50000000"):
        read_picture(path)
    with pytest.raises(ValueError, match="at most 187499999"):
        read_picture(path, max_pixels=187_499_999)
    assert read_picture(path, max_pixels=187_500_000).shape == (12500, 15000, 3)


def test_the_limit_can_be_raised(tmp_path):
    path = tmp_path / "small.png"
    NOISE.save(path)
    with pytest.raises(ValueError, match="64x48 is 3072 pixels; at most 3071"):
        read_picture(path, max_pixels=3071)
    assert read_picture(path, max_pixels=3072).shape == (48, 64, 3)
    assert Image.MAX_IMAGE_PIXELS is None  # Pillow's own limit would stand in the way of a larger one


def _select(folder):
    return "select_mindpics", folder / "posts.jsonl", "--out", folder / "out"


def _features(folder):
    net = folder / "deploy.prototxt", folder / "net.caffemodel"
    pins = "--jsonl", folder / "pins.jsonl"
    return "extract_features", *net, "--mean", 1, 2, 3, "--blob", "fc", *pins, "--out", folder / "out/fc"


def _profile(folder):
    net = "--net", folder / "deploy.prototxt", folder / "net.caffemodel"
    return "profile_user", "--pictures", folder / "images", *net, "--mean", folder / "mean", "--out", folder / "out"


def _fine_tune(folder):
    weights = "--split", folder / "split.csv", "--weights", folder / "net.caffemodel"
    return "finetune_fc7", "--pins", folder / "pins.jsonl", *weights, "--scale", "tiny", "--out", folder / "out"


@pytest.mark.parametrize("command", [_select, _features, _profile, _fine_tune])
def test_a_set_without_a_readable_picture_is_an_error_with_the_first_reason(tmp_path, command):
    """create_lmdb's is in tests/datasets/test_picture_lmdb.py."""
    (tmp_path / "images").mkdir()
    keys = {"text": "a party", "tags": [], "source": "", "license": "", "board": None}
    parts, lines = ("train", "train", "validation", "test"), []
    for number in range(8):
        (tmp_path / f"images/{number}.jpg").write_text("no picture")
        ids = {
            "id": f"p{number}",
            "user": f"u{number % 2}",
            "author": f"u{number % 2}",
            "image": f"images/{number}.jpg",
        }
        lines.append(json.dumps(ids | keys) + "\n")
    for name in ("posts.jsonl", "pins.jsonl"):
        (tmp_path / name).write_text("".join(lines))
    rows = [f"p{number},u{number % 2},{parts[number // 2]}\n" for number in range(8)]
    (tmp_path / "split.csv").write_text("id,user,split\n" + "".join(rows))
    (tmp_path / "deploy.prototxt").write_text(DEPLOY)
    caffe.Net(str(tmp_path / "deploy.prototxt"), caffe.TEST).save(str(tmp_path / "net.caffemodel"))
    mean = caffe.io.array_to_blobproto(np.zeros((1, 3, 8, 8)))
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    name, *arguments = command(tmp_path)
    done = subprocess.run([sys.executable, TOOLS / name, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert (
        ("none of" in last or "wanted one of 8" in last)
        and "no picture of a known format" in last
        and "Traceback" not in done.stderr
    )
