"""Figure of a sweep: a panel a varied setting, the test result of each run over it."""

import itertools
import math
from dataclasses import dataclass

from mindpics.report.charts import GREY, TRAIT_STYLES, literal, new_figure, save

DECADE = 10  # values further apart than this lie on a log axis
TICKS = 7  # values a panel names one by one, where they are
ROOM = 0.13  # of its width apart
SPREAD = 0.12  # of a panel's width that settings of one value stand apart
STYLES = list(TRAIT_STYLES.values())


@dataclass(frozen=True)
class Scale:
    """Where a setting's values stand on their axis: numbers by their size or its logarithm, words side by side."""

    values: list
    kind: str

    @classmethod
    def of(cls, values):
        """Return the scale of all values of a setting."""
        values = list(dict.fromkeys(values))
        if any(isinstance(value, bool | str) or value is None for value in values):
            return cls(values, "words")
        values = sorted(values)
        return cls(values, "log" if 0 < DECADE * values[0] <= values[-1] else "linear")

    def place(self, value, aside):
        """Return where a value stands; `aside`, -.5 to .5, sets apart those that share it."""
        low, high = self.values[0], self.values[-1]
        if self.kind == "log":
            return value * (high / low) ** (SPREAD * aside)
        if self.kind == "linear":
            return value + ((high - low) or 1) * SPREAD * aside
        return self.values.index(value) + len(self.values) * SPREAD * aside

    def label(self, axes):
        """Name the values on an axis, each where they are few."""
        if self.kind == "log":
            axes.set_xscale("log")
        if self.kind == "words":
            axes.set_xticks(range(len(self.values)), [label_of(value) for value in self.values])
            axes.set_xlim(-0.5, len(self.values) - 0.5)
        elif self._has_room():
            axes.set_xticks(self.values, [f"{value:g}" for value in self.values])
            axes.set_xticks([], minor=True)

    def _has_room(self):
        """Tell whether each value can be named below the axis without touching its neighbour."""
        places = [math.log(value) if self.kind == "log" else value for value in self.values]
        gaps = [after - before for before, after in itertools.pairwise(places)]
        return len(places) <= TICKS and (not gaps or min(gaps) > ROOM * (places[-1] - places[0]))


def draw_runs(groups, names, measured, out):
    """Draw runs over each setting that differs: a dot a run, a bar over the seeds of one setting; OUT.png, .svg, .csv.

    Parameters
    ----------
    groups : list of list of dict
        The rows of each setting, one a seed; see `mindpics.sweeps.sweep.sweep`.
    names : list of str
        Of the settings that differ.
    measured : str
        Column of the result.
    out : path
        Without ending.
    """
    styled = len(groups) <= len(STYLES)
    figure, (panels,) = new_figure(max(6, 3.6 * len(names)), 4, 1, len(names), sharey=True)
    for axes, name in zip(panels, names, strict=True):
        scale = Scale.of([row.get(name) for rows in groups for row in rows])
        for number, rows in enumerate(groups):
            aside = number / (len(groups) - 1) - 0.5 if len(groups) > 1 else 0
            label = ", ".join(f"{other} {label_of(rows[0].get(other))}" for other in names) if styled else None
            style = STYLES[number if styled else 1]
            _draw_group(axes, [scale.place(row.get(name), aside) for row in rows], rows, measured, style, label)
        scale.label(axes)
        axes.set_xlabel(literal(name))
    panels[0].set_ylabel(measured.replace("_", " "))
    _explain(figure, panels[0], groups)
    columns = (*names, "seed", "ended", measured)
    save(figure, out, columns, [[row.get(column, "") for column in columns] for rows in groups for row in rows])


def _draw_group(axes, places, rows, measured, style, label):
    """Draw the runs of one setting: dots, and a bar from the least to the most; a cross at the foot where one diverged.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    places : list of float
        x of each row.
    rows : list of dict
    measured : str
    style : mindpics.report.charts.Style
    label : str or None
    """
    done = [(x, row[measured]) for x, row in zip(places, rows, strict=True) if is_measured(row, measured)]
    lost = [x for x, row in zip(places, rows, strict=True) if not is_measured(row, measured)]
    marks = {"color": style.colour, "alpha": 0.75, "linestyle": "none"}
    axes.plot([x for x, _ in done], [y for _, y in done], style.marker, label=label and literal(label), **marks)
    if len(done) > 1:
        axes.plot(2 * [done[0][0]], [min(y for _, y in done), max(y for _, y in done)], "-", color=style.colour)
    axes.plot(lost, [0.03] * len(lost), "x", transform=axes.get_xaxis_transform(), **marks)


def _explain(figure, panel, groups):
    """Write the legend below: settings where they are told apart, and what a cross is."""
    if any(row["ended"] != "done" for rows in groups for row in rows):
        panel.plot([], [], "x", color=GREY, label="diverged")
    handles, labels = panel.get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False, fontsize=8)


def is_measured(row, measured):
    """Tell whether a run ended with a result."""
    return row["ended"] == "done" and math.isfinite(row.get(measured, math.nan))


def label_of(value, most=24):
    """Return a value as a label: of a long path its end."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return literal(text if len(text) <= most else f"…{text[-most:]}")
