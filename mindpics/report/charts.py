"""Style and saving of figures: PNG and SVG, each beside the CSV it is drawn from.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; no line or mark
differs by colour alone. The paper's border colours (section 4.2) have their nearest here.
"""

from dataclasses import dataclass
from pathlib import Path

from mindpics.files.atomic import atomic_write
from mindpics.files.tables import write_table

BLACK, ORANGE, GREEN, BLUE, VERMILION, GREY = "#000000", "#E69F00", "#009E73", "#0072B2", "#D55E00", "#767676"
DPI = 120


@dataclass(frozen=True)
class Style:
    """A series' colour, marker and dashes."""

    colour: str
    marker: str
    dashes: str | tuple


TRAIT_STYLES = {
    "O": Style(ORANGE, "o", "-"),
    "C": Style(BLUE, "s", "--"),
    "E": Style(GREEN, "^", "-."),
    "A": Style(BLACK, "D", ":"),
    "N": Style(VERMILION, "v", (0, (5, 1, 1, 1, 1, 1))),
}
POLE_COLOURS = {"high": ORANGE, "low": BLUE}


def style_of(name, index=0):
    """Return a series' style: its trait's when the name ends in one (``loss_O``), else by its place."""
    _, _, trait = name.rpartition("_")
    return TRAIT_STYLES.get(trait) or list(TRAIT_STYLES.values())[(index + 3) % len(TRAIT_STYLES)]


def new_figure(width, height, rows=1, columns=1, **options):
    """Return a figure of so many inches, and its axes as an array [rows, columns].

    Parameters
    ----------
    width, height : float
        Inches.
    rows, columns : int
        Of axes.
    options
        Further arguments of `matplotlib.figure.Figure.subplots`.
    """
    from matplotlib.figure import Figure  # half a second, which only what draws takes

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for panel in axes.flat:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure, path, columns, rows):
    """Write PATH.png, PATH.svg and PATH.csv, each whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        Without ending.
    columns : sequence of str
        Of the CSV.
    rows : iterable of sequences
        What the figure shows.
    """
    write_table(f"{path}.csv", columns, rows)
    save_pictures(figure, Path(path))


def save_pictures(figure, path):
    """Write PATH.png and PATH.svg, each whole or not at all."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.set_dpi(DPI)
    # The canvas' own functions: Figure.savefig draws everything once before it draws it.
    with atomic_write(f"{path}.png", "wb") as stream:
        FigureCanvasAgg(figure).print_png(stream)
    figure.set_layout_engine("none")  # the SVG has the PNG's layout, which is half of the drawing
    # Without a date, and with names that do not change, the same numbers give the same SVG.
    with rc_context({"svg.hashsalt": path.name}), atomic_write(f"{path}.svg", "wb") as stream:
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})


def literal(text):
    """Return text that matplotlib draws as it is, dollar signs included."""
    return str(text).replace("$", r"\$")
