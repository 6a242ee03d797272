"""Pictures decoded and warped to the 256x256 crop that an LMDB stores. Arrays only."""

import io
import warnings

import cv2
import numpy as np
import simplejpeg
from PIL import Image

SIZE = 256  # side of the stored picture (MindPics, section 4)
JPEG_QUALITY = 95  # OpenCV's default, which convert_imageset --encode_type jpg uses
MAX_PIXELS = 50_000_000  # a larger picture is more likely a decompression bomb than a photograph
MAX_SIDES = 100  # longer to shorter side that `centre_square` scales
BAND = 1 << 22  # pixels converted at a time: memory beyond the decoded picture itself
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit could not be raised by a user; `decode` has its own
ORIENTATION = 0x0112  # of EXIF; 1 is upright
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM}
TURNS |= {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE}
TURNS |= {8: Image.Transpose.ROTATE_90}
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")  # none of them calls another program
OPENCVS = ("JPEG", "TIFF")  # formats whose inks, Lab, YCbCr and 16 bits a channel OpenCV rounds in a way of its own


def sides(size):
    """Return (height, width) of a size: one number is the side of a square."""
    return (size, size) if np.ndim(size) == 0 else tuple(size)


def decode(data, max_pixels=MAX_PIXELS, reduced_to=None, gray=False):
    """Decode an encoded picture.

    JPEG of any colour space (CMYK included); PNG with alpha (laid on white),
    palette or 16 bits; the first frame of a GIF or WebP. JPEG, PNG and TIFF are
    turned as their EXIF says, and what a WebP's or XMP says is passed over, as
    are colour profiles: so does convert_imageset. A JPEG whose decoder warns of
    anything is rejected with the warning, where convert_imageset stores what
    could be made of it.

    Parameters
    ----------
    data : bytes
    max_pixels : int
        Width times height that is still decoded; the header is read first.
    reduced_to : int, optional
        Side that the picture will be warped to. A JPEG of four times that side
        or more is decoded at 1/2, 1/4 or 1/8, still at least twice that side:
        several times faster. After the warp a photograph differs from the one
        decoded whole by about one level of 255 in the mean, along edges by 20
        and more, mostly since it is smoother.
    gray : bool
        In one channel, as ``convert_imageset --gray`` has it: the format's own
        gray (a JPEG's luminance), which is not that of its colours.

    Returns
    -------
    ndarray, uint8, [H, W, 3], BGR; or [H, W, 1]

    Raises
    ------
    ValueError
        Says why the picture cannot be read.
    """
    if not data:
        raise ValueError("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities in metadata; max_pixels guards the size
        try:
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.UnidentifiedImageError:
            raise ValueError(f"no picture of a known format; wanted {', '.join(FORMATS)}") from None
        except Exception as error:  # decoders raise whatever a broken header leads them to
            raise ValueError(f"broken header: {error}") from None
        width, height = picture.size
        if width * height > max_pixels:
            raise ValueError(f"{width}x{height} is {width * height} pixels; at most {max_pixels} are decoded")
        try:
            return _pixels(data, picture, reduced_to, gray)
        except Exception as error:
            raise ValueError(f"broken {_format(picture) or 'picture'}: {error}") from None


def warp(pixels, size=SIZE):
    """Resize to `size` whatever the shape, as convert_imageset does (OpenCV, bilinear).

    Parameters
    ----------
    pixels : ndarray, uint8, [H, W, C]
    size : int or (int, int)
        Side of a square, or height and width.

    Returns
    -------
    ndarray, uint8, [*sides(size), C], same channel order
    """
    height, width = sides(size)
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.atleast_3d(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR))


def centre_square(pixels, size=SIZE):
    """Scale the shorter side to `size` and cut the centre, as DeCAF did (scale_and_extract): nothing is warped.

    Parameters
    ----------
    pixels : ndarray, uint8, [H, W, C]
    size : int or (int, int)
        As `warp` takes it; of a rectangle, both sides are covered.

    Returns
    -------
    ndarray, uint8, [*sides(size), C], same channel order

    Raises
    ------
    ValueError
        When the longer side is over 100 times the shorter: almost nothing of it would be seen, in much memory.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > MAX_SIDES * min(height, width):
        raise ValueError(f"{width}x{height}; the longer side is over {MAX_SIDES} times the shorter")
    rows, columns = sides(size)
    ratio = max(rows / height, columns / width)
    height, width = int(height * ratio + 0.5), int(width * ratio + 0.5)
    scaled = np.atleast_3d(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR))
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(scaled[top : top + rows, left : left + columns])


FITS = {"warp": warp, "crop": centre_square}  # what gives pictures of any shape the same


def pack(pixels, encoding=None):
    """Return the bytes a Datum holds of a picture.

    Parameters
    ----------
    pixels : ndarray, uint8, [H, W, 3], BGR, or [H, W, 1], gray
    encoding : {None, "png", "jpg"}
        None: raw, channel first.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(f"found {pixels.dtype} {pixels.shape}; wanted uint8 [H, W, 3] or [H, W, 1]")
    if encoding:
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if encoding == "jpg" else []
        return cv2.imencode(f".{encoding}", pixels, options)[1].tobytes()
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()


def _orientation(picture):
    """Return EXIF's, from where OpenCV 4.6 reads it, with which Caffe is built. Pillow turns a TIFF by itself."""
    exif = Image.Exif()
    if _format(picture) in ("JPEG", "PNG"):
        try:
            exif.load(picture.info.get("exif", b""))
        except Exception:  # what a header without TIFF's first bytes leads to; OpenCV passes over it
            return 1
    return exif.get(ORIENTATION, 1)


def _format(picture):
    """Return Pillow's name of a format; a JPEG with more pictures behind it, such as a preview, is one (MPO)."""
    return "JPEG" if picture.format == "MPO" else picture.format


def _pixels(data, picture, reduced_to, gray):
    turn = TURNS.get(_orientation(picture))
    if _format(picture) == "JPEG" and picture.mode in ("RGB", "L"):
        return _turned(_decode_jpeg(data, picture.size, reduced_to, "GRAY" if gray else "BGR"), turn)
    if _format(picture) == "JPEG":
        simplejpeg.decode_jpeg(data, "CMYK")  # Pillow passes over damage
    pixels = _to_bgr(picture if turn is None else picture.transpose(turn))  # always: what is damaged ends here
    return _as_opencv(data, picture, turn, pixels, gray) if gray or _format(picture) in OPENCVS else pixels


def _as_opencv(data, picture, turn, pixels, gray):
    """Return [H, W, 3 or 1] of OpenCV's own decoder; of the pixels where it has none, or would drop their white."""
    flags = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
    if picture.format != "TIFF":
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    is_clear = picture.format == "GIF" or picture.has_transparency_data
    decoded = None if is_clear else cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[..., None] if gray else pixels
    return _turned(np.atleast_3d(decoded), turn)


def _decode_jpeg(data, size, reduced_to, space):
    """Return libjpeg-turbo's pixels, which are OpenCV's; what it warns of is an error."""
    width, height = size
    by = next((by for by in (8, 4, 2) if reduced_to and min(size) >= 2 * by * reduced_to), 1)
    return simplejpeg.decode_jpeg(data, space, min_height=-(-height // by), min_width=-(-width // by))


def _turned(pixels, turn):
    if turn is None:
        return pixels
    turned = np.asarray(Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).transpose(turn))
    return np.ascontiguousarray(np.atleast_3d(turned))  # channels in any order


def _to_bgr(picture):
    """Return uint8 [H, W, 3] of a picture, converted band by band: four copies of 50 megapixels would be a gigabyte."""
    width, height = picture.size
    if picture.mode == "F":
        raise ValueError("floating point, which has no agreed white")
    out = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(height, top + rows)))
        cv2.cvtColor(np.asarray(_to_rgb(band)), cv2.COLOR_RGB2BGR, dst=out[top : top + rows])
    return out


def _to_rgb(picture):
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # 16-bit grey; Pillow's own conversion clips at 255 where OpenCV scales
        grey = np.asarray(picture)
        if grey.min() < 0 or grey.max() > 0xFFFF:
            raise ValueError("32 bits a pixel, which has no agreed white")
        return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")
