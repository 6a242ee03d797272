"""t-SNE maps of pictures by the last pooling layer's features (figures 4c to 8c, and 9)."""

import numpy as np
from threadpoolctl import threadpool_limits

from mindpics.report.charts import POLE_COLOURS, TRAIT_STYLES, new_figure, save
from mindpics.report.sheets import SHOWN, most_activating
from mindpics.traits import TRAIT_NAMES, TRAITS

PERPLEXITY = 30  # section 4.2, as is the random initialisation
CANVAS, BORDER = 1000, 4  # pixels of a map's side, and of a thumbnail's border


def project(features, seed=0):
    """Project features [N, D] to a plane by t-SNE; return float [N, 2].

    Perplexity is 30, or a third of the pictures where they are too few for that.
    """
    from sklearn.manifold import TSNE  # a second, which only what draws maps takes

    features = np.asarray(features, dtype=np.float32)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    # A few hundred points: threads would cost more than they give, and change the last digits.
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, init="random", random_state=seed).fit_transform(features)


def draw_trait_map(ids, strengths, trait, features, thumbnails, out, count=SHOWN, seed=0):
    """Figure 4c .. 8c: a trait's most activating pictures, High bordered orange and Low blue.

    Parameters
    ----------
    ids : sequence of str [N]
    strengths : float [N,5,2]
        What is ranked by, see `mindpics.report.sheets.most_activating`.
    trait : {"O", "C", "E", "A", "N"}
    features : dict
        id -> float [D].
    thumbnails : callable
        id -> uint8 [side, side, 3], RGB.
    out : path
        Without ending.
    count : int
        Pictures of each pole.
    seed : int
        Of the layout.
    """
    chosen = [(pole, place) for pole, places in most_activating(strengths, trait, count).items() for place in places]
    bordered = [(str(ids[place]), pole, POLE_COLOURS[pole]) for pole, place in chosen]
    _draw_maps({TRAIT_NAMES[trait]: bordered}, features, thumbnails, out, seed)


def draw_all_traits_map(ids, strengths, features, thumbnails, out, count=SHOWN, seed=0):
    """Figure 9: all traits' most activating pictures, High and Low apart, bordered by trait.

    Parameters
    ----------
    ids, strengths, features, thumbnails, out, count, seed
        As `draw_trait_map` has them.
    """
    panels = {}
    for pole, title in (("high", "High"), ("low", "Low")):
        chosen = [(trait, place) for trait in TRAITS for place in most_activating(strengths, trait, count)[pole]]
        panels[title] = [(str(ids[place]), trait, TRAIT_STYLES[trait].colour) for trait, place in chosen]
    _draw_maps(panels, features, thumbnails, out, seed)


def place_on_canvas(points, pictures, colours, side=CANVAS):
    """Paste bordered pictures at their places, the later over the earlier; return uint8 [side, side, 3].

    Parameters
    ----------
    points : float [N,2]
    pictures : list of uint8 [side, side, 3]
        All of one size.
    colours : list of str
        "#rrggbb" of each border.
    side : int
        Of the canvas, in pixels.
    """
    size = pictures[0].shape[0] + 2 * BORDER
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    places = ((points - low) / np.maximum(span, 1e-9) * (side - size)).astype(int)
    canvas = np.full((side, side, 3), 255, np.uint8)
    for (x, y), picture, colour in zip(places, pictures, colours, strict=True):
        top = side - size - y  # upwards, as in a plot
        canvas[top : top + size, x : x + size] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        canvas[top + BORDER : top + size - BORDER, x + BORDER : x + size - BORDER] = picture
    return canvas


def _draw_maps(panels, features, thumbnails, out, seed):
    """Draw {title: [(id, group, border colour)]} side by side."""
    figure, (axes_of,) = new_figure(7.5 * len(panels), 7.8, 1, len(panels))
    rows = []
    for axes, (title, pictures) in zip(axes_of, panels.items(), strict=True):
        lacking = [id_ for id_, _, _ in pictures if id_ not in features]
        if lacking:
            raise ValueError(
                f"{out}: found no features of {len(lacking)} pictures, {lacking[0]} the first; wanted some of each"
            )
        points = project([features[id_] for id_, _, _ in pictures], seed)
        small = [thumbnails(id_)[::2, ::2] for id_, _, _ in pictures]
        axes.imshow(place_on_canvas(points, small, [colour for *_, colour in pictures]))
        axes.set_title(title)
        axes.set_axis_off()
        rows += [
            (title, id_, group, f"{x:.4f}", f"{y:.4f}")
            for (id_, group, _), (x, y) in zip(pictures, points, strict=True)
        ]
    _legend(figure, {group: colour for pictures in panels.values() for _, group, colour in pictures})
    save(figure, out, ("panel", "id", "group", "x", "y"), rows)


def _legend(figure, groups):
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=TRAIT_NAMES.get(group, group)) for group, colour in groups.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
