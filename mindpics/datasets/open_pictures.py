"""Open corpora as crawls: data/open/{emoji,clipart}/posts.jsonl with pictures.

They stand in for the Instagram and Pinterest crawls that cannot be had: real
pictures, real words, real authors, open licences.
"""

import json
import logging
from collections import Counter

from mindpics.datasets.open_clipart import PACKAGE, fetch_clipart, list_clipart, read_clipart
from mindpics.datasets.open_emoji import KEYWORDS, STYLES, fetch_emoji, read_emoji
from mindpics.datasets.svg import FILLED, MAX_ZOOM, RENDERER, SIZE, TIMEOUT, draw_all
from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.json_files import write_json, write_objects
from mindpics.files.layout import CorpusFiles
from mindpics.files.own_folder import Kind

CORPORA = Kind("what fetch_open_pictures makes", ("emoji/**", "clipart/**", "downloads/**"))
CORPUS = Kind("a corpus of fetch_open_pictures", proof=(CorpusFiles.request,))
IMAGES = Kind("pictures drawn by fetch_open_pictures", ("*_*.png", "*_*.tmp"))
log = logging.getLogger(__name__)


def make_emoji(folder, downloads, words=None, **drawing):
    """Fetch and draw the emoji styles; return the summary.

    Parameters
    ----------
    folder, downloads : Path
    words : set of str, optional
        Draw only emoji that carry one of these words; default all.
    **drawing
        size, workers, timeout: see `mindpics.datasets.svg.draw_all`.
    """
    pins = [f"{p.name}@{p.version}" for p in STYLES + KEYWORDS]
    request = {"packages": pins, "words": sorted(words) if words else "all", "drawn": _drawn(drawing)}
    done = _already(folder, request)
    if done:
        return done
    drawings, left_out = read_emoji(*fetch_emoji(downloads), words)
    return _make(folder, request, drawings, len(drawings), left_out, "emoji", drawing)


def make_clipart(folder, downloads, limit=None, **drawing):
    """Fetch and draw Open Clip Art; return the summary.

    Parameters
    ----------
    folder : Path
        Gets posts.jsonl, the pictures and summary.json.
    downloads : Path
        Folder of the packages, kept.
    limit : int, optional
        Only so many pictures, the first.
    **drawing
        size, workers: as `mindpics.datasets.svg` draws.

    Raises
    ------
    ValueError
        `folder` holds something else than such a corpus.
    """
    request = {"packages": [f"{PACKAGE.name}={PACKAGE.version}"], "limit": limit, "drawn": _drawn(drawing)}
    done = _already(folder, request)
    if done:
        return done
    svgs = fetch_clipart(downloads)
    paths, n_links = list_clipart(svgs)
    left_out = Counter({"link to another picture": n_links})
    if limit:
        left_out["beyond --limit"] = len(paths[limit:])
    drawings = (read_clipart(path, svgs) for path in paths[:limit])
    return _make(folder, request, drawings, len(paths[:limit]), left_out, "clipart", drawing)


def _drawn(drawing):
    """Return what decides a picture's pixels: pictures drawn otherwise are drawn anew."""
    return {"size": drawing.get("size", SIZE), "filled": FILLED, "max_zoom": MAX_ZOOM, "renderer": RENDERER}


def _already(folder, request):
    """Return the summary of a finished fetch of the same request; clear away another's pictures.

    Raises ValueError where the folder holds something else: a crawl has files of the same names.
    """
    own_folder.require(folder, CORPUS, adds=True)
    own_folder.require(folder / "images", IMAGES)
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        summary = {}
    if summary.get("request") == request and (folder / "posts.jsonl").exists():
        log.info("%s: already there", folder)
        return summary
    started = CorpusFiles(folder).request
    if started.exists() and json.loads(started.read_text(encoding="utf-8")) != request:
        log.info("%s holds another request's pictures; drawing anew", folder)
        (folder / "summary.json").unlink(missing_ok=True)  # it says that all of them are there
        own_folder.clear(folder / "images", IMAGES)
    write_json(started, request)
    return None


def _make(folder, request, drawings, total, left_out, label, drawing):
    posts, rejected = draw_all(drawings, folder, total=total, label=label, **{"timeout": TIMEOUT, **drawing})
    _remove_strays(folder, posts)
    summary = {
        "request": request,
        "read": total + left_out.total(),
        "drawn": len(posts),
        "rejected": len(rejected),
        "rejected_why": dict(Counter(_kind(row["reason"]) for row in rejected)),
        "left_out": left_out.total(),
        "left_out_why": dict(left_out),
        "licenses": dict(Counter(post["license"] for post in posts)),
    }
    write_objects(folder / "rejected.jsonl", rejected)
    _write_attribution(folder / "ATTRIBUTION", request["packages"], posts)
    write_objects(folder / "posts.jsonl", posts)
    write_json(folder / "summary.json", summary)
    return summary


def _remove_strays(folder, posts):
    """Remove pictures of no post: those of an earlier request with more words."""
    kept = {post["image"] for post in posts}
    for path in (folder / "images").iterdir():
        if f"images/{path.name}" not in kept:
            path.unlink()


def _kind(reason):
    return reason.split(" to ")[0].split(":")[0]


def _write_attribution(path, packages, posts):
    counted = Counter((post["author"], post["license"], post["origin"]) for post in posts)
    with atomic_write(path) as stream:
        stream.write("These pictures were drawn from the works below, at another size and on white.\n")
        stream.write("Each picture's source and licence stand in posts.jsonl.\n\nFrom:\n")
        stream.writelines(f"  {package}\n" for package in packages)
        stream.write("\npictures | author | licence | origin\n")
        for about, count in counted.most_common():
            stream.write(" | ".join([str(count), *about]) + "\n")
