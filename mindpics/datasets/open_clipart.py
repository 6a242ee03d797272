"""Open Clip Art 0.18: public-domain drawings with titles, keywords and creators.

From the Debian package openclipart-svg, unpacked and not installed. What is
said about a drawing stands in its SVG as RDF (Dublin Core).
"""

import re
from pathlib import PurePosixPath
from xml.etree import ElementTree

from mindpics.datasets.downloads import Package, fetch_deb, unpack_deb
from mindpics.datasets.svg import Drawing

PACKAGE = Package(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "sha256-mJcS2Q1X36MjAEn1U7tDt2ww7k1LjF9uEG4z99tcvcU=",
)
FILE_NAME = "openclipart-svg_1%3a0.18+dfsg-19_all.deb"
FOLDER = "usr/share/openclipart/svg"
ORIGIN = "https://openclipart.org"
UNKNOWN = "unknown"
PUBLIC_DOMAIN = "public domain"


def fetch_clipart(downloads):
    """Fetch and unpack the pinned package; return the folder of SVGs."""
    deb = fetch_deb(PACKAGE, FILE_NAME, downloads)
    unpack_deb(deb, downloads / "openclipart")
    return downloads / "openclipart" / FOLDER


def list_clipart(folder):
    """Return the SVGs under `folder`, sorted, and how many links to others were left out."""
    drawings = sorted(folder.rglob("*.svg"))
    paths = [path for path in drawings if not path.is_symlink()]
    return paths, len(drawings) - len(paths)


def read_clipart(path, folder):
    """Return the Drawing of one SVG file: its post from the RDF, and its path.

    The post carries, beyond the manifest's keys, "title", "description" and
    "folder" (the subject under which Open Clip Art files it: "animals/birds").
    An SVG that is no XML keeps empty words; drawing it will say why it fails.
    """
    relative = PurePosixPath(path.relative_to(folder).as_posix())
    about = _read_rdf(path)
    parts = [about["title"], about["description"], ", ".join(about["tags"])]
    post = {
        "id": clipart_id(relative),
        "author": about["author"] or UNKNOWN,
        "text": ". ".join(part.rstrip(".") for part in parts if part),
        "tags": about["tags"],
        "source": f"Debian {PACKAGE.name} {PACKAGE.version} {relative}",
        "origin": ORIGIN,
        "license": about["license"],
        "title": about["title"],
        "description": about["description"],
        "folder": str(relative.parent),
    }
    return Drawing(post, path=path)


def clipart_id(relative):
    """Return an id from a path: animals/birds/owl_01.svg -> clipart_animals_birds_owl_01."""
    return "clipart_" + re.sub("[^A-Za-z0-9_-]+", "_", str(relative.with_suffix("")))


def _read_rdf(path):
    about = {"title": "", "description": "", "author": "", "tags": [], "license": PUBLIC_DOMAIN}
    try:
        work = next((e for e in ElementTree.parse(path).iter() if _local(e) == "Work"), None)
    except ElementTree.ParseError:
        return about
    for element in work if work is not None else ():
        name = _local(element)
        if name in ("title", "description"):
            about[name] = _text(element)
        elif name == "creator":
            about["author"] = next((_text(e) for e in element.iter() if _local(e) == "title"), "")
        elif name == "subject":
            words = [_text(e) for e in element.iter() if _local(e) == "li"]
            about["tags"] = list(dict.fromkeys(word for word in words if word))
        elif name == "license" and "GPL" in "".join(element.attrib.values()):
            about["license"] = "GPL-2.0"  # two drawings say so; the rest, or the package for them, public domain
    return about


def _local(element):
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def _text(element):
    return " ".join((element.text or "").split())
