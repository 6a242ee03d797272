"""Pixels <-> Datum, with the real caffe_pb2."""

import io

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from PIL import Image

from mindpics.caffe_files import datum as datum_module
from mindpics.caffe_files.datum import decode, parse_datum, to_pixels
from mindpics.caffe_files.lmdb_check import check_records
from mindpics.datasets.picture_lmdb import to_datum
from mindpics.jobs.fork_first import in_fork

PIXELS = np.random.default_rng(0).integers(0, 255, (6, 4, 3), np.uint8)


@pytest.mark.parametrize("encoding", [None, "png"])
def test_round_trip(encoding):
    datum = parse_datum(to_datum(PIXELS, 7, encoding).SerializeToString())
    assert datum.label == 7 and datum.encoded == bool(encoding)
    assert np.array_equal(to_pixels(datum), PIXELS.transpose(2, 0, 1))


def test_raw_bytes_are_channel_first():
    datum = to_datum(PIXELS, 3)
    assert (datum.channels, datum.height, datum.width) == (3, 6, 4)
    assert datum.data == PIXELS.transpose(2, 0, 1).tobytes()


def test_jpeg_is_close_and_smaller():
    flat = np.full((64, 64, 3), (30, 90, 200), np.uint8)
    datum = to_datum(flat, 0, "jpg")
    assert len(datum.data) < flat.size // 4
    assert np.abs(to_pixels(datum).astype(int) - flat.transpose(2, 0, 1)).max() <= 3


@pytest.mark.parametrize(
    ("datum", "message"),
    [
        (caffe_pb2.Datum(channels=3, height=2, width=2, data=b"123"), "3 bytes and 0 floats; wanted 3x2x2 = 12"),
        (caffe_pb2.Datum(channels=1, height=1, width=2, float_data=[1]), "1 floats"),
        (caffe_pb2.Datum(encoded=True, data=b"no picture"), "does not decode"),
        (caffe_pb2.Datum(encoded=True), "does not decode"),
    ],
)
def test_a_bad_datum_is_named(datum, message):
    with pytest.raises(ValueError, match=message):
        to_pixels(datum)


def test_bytes_that_are_no_datum():
    with pytest.raises(ValueError, match="found what cannot be read .*; wanted a Datum"):
        parse_datum(b"\xff\xff\xff")


def saved(kind, mode="RGB", **options):
    stream = io.BytesIO()
    Image.fromarray(PIXELS[..., ::-1].repeat(4, 0).repeat(4, 1)).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


STILL = Image.new("RGB", (16, 24))
ENCODED = {  # as Caffe's own OpenCV has them: a picture's bytes, whether Data decodes them, whether ImageData does
    "JPEG": (saved("JPEG"), True, True),
    "JPEG without its end": (saved("JPEG")[:-2], True, True),  # of one cut further Caffe returns rows it never wrote
    "PNG": (saved("PNG"), True, True),
    "PNG without its end": (saved("PNG")[:-99], False, False),
    "TIFF": (saved("TIFF"), True, True),
    "TIFF, packed by LZMA": (saved("TIFF", compression="lzma"), True, True),
    "GIF": (saved("GIF"), False, False),
    "WebP": (saved("WEBP"), False, True),
    "WebP with EXIF": (saved("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0"), False, True),
    "WebP that moves": (saved("WEBP", save_all=True, append_images=[STILL]), False, False),
    "AVIF": (saved("AVIF"), False, False),
}


def pass_forward(path):
    net = caffe.Net(path, caffe.TEST)
    return net.forward()["data"][0].tolist()


def as_caffe(folder, layer, options):
    """Return what a net of one layer makes of a picture; None where Caffe aborts."""
    (folder / "net").write_text(f'layer {{ name: "data" type: "{layer}" top: "data" top: "label" {options} }}')
    try:
        return np.array(in_fork(pass_forward, str(folder / "net")), np.uint8)
    except ValueError as error:
        assert "Check failed" in str(error)
        return None


@pytest.mark.parametrize("name", ENCODED)
def test_a_picture_decodes_where_it_does_in_caffe(name, tmp_path):
    data, *wanted = ENCODED[name]
    datum = caffe_pb2.Datum(encoded=True, data=data)
    (tmp_path / "picture").write_bytes(data)
    (tmp_path / "list").write_text(f"{tmp_path}/picture 0")
    with lmdb.open(str(tmp_path / "lmdb")) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"0", datum.SerializeToString())
    layers = {
        "Data": f'data_param {{ source: "{tmp_path}/lmdb" batch_size: 1 backend: LMDB }}',
        "ImageData": f'image_data_param {{ source: "{tmp_path}/list" batch_size: 1 }}',
    }
    for (layer, options), is_decoded in zip(layers.items(), wanted, strict=True):
        caffes = as_caffe(tmp_path, layer, options)
        pixels = decode(data, None if layer == "Data" else 3, layer)
        assert (caffes is not None, pixels is not None) == (is_decoded, is_decoded)
        assert not is_decoded or np.array_equal(pixels.transpose(2, 0, 1), caffes)
    if wanted[0]:
        assert to_pixels(datum).shape == check_records(tmp_path / "lmdb").shapes.popitem()[0] == (3, 24, 16)
        return
    with pytest.raises(ValueError, match="does not decode; wanted a picture"):
        to_pixels(datum)
    with pytest.raises(ValueError, match="key '0': found an encoded Datum .* does not decode"):
        check_records(tmp_path / "lmdb")


def test_a_format_is_asked_for_once_and_a_webp_that_exif_turns_each_time(monkeypatch):
    asked, ask = [], datum_module._asked
    monkeypatch.setattr(datum_module, "_decoded", set())
    monkeypatch.setattr(datum_module, "_asked", lambda *args: asked.append(args) or ask(*args))
    exif = Image.Exif()
    for turn, sides, count in ((1, (24, 16), 1), (1, (24, 16), 1), (6, (24, 16), 2), (6, (24, 16), 3)):
        exif[0x112] = turn
        assert decode(saved("WEBP", exif=exif), 3, "ImageData").shape[:2] == sides and len(asked) == count
