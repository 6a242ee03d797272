"""LMDBs of pictures as Caffe's own commands make them: same bytes, same mean, read by a real net."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import caffe
import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage.data import astronaut

from mindpics.caffe_files import lmdbs as lmdb_io
from mindpics.caffe_files.datum import to_pixels
from mindpics.datasets import picture_lmdb
from mindpics.posts import crops
from mindpics.posts.picture_files import read_picture

BIN = Path(sys.executable).parent
TOOLS = Path(__file__).resolve().parents[2] / "tools"
N = 12


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    """Twelve pictures of several kinds and shapes, and two that are none."""
    folder = tmp_path_factory.mktemp("crawl")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N):
        height, width = (int(v) for v in rng.integers(40, 400, 2))
        small = rng.integers(0, 255, (9, 9, 3), np.uint8)
        pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        name = f"p{i}.{'jpg' if i % 3 == 0 else 'png'}"
        cv2.imwrite(str(folder / name), pixels)
        rows.append((f"p{i}", name, i % 10, "train"))
    (folder / "broken.jpg").write_bytes((folder / "p0.jpg").read_bytes()[:-2000])
    rows += [("broken", "broken.jpg", 1, "train"), ("gone", "gone.jpg", 1, "train"), ("t", "p1.png", 1, "test")]
    write_csv(folder / "all.csv", rows)
    return folder


def write_csv(path, rows, header=picture_lmdb.COLUMNS):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def made(crawl):
    rows = picture_lmdb.read_rows(crawl / "all.csv", "train")
    assert picture_lmdb.write_lmdb(rows, crawl / "train_lmdb", seed=5, workers=2) == (N, 2)
    return crawl / "train_lmdb"


def test_keys_are_counted_shuffled_and_hold_the_right_labels(made):
    records = list(lmdb_io.read_lmdb(made))
    ids = [key.split("_", 1)[1] for key, _ in records]
    assert [key[:9] for key, _ in records] == [f"{i:08d}_" for i in range(N)]
    assert sorted(ids) == sorted(f"p{i}" for i in range(N)) != ids
    assert all(datum.label == int(key.split("_p")[1]) % 10 for key, datum in records)
    assert all(to_pixels(datum).shape == (3, 256, 256) and not datum.encoded for _, datum in records)
    assert lmdb_io.count_lmdb(made) == N


def test_the_rejected_are_listed_with_the_true_reason(made):
    lines = (made.parent / "train_lmdb.rejected.jsonl").read_text().splitlines()
    reasons = {row["id"]: row["reason"] for row in map(json.loads, lines)}
    assert reasons.keys() == {"broken", "gone"}
    assert "Premature end of JPEG file" in reasons["broken"] and reasons["gone"] == "no such file"


def test_the_same_seed_gives_the_same_bytes_and_another_another_order(crawl, made):
    rows = picture_lmdb.read_rows(crawl / "all.csv", "train")
    for seed, same in ((5, True), (6, False)):
        picture_lmdb.write_lmdb(rows, crawl / f"again{seed}", seed=seed, workers=1)
        keys = [[key for key, _ in lmdb_io.read_lmdb(path)] for path in (made, crawl / f"again{seed}")]
        assert (keys[0] == keys[1]) == same
        records = [{d.SerializeToString() for _, d in lmdb_io.read_lmdb(p)} for p in (made, crawl / f"again{seed}")]
        assert records[0] == records[1]


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


def save_turned(picture, folder, kind):
    """Save a picture with each EXIF orientation that there is, two that there are not, and one of XMP's."""
    options = {"lossless": True} if kind == "WEBP" else {}
    for turn in range(1 if kind == "TIFF" else 0, 10):  # OpenCV reads no TIFF of turn 0
        exif = Image.Exif()
        exif[0x0112] = turn
        turned = {"tiffinfo": {0x0112: turn}} if kind == "TIFF" else {"exif": exif}
        picture.save(folder / f"{turn}.{kind.lower()}", kind, **turned, **options)
    if kind in ("JPEG", "WEBP"):
        picture.save(folder / f"xmp.{kind.lower()}", kind, xmp=XMP.encode(), **options)
    if kind == "PNG":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP)
        picture.save(folder / "xmp.png", kind, pnginfo=text)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_where_convert_imageset_turns_it(tmp_path, kind, gray):
    (tmp_path / "pictures").mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    save_turned(Image.fromarray(cv2.resize(coarse, (30, 20))), tmp_path / "pictures", kind)
    paths = sorted((tmp_path / "pictures").iterdir())
    (tmp_path / "list.txt").write_text("".join(f"{path.name} 0\n" for path in paths))
    places = f"{tmp_path}/pictures/", tmp_path / "list.txt", tmp_path / "theirs"
    command = [BIN / "convert_imageset", f"--gray={str(gray).lower()}", *places]
    subprocess.run(command, check=True, capture_output=True)
    theirs = dict(zip(paths, (datum for _, datum in lmdb_io.read_lmdb(tmp_path / "theirs")), strict=True))
    for path, datum in theirs.items():
        assert np.array_equal(read_picture(path, gray=gray).transpose(2, 0, 1), to_pixels(datum)), path.name


def save_each_kind(folder):
    """Save a coloured picture in each format and mode that convert_imageset reads, without transparency."""
    smooth = Image.fromarray(astronaut()[100:220, 100:260])
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
        smooth.save(folder / f"smooth.{kind.lower()}", kind)
        noise.save(folder / f"noise.{kind.lower()}", kind)
    for kind in ("JPEG", "PNG"):
        Image.fromarray(astronaut()[:, :300]).save(folder / f"large.{kind.lower()}", kind)
    smooth.save(folder / "rgb.jpeg", keep_rgb=True)
    smooth.save(folder / "progressive.jpeg", progressive=True, subsampling=2)
    for kind in ("jpeg", "tiff"):
        smooth.convert("CMYK").save(folder / f"cmyk.{kind}")
        noise.convert("CMYK").save(folder / f"cmyk_noise.{kind}")
    for mode in ("LAB", "YCbCr"):
        noise.convert(mode).save(folder / f"{mode}.tiff")
    for compression in ("jpeg", "tiff_lzw"):
        smooth.save(folder / f"{compression}.tiff", compression=compression)
    for mode, kinds in {"L": ("jpeg", "png", "tiff", "bmp"), "P": ("png", "tiff", "bmp"), "1": ("png",)}.items():
        for kind in kinds:
            smooth.convert(mode).save(folder / f"{mode}.{kind}")
    deep = np.random.default_rng(1).integers(0, 65536, (48, 64, 3), np.uint16)
    for kind in ("png", "tiff"):
        cv2.imwrite(str(folder / f"rgb16.{kind}"), deep)
        cv2.imwrite(str(folder / f"gray16.{kind}"), deep[..., 0])


@pytest.mark.parametrize(("gray", "size"), [(True, 256), (True, (40, 90)), (False, 256)])
def test_pictures_of_every_kind_are_those_of_convert_imageset_bit_for_bit(tmp_path, gray, size):
    """A JPEG's gray is its luminance, up to 16 levels off the gray of its colours."""
    (tmp_path / "pictures").mkdir()
    save_each_kind(tmp_path / "pictures")
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    (tmp_path / "list.txt").write_text("".join(f"{name} 0\n" for name in names))
    height, width = size if isinstance(size, tuple) else (size, size)
    switches = f"--gray={str(gray).lower()}", f"--resize_height={height}", f"--resize_width={width}"
    places = f"{tmp_path}/pictures/", tmp_path / "list.txt", tmp_path / "theirs"
    subprocess.run([BIN / "convert_imageset", *switches, *places], check=True, capture_output=True)
    write_csv(tmp_path / "rows.csv", [(name, f"pictures/{name}", 0, "train") for name in names])
    ours = "--split", "train", *["--gray"] * gray, "--size", f"{height}x{width}", "--out", tmp_path / "ours"
    subprocess.run([sys.executable, TOOLS / "create_lmdb", tmp_path / "rows.csv", *ours], check=True)
    theirs = {key.partition("_")[2]: datum for key, datum in lmdb_io.read_lmdb(tmp_path / "theirs")}
    made = {key.partition("_")[2]: datum for key, datum in lmdb_io.read_lmdb(tmp_path / "ours")}
    assert made.keys() == theirs.keys() and len(made) == len(names) > 20
    for name, datum in made.items():
        assert datum.SerializeToString() == theirs[name].SerializeToString(), name
    mean = lmdb_io.mean_image(tmp_path / "ours")
    assert mean.shape == (1 if gray else 3, height, width)


def test_what_is_clear_is_white_in_gray_too():
    clear = Image.new("RGBA", (5, 4), (255, 0, 0, 0))
    stream = io.BytesIO()
    clear.save(stream, "PNG")
    gray = crops.decode(stream.getvalue(), gray=True)
    assert gray.shape == (4, 5, 1) and gray.min() == 255


def test_the_mean_equals_compute_image_mean_bit_for_bit(made, tmp_path):
    subprocess.run([BIN / "compute_image_mean", made, tmp_path / "theirs.binaryproto"], check=True, capture_output=True)
    subprocess.run([sys.executable, TOOLS / "compute_mean", made, tmp_path / "ours.binaryproto"], check=True)
    theirs, ours = (lmdb_io.read_mean(tmp_path / f"{who}.binaryproto") for who in ("theirs", "ours"))
    assert ours.shape == (3, 256, 256) and ours.dtype == np.float32
    assert np.array_equal(ours, theirs)
    assert (tmp_path / "ours.binaryproto").read_bytes() == (tmp_path / "theirs.binaryproto").read_bytes()


@pytest.mark.parametrize("encoding", [None, "png"])
def test_a_data_layer_reads_it_less_the_mean(crawl, tmp_path, encoding):
    rows = picture_lmdb.read_rows(crawl / "all.csv", "train")
    picture_lmdb.write_lmdb(rows, tmp_path / "db", size=64, encoding=encoding, workers=1)
    mean = lmdb_io.mean_image(tmp_path / "db")
    lmdb_io.write_mean(tmp_path / "mean.binaryproto", mean)
    (tmp_path / "net.prototxt").write_text(f"""
        layer {{ name: "data" type: "Data" top: "data" top: "label"
                 transform_param {{ mean_file: "{tmp_path}/mean.binaryproto" }}
                 data_param {{ source: "{tmp_path}/db" backend: LMDB batch_size: {N} }} }}""")
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net.forward()
    records = [datum for _, datum in lmdb_io.read_lmdb(tmp_path / "db")]
    wanted = np.stack([to_pixels(d) for d in records]) - mean
    assert np.allclose(net.blobs["data"].data, wanted, atol=1e-4)
    assert net.blobs["label"].data.tolist() == [d.label for d in records]


def test_a_name_that_is_taken_is_kept_unless_forced(crawl, made):
    rows = picture_lmdb.read_rows(crawl / "all.csv", "test")
    with pytest.raises(ValueError, match="train_lmdb: found a file or folder of that name"):
        picture_lmdb.write_lmdb(rows, made)
    assert lmdb_io.count_lmdb(made) == N
    picture_lmdb.write_lmdb(rows, crawl / "forced", workers=1)
    assert picture_lmdb.write_lmdb(rows, crawl / "forced", workers=1, force=True) == (1, 0)


def test_a_killed_run_leaves_nothing_under_the_name_and_another_list_starts_anew(tmp_path):
    big = Image.effect_noise((3000, 3000), 90).convert("RGB")
    big.save(tmp_path / "a.png", compress_level=1)
    path = write_csv(tmp_path / "a.csv", [(f"i{i}", "a.png", 0, "train") for i in range(400)])
    command = [sys.executable, TOOLS / "create_lmdb", path, "--split", "train", "--out", tmp_path / "db"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.time() + 60
    while not (tmp_path / "db.partial").exists() and time.time() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (tmp_path / "db.partial").exists() and not (tmp_path / "db").exists()
    rows = picture_lmdb.read_rows(path, "train")[:3]
    assert picture_lmdb.write_lmdb(rows, tmp_path / "db", workers=1) == (3, 0)
    assert not (tmp_path / "db.partial").exists()


def test_only_broken_pictures_make_no_lmdb(crawl, tmp_path):
    rows = [("gone", crawl / "gone.jpg", 0)]
    with pytest.raises(ValueError, match="found none of 1 pictures readable .*no such file"):
        picture_lmdb.write_lmdb(rows, tmp_path / "db", workers=1)
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", "x.png", "2", "val"), "line 2: found split 'val'; wanted train or test"),
        (("a", "x.png", "-1", "train"), "line 2: found label '-1'; wanted a whole number"),
        (("a", "../x.png", "1", "train"), "line 2: found image '../x.png'; wanted a path inside"),
        (("", "x.png", "1", "train"), "line 2: found id ''; wanted 1 to"),
        (("a", "x.png", "1", "test"), "no row of split 'train'"),
    ],
)
def test_a_bad_row_names_its_line(tmp_path, row, message):
    with pytest.raises(ValueError) as error:
        picture_lmdb.read_rows(write_csv(tmp_path / "bad.csv", [row]), "train")
    assert message in str(error.value)


def test_missing_columns_and_repeated_ids_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"line 1: found no column label, split in id, image"):
        picture_lmdb.read_rows(write_csv(tmp_path / "c.csv", [], header=("id", "image")), "train")
    twice = [("a", "x.png", 1, "train"), ("a", "y.png", 1, "test")]
    with pytest.raises(ValueError, match="line 3: found id 'a' again; wanted each id once"):
        picture_lmdb.read_rows(write_csv(tmp_path / "d.csv", twice), "train")


def test_the_rows_of_one_trait_are_read_alone(tmp_path):
    rows = [("a", "a.png", 0, "train", "O"), ("b", "b.png", 2, "train", "C"), ("c", "c.png", 1, "test", "O")]
    path = write_csv(tmp_path / "mindpics.csv", rows, [*picture_lmdb.COLUMNS, "trait"])
    for trait, ids in (("O", ["a"]), ("C", ["b"]), (None, ["a", "b"])):
        assert [id_ for id_, _, _ in picture_lmdb.read_rows(path, "train", trait=trait)] == ids
    with pytest.raises(ValueError, match="no row of split 'train' and trait E"):
        picture_lmdb.read_rows(path, "train", trait="E")
