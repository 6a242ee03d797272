"""Profile as JSON and as one HTML file that opens from disk."""

import base64

import cv2

from mindpics.files.atomic import atomic_write
from mindpics.files.environment import environment
from mindpics.files.fingerprints import sha256
from mindpics.files.json_files import write_json
from mindpics.files.layout import TrainingFiles
from mindpics.files.own_folder import Kind
from mindpics.inference.profile import COVERS, IS_NOT, profile
from mindpics.posts.picture_files import read_picture
from mindpics.report.pages import template
from mindpics.results.metrics import RESAMPLES
from mindpics.traits import TRAITS

PROFILE = Kind("a profile of profile_user", ("index.html", TrainingFiles.log), proof=("profile.json",))
SIDE = 320  # pixels of a thumbnail's longer side


def gather(author, source, row, nets, mean, ids, scores, rejected, seed, command):
    """Return all that JSON and page say.

    Parameters
    ----------
    author, source, command : str
        `source` is the posts.jsonl or the folder.
    row : mindpics.results.trained_row.TrainedRow or None
        None where the nets were given by hand, and nothing is known of them.
    nets : list of (deploy, caffemodel)
    mean : path
    ids, scores, rejected : lists and float32 [N,5,2]
        See `mindpics.inference.scores.score_files`.
    seed : int
    """
    files = [*(path for pair in nets for path in pair), mean]
    unknown = "What these nets were trained on, and how often they are right, is not recorded here."
    return {
        "author": author,
        "source": source,
        "is_not": IS_NOT,
        "n": len(ids),
        "traits": profile(ids, scores, seed),
        "interval": {
            "level": 0.95,
            "method": "bootstrap over pictures, widened to Student's t",
            "covers": COVERS,
            "resamples": RESAMPLES,
            "seed": seed,
        },
        "unreadable": [{"id": id_, "reason": reason} for id_, reason in rejected],
        "net": {
            "name": row.name.replace("_", " ") if row else "Nets given by hand",
            "accuracy": row.describe() if row else unknown,
            "stand_in": row.run.stand_in(row.name) if row else "",
            "files": [{"path": str(path), "sha256": sha256(path)} for path in files],
        },
        "pictures": [
            {"id": id_, "high": dict(zip(TRAITS, map(float, high), strict=True))}
            for id_, high in zip(ids, scores[..., 1], strict=True)
        ],
        "command": command,
        "environment": environment(),
    }


def write_profile(facts, items, out):
    """Write OUT/profile.json and OUT/index.html.

    Parameters
    ----------
    facts : dict
        See `gather`; every value is escaped on the page.
    items : list of (id, path)
        Where the pictures are.
    out : Path
    """
    write_json(out / "profile.json", facts)
    with atomic_write(out / "index.html") as stream:
        stream.write(render(facts, dict(items)))


def render(facts, paths):
    """Return the page; `paths` is id -> picture file."""
    pictures = [
        picture for trait in facts["traits"].values() for pole in ("high", "low") for picture in trait[f"says_{pole}"]
    ]
    thumbnails = {picture["id"]: thumbnail(paths[picture["id"]]) for picture in pictures}
    return template("profile.html").render(**facts, thumbnails=thumbnails)


def thumbnail(path):
    """Return a picture, at most SIDE pixels long, as a data: URI."""
    pixels = read_picture(path)
    scale = SIDE / max(pixels.shape[:2])
    if scale < 1:
        width, height = (max(1, round(scale * length)) for length in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
