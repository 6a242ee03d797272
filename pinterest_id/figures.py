"""Figures 2 to 5 and the most confused pairs, each as PNG and SVG beside the CSV it is drawn from.

Colours are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from pathlib import Path

import numpy as np

from mindpics.files.tables import rows_of, write_table
from mindpics.report.addresses import hide_addresses
from mindpics.report.charts import new_figure, save_pictures
from pinterest_id.layout import ExperimentFiles
from pinterest_id.published import published

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
SHOWN = {
    "text only": (BLUE, "--"),
    "images only": (ORANGE, ":"),
    "linear 0.3": (GREEN, "-."),
    "linear 0.5": (SKY, (0, (1, 1))),
    "linear 0.7": (PURPLE, (0, (3, 1, 1, 1))),
    "CF": (VERMILION, (0, (6, 1))),
    "CF+Ref": (BLACK, "-"),
}  # every row of Table 2
BINS = 10


def draw_all(folder):
    """Draw every figure of a run folder into its figures/."""
    files = ExperimentFiles(Path(folder))
    draw_words(files.words_by_user, files.figures)
    draw_projection(files.projection, files.figures)
    draw_f1(files.f1_by_user)
    draw_histogram(files.f1_by_user)
    draw_pairs(files.confused_pairs)


def draw_words(table, folder):
    """Figure 2: minimum, maximum, median and mean words a pin of each user, on a log scale."""
    rows = sorted(rows_of(table), key=lambda row: float(row["median"]))
    write_table(folder / "figure2.csv", list(rows[0]), [row.values() for row in rows])
    figure, axes = _axes("Users, by median words a pin", "Words a pin")
    for name, colour, mark in (
        ("max", VERMILION, "^"),
        ("mean", ORANGE, "s"),
        ("median", BLUE, "o"),
        ("min", GREEN, "v"),
    ):
        axes.plot([max(0.5, float(row[name])) for row in rows], mark, color=colour, label=name, markersize=4)
    axes.set_yscale("log")
    axes.legend(ncols=4, frameon=False)
    save_pictures(figure, folder / "figure2")


def draw_projection(path, folder):
    """Figure 3: all pins on the first two principal components of text and of images."""
    with np.load(path, allow_pickle=False) as arrays:
        data = {name: (arrays[name], arrays[f"{name}_variance"]) for name in ("text", "image")}
        columns = [arrays["ids"], *arrays["text"].T, *arrays["image"].T]
    header = ["id", "text_pc1", "text_pc2", "image_pc1", "image_pc2"]
    write_table(folder / "figure3.csv", header, zip(*columns, strict=True))
    paper = published()["dataset"]["explained_variance_10_pcs"]
    write_table(
        folder / "figure3_variance.csv",
        ["modality", "components", "explained_variance", "published"],
        [[name, len(variance), f"{variance.sum():.4f}", paper[name]] for name, (_, variance) in data.items()],
    )
    figure, panels = new_figure(9, 4.2, columns=2)
    for axes, (name, (points, variance)) in zip(panels[0], data.items(), strict=True):
        axes.scatter(*points.T, s=4, alpha=0.25, linewidths=0, color=BLUE, rasterized=True)
        axes.set(xlabel="PC 1", ylabel="PC 2", title=f"{name}: {len(variance)} PCs explain {variance.sum():.3f}")
    save_pictures(figure, folder / "figure3")


def draw_f1(table):
    """Figure 4: F1 of each user under each model of Table 2; users in the order of CF+Ref."""
    rows = sorted(rows_of(table), key=lambda row: -float(row["CF+Ref"]))
    figure, axes = _axes("Users, by F1 of CF+Ref", "F1")
    for name, (colour, style) in SHOWN.items():
        width = 2.2 if name == "CF+Ref" else 1.3
        axes.plot([float(row[name]) for row in rows], color=colour, linestyle=style, label=name, linewidth=width)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False)
    save_pictures(figure, table.with_suffix(""))


def draw_histogram(table):
    """Figure 5: how many users have which F1, CF+Ref."""
    values = [float(row["CF+Ref"]) for row in rows_of(table)]
    counts, edges = np.histogram(values, bins=BINS, range=(0, 1))
    rows = zip(edges[:-1].round(2), edges[1:].round(2), counts, strict=True)
    write_table(table.with_name("figure5.csv"), ["from", "to", "users"], rows)
    figure, axes = _axes("F1 of CF+Ref", "Users")
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=SKY, edgecolor="white")
    save_pictures(figure, table.with_name("figure5"))


def draw_pairs(table):
    """The most confused pairs of users, CF+Ref."""
    rows = rows_of(table)[::-1]
    figure, axes = _axes("Test pins", "", height=max(2.5, 0.28 * len(rows) + 1))
    places = range(len(rows))  # shortened names may agree, and would share a bar
    axes.set_yticks(places, [f"{_short(row['user_a'])} / {_short(row['user_b'])}" for row in rows])
    there = np.array([int(row["pins_of_a_given_to_b"]) for row in rows])
    axes.barh(places, there, color=BLUE, label="first's given to second")
    axes.barh(
        places,
        [int(row["pins_of_b_given_to_a"]) for row in rows],
        left=there,
        color=ORANGE,
        label="second's given to first",
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)  # above the bars
    save_pictures(figure, table.with_suffix(""))


def _axes(xlabel, ylabel, height=4.2):
    figure, panels = new_figure(9, height)
    panels[0, 0].set(xlabel=xlabel, ylabel=ylabel)
    return figure, panels[0, 0]


def _short(name, letters=24):
    name = hide_addresses(name)
    name = name if len(name) <= letters else name[: letters - 1] + "…"
    return name.replace("$", r"\$")  # matplotlib would read formulas
