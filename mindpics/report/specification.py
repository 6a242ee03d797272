"""Specification chart: how far each open reading moves each headline number, a dot and an interval a reading."""

from mindpics.report.charts import BLACK, BLUE, GREY, literal, new_figure, save
from mindpics.results.sensitivity import COLUMNS

LINE = 0.3  # inches a reading


def draw_sensitivity(lines, out, title=""):
    """Draw the lines of `mindpics.results.sensitivity`: a panel a headline number, its readings in order of the move.

    Parameters
    ----------
    lines : list of dict
    out : path
        Without ending: gets .png, .svg and, as the table's CSV, .csv.
    title : str
    """
    shown = [line for line in lines if line["difference"] != ""]
    numbers = list(dict.fromkeys((line["paper"], line["number"]) for line in shown))
    panels = [
        sorted((line for line in shown if (line["paper"], line["number"]) == each), key=_moved) for each in numbers
    ]
    heights = [len(panel) + 1.5 for panel in panels] or [1]
    options = {"gridspec_kw": {"height_ratios": heights}, "sharex": True}
    figure, axes = new_figure(10, 1 + LINE * sum(heights), len(heights), 1, **options)
    for panel_axes, panel, (paper, number) in zip(axes[:, 0], panels, numbers, strict=False):
        _draw_panel(panel_axes, panel)
        default = float(max(panel, key=lambda line: int(line["seeds"]))["before"])  # one that diverged has fewer
        panel_axes.set_title(f"{paper}: {literal(number)}, {default:.1f}% by default", loc="left", fontsize=10)
    axes[-1, 0].set_xlabel("points that the reading moves it, with the 95% interval")
    figure.suptitle(literal(title))
    save(figure, out, COLUMNS, lines)


def _draw_panel(axes, panel):
    for place, line in enumerate(panel):
        low, high, moved = (float(line[key]) for key in ("low95", "high95", "difference"))
        told = not low <= 0 <= high
        axes.plot([low, high], [place, place], color=BLUE if told else GREY, linewidth=1.6)
        face = BLUE if told else "white"
        axes.plot(moved, place, "o", color=BLUE if told else BLACK, markerfacecolor=face, markersize=6)
    axes.axvline(0, color=BLACK, linewidth=0.8)
    axes.set(ylim=(len(panel) - 0.5, -0.5))
    axes.set_yticks(range(len(panel)), [literal(f"{line['choice']}: {line['reading']}") for line in panel], fontsize=9)


def _moved(line):
    return float(line["difference"])
