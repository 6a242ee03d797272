"""More than sixty kinds of picture that a crawl may hold, made here, with what must become of each.

`KINDS` maps a name to (maker of the file's bytes, what is wanted): a shape (H, W) for those that are
decoded, or words of the reason for those that are rejected.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8))
NOT_A_PICTURE = "no picture of a known format"


def saved(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png(width, height, depth, colour, rows, chunks=b""):
    """A PNG by hand; `rows` are the filtered bytes before compression."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + data + chunk(b"IEND", b"")


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def exif(turn):
    data = Image.Exif()
    data[0x0112] = turn
    return data


def animated(kind):
    frames = [Image.new("RGB", (64, 48), (i * 60, 0, 0)) for i in range(4)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def bomb_png(side):
    """Black, `side` x `side`, one bit a pixel."""
    return png(side, side, 1, 0, b"\0" * ((side // 8 + 1) * side))


def bomb_gif(side):
    """The header alone says how large it is: 13 bytes."""
    size = struct.pack("<HH", side, side)
    return b"GIF89a" + size + b"\0\0\0,\0\0\0\0" + size + b"\0\2\0;"


def float_tiff(value):
    return saved(Image.fromarray(np.full((48, 64), value, np.float32)), "TIFF")


def flipped(data, where):
    return data[:where] + bytes([data[where] ^ 0xFF]) + data[where + 1 :]


def holed(data):
    """A file whose middle is zeros: its end is there."""
    middle = len(data) // 2
    return data[: middle - 100] + bytes(200) + data[middle + 100 :]


JPEG, PNG, GIF = (saved(NOISE, kind) for kind in ("JPEG", "PNG", "GIF"))
WEBP, BMP, TIFF = saved(NOISE, "WEBP", lossless=True), saved(NOISE, "BMP"), saved(NOISE, "TIFF")
WHOLE = (48, 64)
BROKEN = "broken (JPEG|PNG|GIF|WEBP|BMP|TIFF|header|picture)|" + NOT_A_PICTURE

KINDS = {
    # cut short at each tenth
    **{f"jpeg cut at {i}0%": (lambda i=i: JPEG[: len(JPEG) * i // 10], BROKEN) for i in range(1, 10)},
    **{f"png cut at {i}0%": (lambda i=i: PNG[: len(PNG) * i // 10], BROKEN) for i in range(1, 10)},
    **{
        f"{name} cut in the middle": (lambda data=data: data[: len(data) // 2], BROKEN)
        for name, data in (("gif", GIF), ("webp", WEBP), ("bmp", BMP), ("tiff", TIFF))
    },
    # no picture at all
    "zero bytes": (lambda: b"", "empty file"),
    "html as jpg": (lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>", NOT_A_PICTURE),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', NOT_A_PICTURE),
    "eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", NOT_A_PICTURE),
    "pdf": (lambda: b"%PDF-1.4\n1 0 obj<<>>endobj\n%%EOF", NOT_A_PICTURE),
    "zip": (lambda: b"PK\x03\x04" + bytes(60), NOT_A_PICTURE),
    "pickle": (lambda: b"cos\nsystem\n(S'true'\ntR.", NOT_A_PICTURE),
    "random bytes": (lambda: np.random.default_rng(1).bytes(5000), NOT_A_PICTURE),
    "all zeros": (lambda: bytes(5000), NOT_A_PICTURE),
    "jpeg's magic alone": (lambda: b"\xff\xd8\xff", BROKEN),
    "png's magic alone": (lambda: PNG[:8], BROKEN),
    "gif's magic alone": (lambda: b"GIF89a", BROKEN),
    "wrong magic": (lambda: b"\x88" + PNG[1:], NOT_A_PICTURE),
    # damaged
    "jpeg without its start": (lambda: JPEG[300:], NOT_A_PICTURE),
    "png with a bad checksum": (lambda: flipped(PNG, 30), BROKEN),
    "png with damaged data": (lambda: flipped(PNG, len(PNG) // 2), BROKEN),
    "png without data": (lambda: png(64, 48, 8, 2, b""), BROKEN),
    "png of 0 x 0": (lambda: png(0, 0, 8, 2, b""), BROKEN),
    "png of a depth there is not": (lambda: png(64, 48, 3, 2, bytes(9000)), BROKEN),
    "webp with a damaged header": (lambda: flipped(WEBP, 22), BROKEN),
    "tiff whose directory points outside": (lambda: TIFF[:4] + b"\xff\xff\xff\x7f" + TIFF[8:], BROKEN),
    "bmp of negative width": (lambda: BMP[:18] + struct.pack("<i", -64) + BMP[22:], "pixels"),
    "jpeg of zeros in the middle": (lambda: holed(JPEG), "broken JPEG: Corrupt JPEG data"),
    "jpeg of zeros in the middle, turned": (lambda: holed(saved(NOISE, "JPEG", exif=exif(6))), "Corrupt JPEG data"),
    "cmyk jpeg of zeros in the middle": (lambda: holed(saved(NOISE.convert("CMYK"), "JPEG")), "Corrupt JPEG data"),
    "jpeg cut in half, with an end marker": (lambda: JPEG[: len(JPEG) // 2] + b"\xff\xd9", "Corrupt JPEG data"),
    "jpeg with rubbish behind": (lambda: JPEG + b"PK\x03\x04" * 500, WHOLE),
    "jpeg with a comment of 60 KB": (lambda: JPEG[:2] + b"\xff\xfe\xea\x60" + b"x" * 59998 + JPEG[2:], WHOLE),
    # shapes
    "1 x 1": (lambda: saved(Image.new("RGB", (1, 1)), "PNG"), (1, 1)),
    "30000 x 1": (lambda: saved(Image.new("RGB", (30000, 1)), "PNG"), (1, 30000)),
    "1 x 30000": (lambda: saved(Image.new("RGB", (1, 30000)), "PNG"), (30000, 1)),
    # decompression bombs: little on disk, much in memory
    "bomb, png of 12000 x 12000": (lambda: bomb_png(12000), "144000000 pixels; at most"),
    "bomb, gif that says 60000 x 60000": (lambda: bomb_gif(60000), "pixels"),
    "bomb, png that says 2 billion wide": (lambda: png(2**31 - 1, 2**31 - 1, 8, 2, b""), "pixels|broken"),
    "bomb, text chunk of 40 MB": (
        lambda: png(
            64, 48, 8, 2, (b"\0" + bytes(192)) * 48, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(40 << 20), 9))
        ),
        BROKEN,
    ),
    "bomb, jpeg that says 65500 x 65500": (lambda: resized_jpeg(65500, 65500), "pixels"),
    # modes
    "16-bit grey png": (lambda: saved(Image.fromarray(np.full((48, 64), 40000, np.uint16)), "PNG"), WHOLE),
    "16-bit colour png": (lambda: png(64, 48, 16, 2, (b"\0" + bytes(384)) * 48), WHOLE),
    "16-bit tiff": (lambda: saved(Image.fromarray(np.full((48, 64), 40000, np.uint16)), "TIFF"), WHOLE),
    "1-bit png": (lambda: saved(NOISE.convert("1"), "PNG"), WHOLE),
    "grey with alpha": (lambda: saved(NOISE.convert("LA"), "PNG"), WHOLE),
    "cmyk jpeg": (lambda: saved(NOISE.convert("CMYK"), "JPEG"), WHOLE),
    "cmyk tiff": (lambda: saved(NOISE.convert("CMYK"), "TIFF"), WHOLE),
    "lab tiff": (lambda: saved(NOISE.convert("LAB"), "TIFF"), WHOLE),
    "ycbcr tiff": (lambda: saved(NOISE.convert("YCbCr"), "TIFF"), WHOLE),
    "palette": (lambda: saved(NOISE.convert("P"), "PNG"), WHOLE),
    "palette with alpha": (lambda: saved(NOISE.convert("P"), "PNG", transparency=bytes(range(256))), WHOLE),
    "palette with one clear colour": (lambda: saved(NOISE.convert("P"), "GIF", transparency=3), WHOLE),
    "rgb with one clear colour": (lambda: saved(NOISE, "PNG", transparency=(1, 2, 3)), WHOLE),
    "rgba all clear": (lambda: saved(Image.new("RGBA", (64, 48), (9, 9, 9, 0)), "PNG"), WHOLE),
    "progressive jpeg": (lambda: saved(NOISE, "JPEG", progressive=True), WHOLE),
    "png with a broken colour profile": (lambda: saved(NOISE, "PNG", icc_profile=b"no profile"), WHOLE),
    "jpeg with a broken colour profile": (lambda: saved(NOISE, "JPEG", icc_profile=b"no profile"), WHOLE),
    "lzw tiff, cut": (lambda: saved(NOISE, "TIFF", compression="tiff_lzw")[:4000], BROKEN),
    "deflated tiff, damaged": (lambda: flipped(saved(NOISE, "TIFF", compression="tiff_deflate"), 40), BROKEN),
    "jpeg in a tiff, damaged": (lambda: flipped(saved(NOISE, "TIFF", compression="jpeg"), 30), BROKEN),
    # libtiff fills in what a fax line lacks, as fax machines do
    "fax tiff, damaged": (lambda: flipped(saved(NOISE.convert("1"), "TIFF", compression="group4"), 20), WHOLE),
    "32-bit tiff": (lambda: saved(Image.fromarray(np.full((48, 64), 1 << 30, np.int32)), "TIFF"), "32 bits a pixel"),
    # float TIFFs hold no colours that anyone has agreed on
    "float tiff": (lambda: float_tiff(0.5), "floating point"),
    "NaN tiff": (lambda: float_tiff(np.nan), "floating point"),
    "infinite tiff": (lambda: float_tiff(np.inf), "floating point"),
    # animated: the first frame
    "animated gif": (lambda: animated("GIF"), WHOLE),
    "animated webp": (lambda: animated("WEBP"), WHOLE),
    "animated png": (lambda: animated("PNG"), WHOLE),
    "tiff of four pages": (lambda: animated("TIFF"), WHOLE),
    # EXIF turns: 5 to 8 lie on their side
    **{f"exif turn {turn}": (lambda turn=turn: saved(NOISE, "JPEG", exif=exif(turn)), WHOLE) for turn in range(1, 5)},
    **{
        f"exif turn {turn}": (lambda turn=turn: saved(NOISE, "JPEG", exif=exif(turn)), WHOLE[::-1])
        for turn in range(5, 9)
    },
    "exif turn 77": (lambda: saved(NOISE, "JPEG", exif=exif(77)), WHOLE),
    "exif of zeros": (lambda: saved(NOISE, "JPEG", exif=b"Exif\0\0" + bytes(20)), WHOLE),
    "broken exif": (lambda: saved(NOISE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9)), WHOLE),
}


def resized_jpeg(width, height):
    """A JPEG whose header is given another size."""
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", height, width) + JPEG[at + 4 :]
