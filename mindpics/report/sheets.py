"""Sheets of pictures: those that most activate a head (figures 4 to 8), and random ones (1 and 10).

Pictures are read from their files, so these are drawn without Caffe.
"""

from pathlib import Path

import numpy as np

from mindpics.posts import crops
from mindpics.posts.picture_files import read_picture
from mindpics.posts.posts import picture_path
from mindpics.report.charts import DPI, new_figure, save
from mindpics.results.metrics import log_odds
from mindpics.traits import POLES, TRAIT_NAMES, TRAITS

SHOWN = 50  # pictures a pole (figures 4 to 8)
SIDE, GAP = 64, 4  # pixels of a thumbnail, and between two
SAMPLES = 10  # pictures a column of figure 1
_UNREADABLE = 200  # grey


class Thumbnails:
    """Small pictures of a selection, read when asked for and kept.

    Parameters
    ----------
    selection : dict
        id -> row with image, see `mindpics.report.figures.read_selection`.
    root : path
        What image paths are relative to.
    side : int
        Pixels.
    marks : bool
        Test pictures have the corner of `marked`.

    Attributes
    ----------
    unreadable : dict
        id -> why; a grey square stands for it.
    """

    def __init__(self, selection, root, side=SIDE, marks=False):
        self.selection = selection
        self.root = Path(root)
        self.side = side
        self.marks = marks
        self.unreadable = {}
        self._kept = {}

    def __call__(self, id_):
        """Return uint8 [side, side, 3], RGB. ValueError when its path leaves the root."""
        if id_ not in self._kept:
            path = picture_path(self.root, self.selection[id_]["image"], f"picture {id_}")
            try:
                self._kept[id_] = crops.warp(read_picture(path), self.side)[:, :, ::-1]
            except ValueError as error:
                self.unreadable[id_] = str(error)
                self._kept[id_] = np.full((self.side, self.side, 3), _UNREADABLE, np.uint8)
            if self.marks and self.selection[id_].get("split") == "test":
                self._kept[id_] = marked(self._kept[id_])
        return self._kept[id_]


def odds_strengths(scores):
    """Return how strongly pictures drive Low and High by their log odds: float64 [N,5,2] of probabilities [N,5,2].

    Parameters
    ----------
    scores : float array [N,5,2]
        Probabilities of low and high.
    """
    odds = log_odds(scores)
    return np.stack([-odds, odds], axis=-1)


def most_activating(strengths, trait, count=SHOWN):
    """Return the places of the pictures that most activate High and Low of a trait, strongest first.

    Every picture competes, whatever its own trait ("we input all the images", section 4.2).

    Parameters
    ----------
    strengths : float array [N,5,2]
        Of Low and of High: activations of the output units, or `odds_strengths`, by which no picture is in both.
    trait : str
    count : int
        Pictures a pole.

    Returns
    -------
    dict
        "high" and "low" -> int array
    """
    low, high = np.asarray(strengths)[:, TRAITS.index(trait)].T
    count = min(count, len(high) // 2)
    order = {"high": np.argsort(high, kind="stable")[::-1], "low": np.argsort(-low, kind="stable")}
    return {pole: places[:count] for pole, places in order.items()}


def marked(picture):
    """Return a picture with a black and white corner, the mark of a test picture.

    Parameters
    ----------
    picture : uint8 array [side, side, 3]
        RGB; it stays as it is.
    """
    side = len(picture) // 5
    corner = picture.copy()
    corner[: side + 2, : side + 2] = 255
    corner[:side, :side] = 0
    return corner


def tile(pictures, columns, gap=GAP):
    """Lay uint8 [side, side, 3] pictures row by row on white; return uint8 [H, W, 3].

    Parameters
    ----------
    pictures : list of uint8 [side, side, 3]
        All of one size, one at least.
    columns : int
    gap : int
        White pixels around each.
    """
    side = pictures[0].shape[0]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (side + gap) + gap, columns * (side + gap) + gap, 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        y, x = gap + row * (side + gap), gap + column * (side + gap)
        sheet[y : y + side, x : x + side] = picture
    return sheet


def draw_activating(ids, strengths, trait, thumbnails, out, count=SHOWN, measure="log_odds"):
    """Figure 4, 5, 6, 7 or 8: the pictures that most activate High, and those that most activate Low.

    Parameters
    ----------
    ids : sequence of str [N]
    strengths : float [N,5,2]
        What is ranked by, see `mindpics.report.sheets.most_activating`.
    trait : {"O", "C", "E", "A", "N"}
    thumbnails : Thumbnails
    out : path
        Without ending.
    count : int
        Pictures of each pole, at most.
    measure : str
        Column of the strengths in OUT.csv.
    """
    values, rows, drawn = np.asarray(strengths)[:, TRAITS.index(trait)], [], {}
    for pole, places in most_activating(strengths, trait, count).items():
        drawn[f"{pole} {TRAIT_NAMES[trait]}"] = tile([thumbnails(str(ids[place])) for place in places], columns=10)
        for rank, place in enumerate(places, 1):
            row, value = thumbnails.selection[str(ids[place])], values[place, POLES.index(pole)]
            rows.append(
                (pole, rank, ids[place], f"{value:.4f}", row["trait"], row["pole"], row["word"], row.get("split", ""))
            )
    columns = ("activates", "rank", "id", measure, "own_trait", "own_pole", "own_word", "split")
    _save_sheets(drawn, out, columns, rows)


def random_samples(selection, trait, pole, count, seed=0):
    """Return `count` ids of a trait and pole, drawn without replacement; fewer where there are fewer.

    Parameters
    ----------
    selection : dict
        id -> row of mindpics.csv.
    trait, pole : str
        "O" .. "N"; "low" or "high".
    count, seed : int
    """
    ids = sorted(id_ for id_, row in selection.items() if (row["trait"], row["pole"]) == (trait, pole))
    rng = np.random.default_rng([seed, TRAITS.index(trait), POLES.index(pole)])
    return [ids[place] for place in rng.permutation(len(ids))[:count]]


def draw_samples(selection, thumbnails, out, seed=0):
    """Figure 1: a column of random pictures for each trait and pole, high before low as in the paper.

    Parameters
    ----------
    selection : dict
        id -> row of mindpics.csv.
    thumbnails : Thumbnails
    out : path
        Without ending.
    seed : int
    """
    side, classes = thumbnails.side, [(trait, pole) for trait in TRAITS for pole in ("high", "low")]
    drawn = {class_: random_samples(selection, *class_, SAMPLES, seed) for class_ in classes}
    blank = np.full((side, side, 3), 255, np.uint8)
    cells = [
        thumbnails(drawn[class_][row]) if row < len(drawn[class_]) else blank
        for row in range(SAMPLES)
        for class_ in classes
    ]
    sheet = tile(cells, len(classes))
    figure, axes = _sheet_figure([sheet])
    centres = GAP + side / 2 + np.arange(len(classes)) * (side + GAP)
    axes[0].set_xticks(centres, [f"{pole}\n{trait}" for trait, pole in classes])
    axes[0].tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    _save_ids(figure, drawn, selection, out)


def draw_trait_samples(selection, trait, thumbnails, out, count=SHOWN, seed=0):
    """Figure 10: random pictures of High and of Low of one trait.

    Parameters
    ----------
    selection, thumbnails, out, seed
        As `draw_samples` has them.
    trait : {"O", "C", "E", "A", "N"}
    count : int
        Pictures of each pole, at most.
    """
    drawn = {(trait, pole): random_samples(selection, trait, pole, count, seed) for pole in ("high", "low")}
    sheets = {
        f"{pole} {TRAIT_NAMES[trait]}": tile([thumbnails(id_) for id_ in drawn[trait, pole]], columns=10)
        for trait, pole in drawn
        if drawn[trait, pole]
    }
    figure, axes = _sheet_figure(list(sheets.values()))
    for panel, title in zip(axes, sheets, strict=True):
        panel.set_title(title)
    _save_ids(figure, drawn, selection, out)


def _save_ids(figure, drawn, selection, out):
    rows = [(*class_, id_, selection[id_]["word"]) for class_, ids in drawn.items() for id_ in ids]
    save(figure, out, ("trait", "pole", "id", "word"), rows)


def _save_sheets(sheets, out, columns, rows):
    figure, axes = _sheet_figure(list(sheets.values()))
    for panel, title in zip(axes, sheets, strict=True):
        panel.set_title(title)
    save(figure, out, columns, rows)


def _sheet_figure(sheets):
    """Stack sheets at about one pixel a pixel."""
    width = max(sheet.shape[1] for sheet in sheets) / DPI + 0.2
    height = sum(sheet.shape[0] for sheet in sheets) / DPI + 0.45 * len(sheets)
    figure, axes = new_figure(width, height, len(sheets), 1, height_ratios=[sheet.shape[0] for sheet in sheets])
    for panel, sheet in zip(axes[:, 0], sheets, strict=True):
        panel.imshow(sheet)
        panel.set(xticks=(), yticks=())
        panel.spines[:].set_visible(False)
    return figure, axes[:, 0]
