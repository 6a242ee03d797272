"""Decoding whatever a crawl holds, and the warp that convert_imageset does."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from mindpics.posts import crops

RED, GREEN, WHITE = (0, 0, 255), (0, 128, 0), (255, 255, 255)  # BGR


def saved(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def colour_of(data, tolerance=0):
    pixels = crops.decode(data)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.flags.c_contiguous
    assert np.ptp(pixels.reshape(-1, 3), axis=0).max() <= tolerance
    return tuple(int(v) for v in pixels[0, 0])


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_colour_is_bgr(kind):
    assert colour_of(saved(Image.new("RGB", (5, 4), "red"), kind)) == RED


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpeg_of_any_colour_space(mode):
    data = saved(Image.new("RGB", (16, 16), (200, 40, 90)).convert(mode), "JPEG", quality=100)
    wanted = np.array(Image.new("RGB", (1, 1), (200, 40, 90)).convert(mode).convert("RGB"))[0, 0, ::-1]
    assert np.abs(np.array(colour_of(data)) - wanted).max() <= 2


def test_adobe_cmyk_is_not_inverted():
    # Photoshop stores ink upside down and marks the file with an Adobe segment
    white = saved(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG", quality=100)
    assert b"Adobe" in white
    assert min(colour_of(white)) >= 253


def test_exif_turn():
    picture = Image.new("RGB", (20, 10), "white")
    picture.paste("red", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to show
    pixels = crops.decode(saved(picture, "JPEG", exif=exif, quality=100))
    assert pixels.shape == (20, 10, 3)
    assert pixels[2, 5, 1] < 30 and pixels[17, 5, 1] > 225  # red above, white below


def test_a_jpeg_with_a_preview_behind_it_is_turned_like_any_other():
    picture, exif = Image.new("RGB", (20, 10), "white"), Image.Exif()
    exif[0x0112] = 6
    data = saved(picture, "MPO", save_all=True, append_images=[picture], exif=exif)
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert crops.decode(data).shape == (20, 10, 3) and crops.decode(data, gray=True).shape == (20, 10, 1)


def photograph(side=1080):
    """A square photograph that scikit-image brings, as JPEG."""
    return saved(Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.BICUBIC), "JPEG", quality=90)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_jpeg_is_decoded_to_what_pillow_makes_of_it(mode):
    picture = Image.fromarray(data.astronaut()).convert(mode)
    for options in ({}, {"progressive": True}, {"subsampling": 0}):
        jpeg = saved(picture, "JPEG", quality=85, **options)
        wanted = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))[:, :, ::-1]
        assert np.array_equal(crops.decode(jpeg), wanted)


def test_a_jpeg_without_its_end_is_not_filled_with_grey():
    jpeg = photograph()
    assert b"\xff\xd9" not in jpeg[:-2]
    with pytest.raises(ValueError, match="broken JPEG: Premature end of JPEG file"):
        crops.decode(jpeg[:-200])
    assert crops.decode(jpeg + b"\0" * 100).shape == (1080, 1080, 3)


@pytest.mark.parametrize(("side", "kept"), [(1023, 1023), (1024, 512), (1080, 540), (2048, 512), (4096, 512)])
def test_reduced_decoding_keeps_twice_the_side(side, kept):
    assert crops.decode(photograph(side), reduced_to=256).shape == (kept, kept, 3)


def test_reduced_decoding_differs_by_a_level_of_a_photograph():
    whole, reduced = (crops.warp(crops.decode(photograph(), reduced_to=to)).astype(int) for to in (None, 256))
    assert 0 < np.abs(whole - reduced).mean() < 1.5


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_is_laid_on_white(kind):
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert colour_of(saved(clear, kind, **({"lossless": True} if kind == "WEBP" else {}))) == WHITE
    half = colour_of(saved(Image.new("RGBA", (8, 8), (255, 0, 0, 128)), "PNG"))
    assert half[2] == 255 and abs(half[0] - 127) <= 1


def test_palette_with_a_transparent_colour():
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    assert colour_of(saved(picture, "PNG", transparency=0)) == WHITE
    assert colour_of(saved(picture, "PNG")) == (0, 0, 0)


def test_grey_with_alpha():
    assert colour_of(saved(Image.new("LA", (8, 8), (10, 0)), "PNG")) == WHITE


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_16_bit_png_keeps_the_high_byte(shape):
    data = cv2.imencode(".png", np.full(shape, 0x40FF, np.uint16))[1].tobytes()
    assert colour_of(data) == (0x40, 0x40, 0x40)


def test_first_frame_of_animations():
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    for kind, more in (("GIF", {}), ("WEBP", {"lossless": True})):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **more)
        assert colour_of(data) == RED


def png_header(width, height):
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", ihdr), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )


def test_a_bomb_is_refused_by_its_header():
    with pytest.raises(ValueError, match="50000x50000 is 2500000000 pixels; at most"):
        crops.decode(png_header(50_000, 50_000))
    with pytest.raises(ValueError, match="8000x8000 is 64000000 pixels; at most 50000000"):
        crops.decode(png_header(8000, 8000))
    with pytest.raises(ValueError, match="at most 100 are decoded"):
        crops.decode(saved(Image.new("RGB", (11, 10)), "PNG"), max_pixels=100)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>gone</html>", "known format"),
        (png_header(9, 0), "broken|known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known format"),
    ],
)
def test_what_is_no_picture_says_so(data, reason):
    with pytest.raises(ValueError, match=reason):
        crops.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_cut_and_corrupted_files_give_a_reason_or_a_picture(kind):
    rng = np.random.default_rng(0)
    data = saved(Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)), kind)
    with pytest.raises(ValueError, match="broken|known format"):
        crops.decode(data[: len(data) // 2])
    for seed in range(50):
        rng = np.random.default_rng(seed)
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 5):
            broken[place] = rng.integers(256)
        try:
            assert crops.decode(bytes(broken)).shape[2] == 3
        except ValueError as error:
            assert str(error)  # any other exception fails the test


def test_warp_is_opencv_bilinear_whatever_the_shape():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 90, 3), np.uint8)
    warped = crops.warp(pixels)
    assert warped.shape == (256, 256, 3)
    assert np.array_equal(warped, cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_LINEAR))
    assert crops.warp(warped) is warped


def test_pack_is_channel_first_bgr():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert crops.pack(pixels)[:8] == bytes(range(0, 24, 3))
    with pytest.raises(ValueError, match=r"found float64 \(2, 4, 3\); wanted uint8"):
        crops.pack(pixels.astype(float))


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (41, 41), (17, 90), (512, 700)])
def test_decaf_scales_the_shorter_side_and_cuts_the_centre(shape):
    """Against the formulas of its scale_and_extract: ratio, rounding, offsets, and bilinear values by hand."""
    size = 32
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    ratio = max(size / shape[0], size / shape[1])
    scaled = [int(side * ratio + 0.5) for side in shape]
    rows, columns = (
        (np.arange(size) + (new - size) // 2 + 0.5) * old / new - 0.5 for old, new in zip(shape, scaled, strict=True)
    )

    def along(values, places):
        places = np.clip(places, 0, len(values) - 1)
        low = np.floor(places).astype(int)
        share = (places - low)[:, None, None]
        return values[low] * (1 - share) + values[np.minimum(low + 1, len(values) - 1)] * share

    by_hand = along(along(pixels.astype(float), rows).transpose(1, 0, 2), columns).transpose(1, 0, 2)
    found = crops.centre_square(pixels, size)
    assert found.shape == (size, size, 3) and found.flags.c_contiguous
    assert np.abs(found - by_hand).max() <= 1


def test_what_is_not_warped_keeps_its_shape():
    """A circle in a wide picture stays one."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    cv2.circle(pixels, (100, 50), 30, WHITE, -1)
    width, height = ((crops.centre_square(pixels, 50) > 127).any(axis=axis).any(axis=-1).sum() for axis in (0, 1))
    assert abs(width - height) <= 1 and abs(width - 30) <= 2
    warped = crops.warp(pixels, 50) > 127
    assert warped.any(axis=0).any(axis=-1).sum() < 20


def test_a_strip_is_refused_before_it_fills_the_memory():
    with pytest.raises(ValueError, match="1x500; the longer side is over 100 times the shorter"):
        crops.centre_square(np.zeros((500, 1, 3), np.uint8))
