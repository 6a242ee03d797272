"""Emoji artwork in eight styles under open licences, with people's keywords.

The artwork is that of the npm packages `@iconify-json/*` (SVG bodies), the
keywords those of `emojibase-data` and `emojilib`.
"""

import json
import re
import tarfile
from collections import Counter
from dataclasses import dataclass, field

from mindpics.datasets.downloads import Package, fetch_npm
from mindpics.datasets.svg import Drawing
from mindpics.posts.words import words_of

STYLES = (
    Package(
        "@iconify-json/noto",
        "1.2.9",
        "sha512-DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
    ),
    Package(
        "@iconify-json/noto-v1",
        "1.2.5",
        "sha512-/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
    ),
    Package(
        "@iconify-json/twemoji",
        "1.2.5",
        "sha512-uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
    ),
    Package(
        "@iconify-json/openmoji",
        "1.2.29",
        "sha512-vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
    ),
    Package(
        "@iconify-json/fluent-emoji",
        "1.2.7",
        "sha512-D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
    ),
    Package(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "sha512-RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
    ),
    Package(
        "@iconify-json/emojione",
        "1.2.3",
        "sha512-T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
    ),
    Package(
        "@iconify-json/emojione-v1",
        "1.2.3",
        "sha512-UjI2VQEXVtGlPBvQuxEizro7QCgBcJDOYwKUupquvvZ8UV4xOlvm45IU82JYWegiAWLerY79gFLMZ26U6Ms+ww==",
    ),
)
KEYWORDS = (
    Package(
        "emojibase-data",
        "17.0.0",
        "sha512-Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
    ),
    Package(
        "emojilib",
        "4.0.3",
        "sha512-KbWiYre9aRSaPbHrHZIz9zmoM+21LAsK1VFJtnTh1VCtWE/rNMDviGhQTmselFl95dhqtGlY22iH0leG5BuW0g==",
    ),
)
SKIN_TONE = re.compile("1f3f[b-f]")


@dataclass
class Emoji:
    """What people call one emoji, and the keywords they gave it."""

    label: str
    keywords: list = field(default_factory=list)


def fetch_emoji(downloads):
    """Fetch the pinned packages; return the paths of the styles and of the keywords."""
    paths = fetch_npm(STYLES + KEYWORDS, downloads)
    return paths[: len(STYLES)], paths[len(STYLES) :]


def read_emoji(style_paths, keyword_paths, words=None):
    """Read the styles' drawings and name each by its emoji.

    Parameters
    ----------
    style_paths, keyword_paths : list of Path
        The npm packages, in the order of STYLES and KEYWORDS.
    words : set of str, optional
        Only emoji that carry one of these words; default all.

    Returns
    -------
    drawings : list of Drawing
        Ids read ``STYLE_CODEPOINTS`` (noto_1f600). Author is the design group
        and style, tags are the keywords, text the name and the keywords.
    left_out : Counter
        Drawings not used, by reason. Skin tones are near copies of one drawing.
    """
    emoji = _read_keywords(*keyword_paths)
    styles = [_read_style(path) for path in style_paths]
    codes = _codes_by_name(styles, emoji)
    drawings, left_out = [], Counter()
    for package, style in zip(STYLES, styles, strict=True):
        own_codes = {name: _plain(code) for code, name in reversed(style["chars"].items())}
        for name, icon in style["icons"]["icons"].items():
            code = own_codes.get(name) or codes.get(name)
            reason = _why_not(icon, code, emoji, words)
            if reason:
                left_out[reason] += 1
            else:
                drawings.append(Drawing(_post(package, style, name, code, emoji[code]), _svg(style, icon)))
    return drawings, left_out


def _why_not(icon, code, emoji, words):
    if icon.get("hidden"):
        return "withdrawn by its designers"
    if code is None:
        return "not a Unicode emoji"
    if code not in emoji:
        return "skin tone of another" if SKIN_TONE.search(code) else "not a Unicode emoji"
    if words is not None and words.isdisjoint(words_of(_text(emoji[code]))):
        return "carries none of the words"
    return None


def _post(package, style, name, code, emoji):
    info = style["info"]
    prefix = style["icons"]["prefix"]
    return {
        "id": f"{prefix}_{code}",
        "author": f"{info['author']['name']} ({info['name']})",
        "text": _text(emoji),
        "tags": emoji.keywords,
        "source": f"npm {package.name}@{package.version} {name}",
        "origin": info["author"]["url"],
        "license": info["license"]["spdx"],
        "emoji": code,
        "style": prefix,
    }


def _text(emoji):
    return f"{emoji.label[:1].upper()}{emoji.label[1:]}: {', '.join(emoji.keywords)}."


def _svg(style, icon):
    icons = style["icons"]
    left, top = (icon.get(key, icons.get(key, 0)) for key in ("left", "top"))
    width, height = (icon.get(key, icons.get(key, 16)) for key in ("width", "height"))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )


def _read_style(path):
    with tarfile.open(path) as archive:
        return {name: _member(archive, f"{name}.json") for name in ("icons", "info", "chars")}


def _read_keywords(emojibase, emojilib):
    """Return {code: Emoji}: the labels and tags of emojibase, then emojilib's keywords not among them."""
    with tarfile.open(emojibase) as archive:
        rows = _member(archive, "en/data.json")
    with tarfile.open(emojilib) as archive:
        emojilib_keywords = _member(archive, "dist/emoji-en-US.json")
    emoji = {_plain(row["hexcode"]): Emoji(row["label"], list(row.get("tags", []))) for row in rows}
    for character, keywords in emojilib_keywords.items():
        entry = emoji.get(_plain("-".join(f"{ord(c):x}" for c in character)))
        if entry:
            spelled = [keyword.replace("_", " ") for keyword in keywords]
            entry.keywords += [k for k in dict.fromkeys(spelled) if k not in {*entry.keywords, entry.label}]
    return emoji


def _codes_by_name(styles, emoji):
    """Name -> code. Four styles list their codes; the others share names with those or with Unicode."""
    codes = {}
    for style in styles:
        for code, name in style["chars"].items():
            codes.setdefault(name, _plain(code))
    for style in styles:
        for alias, entry in style["icons"].get("aliases", {}).items():
            if entry["parent"] in codes:
                codes.setdefault(alias, codes[entry["parent"]])
    for code, entry in emoji.items():
        codes.setdefault(_slug(entry.label), code)
    return codes


def _member(archive, name):
    return json.load(archive.extractfile(f"package/{name}"))


def _plain(code):
    """Return code points in lower case without U+FE0F, which only asks for colour."""
    return re.sub("-?fe0f", "", code.lower())


def _slug(label):
    return re.sub("[^a-z0-9]+", "-", re.sub("['’]", "", label.lower())).strip("-")
