"""SVG drawings at 256 pixels on white, many at once, each with a time limit.

PNG, not JPEG: the renderer writes it, flat colours make it small, and line art
keeps its edges.
"""

import functools
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import resvg_py

from mindpics.jobs.bars import bar_of
from mindpics.jobs.parallel import run_each

RENDERER = f"resvg {resvg_py.__resvg_version__}"
SIZE = 256  # pixels of the longer side
DPI = 96  # what CSS says an inch is; without it sizes in mm or pt are refused
MAX_SVG_BYTES = 4 << 20
FILLED = 0.6  # share of the longer side below which a drawing is zoomed into
MAX_ZOOM = 6  # a page drawn at 1,500 pixels takes 0.2 s, larger ones seconds
TIMEOUT = 60  # seconds a drawing: at 10 a busy machine lost two of nine thousand, which changed the tables


@dataclass(frozen=True)
class Drawing:
    """One picture to draw: its SVG (text, or the path of a file) and the post it becomes."""

    post: dict = field(compare=False)
    svg: str = ""
    path: Path | None = None


def draw_svg(drawing, size=SIZE):
    """Return a drawing as PNG bytes, its longer side `size` pixels, on white.

    Text in an SVG is not drawn: the fonts of a machine would change the picture.
    A drawing that fills little of its page is drawn larger, without the margin.

    Raises
    ------
    ValueError
        The SVG is too large, cannot be drawn, or shows nothing but white.
    """
    n_bytes = drawing.path.stat().st_size if drawing.path else len(drawing.svg)
    if n_bytes > MAX_SVG_BYTES:
        raise ValueError(f"SVG of {n_bytes} bytes; at most {MAX_SVG_BYTES} are drawn")
    png = _render(drawing, size)
    top, bottom, left, right = box = _ink(_pixels(png))
    side = max(bottom - top, right - left)
    if side >= FILLED * size:
        return png
    zoom = min(MAX_ZOOM, size / side)
    large = _pixels(_render(drawing, int(size * zoom)))
    top, bottom, left, right = (int(edge * zoom) for edge in box)
    return cv2.imencode(".png", large[top:bottom, left:right])[1].tobytes()


def _render(drawing, size):
    source = {"svg_path": str(drawing.path)} if drawing.path else {"svg_string": drawing.svg}
    options = {"dpi": DPI, "background": "white", "skip_system_fonts": True}
    return bytes(resvg_py.svg_to_bytes(**source, width=size, height=size, **options))


def _pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def _ink(pixels):
    """Return top, bottom, left, right of what is not white, one pixel wider where there is room."""
    rows, columns = (np.flatnonzero((pixels < 255).any(axis=(axis, 2))) for axis in (1, 0))
    if not len(rows):
        raise ValueError("blank: nothing but white")
    height, width = pixels.shape[:2]
    return (
        max(0, rows[0] - 1),
        min(height, rows[-1] + 2),
        max(0, columns[0] - 1),
        min(width, columns[-1] + 2),
    )


def draw_all(drawings, folder, size=SIZE, workers=None, timeout=TIMEOUT, total=None, label="drawing"):
    """Draw into ``folder/images/ID.png``; what is already there is not drawn again.

    Parameters
    ----------
    drawings : iterable of Drawing
    folder : Path

    Returns
    -------
    posts : list of dict
        The posts drawn, in order, with their "image" filled in.
    rejected : list of dict
        ``{"id", "source", "reason"}``. Of identical pictures the first is kept.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    posts, rejected, first = [], [], {}
    work = functools.partial(_draw_file, images=folder / "images", size=size)
    outcomes = run_each(work, drawings, workers, timeout)
    for drawing, digest, reason in bar_of(outcomes, desc=label, total=total, unit="picture"):
        post = drawing.post
        if reason is None and digest in first:
            reason = f"identical to {first[digest]}"
            (folder / "images" / f"{post['id']}.png").unlink()
        if reason is None:
            first[digest] = post["id"]
            posts.append({**post, "image": f"images/{post['id']}.png"})
        else:
            rejected.append({"id": post["id"], "source": post["source"], "reason": reason})
    return posts, rejected


def _draw_file(drawing, images, size):
    """Draw unless the file is there; return the SHA-1 of the PNG, whose bytes follow from its pixels."""
    path = images / f"{drawing.post['id']}.png"
    if path.exists():
        return hashlib.sha1(path.read_bytes()).hexdigest()
    png = draw_svg(drawing, size)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(png)  # no fsync, unlike atomic_write: ten thousand of them take a minute
    os.replace(temporary, path)
    return hashlib.sha1(png).hexdigest()
