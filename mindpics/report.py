"""A run as one HTML file that opens from disk: no network, no server, every figure inside it."""

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mindpics import report_tables as tables
from mindpics.atomic import atomic_write
from mindpics.run_figures import PAPERS_BEST, Drawn, RunFigures
from mindpics.run_files import RunFiles

KINDS = {"png": "image/png", "svg": "image/svg+xml", "csv": "text/csv"}
PINTEREST_FIGURES = {
    "figure2": ("Figure 2: words a pin", "Minimum, maximum, mean and median of each user, on a log scale."),
    "figure3": ("Figure 3: two principal components", "All pins, by their text and by their images."),
    "figure4": ("Figure 4: F1 of each user", "Users in the order of CF+Ref."),
    "figure5": ("Figure 5: users by F1", "Of CF+Ref."),
    "confused_pairs": ("Most confused users", "Of CF+Ref."),
}


def write_report(root, *, pictures=None, model=None, progress=lambda items: items):
    """Draw a run's figures and write ROOT/report/index.html.

    Parameters
    ----------
    root : path
        Like runs/mini; a run with some of its rows will do.
    pictures : path, optional
        What image paths of mindpics.csv are relative to; see `mindpics.run_files.RunFiles`.
    model : str, optional
        NET_HEADS_INIT that figures 3 to 9 show: by default the paper's, ResNet-50 all-in-one
        fine-tuned, or the best that is there.
    progress : callable
        Wraps the list of drawing steps, as tqdm does.

    Returns
    -------
    path : Path
    left_out : list of (figure, why)

    Raises
    ------
    ValueError
        When there is no table to report, `model` has no scores, or a file of the run is broken.
    """
    run = RunFiles(root, pictures)
    out = run.root / "report"
    figures, left_out, words = [], [], []
    if run.models():
        drawn = RunFigures(run, _model(run, model), out / "figures").draw_all(progress)
        figures, left_out, words = drawn.drawn, drawn.left_out, drawn.words
    elif run.table3:
        left_out.append(("Figures of MindPics", "no scores.npz is left of any row"))
    with atomic_write(out / "index.html") as stream:
        stream.write(render(run, figures, left_out, words))
    return out / "index.html", left_out


def render(run, figures, left_out, words):
    """Return the page; every value is escaped."""
    sections = {}
    for figure in figures:
        sections.setdefault(figure.section, []).append(_embedded(figure, run.root / "report" / "figures"))
    environment = Environment(
        loader=PackageLoader("mindpics"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html").render(
        title=f"{run.root.name}: MindPics and Pinterest user identification",
        stand_in=run.stand_in(),
        recorded=bool(run.facts),
        summary=summary(run),
        table3=tables.table3(run) if run.table3 else None,
        table3_traits=tables.table3_traits(run),
        table2=tables.table2(run) if run.table2 else None,
        pinterest_figures=_pinterest_figures(run),
        sections=sections,
        words=tables.words(words) if words else None,
        data=tables.data(run),
        selection=tables.selection(run),
        rejected=tables.rejected(run),
        choices=tables.choices(run),
        environment=tables.environment(run),
        hashes=tables.hashes(run),
        left_out=left_out,
    )


def summary(run):
    """Return what the tables say, in sentences."""
    said = []
    if run.table3:
        said += _about_table3(run)
    if run.table2:
        best = max(run.table2, key=lambda row: row["accuracy"])
        said.append(
            f"Who would post this pin? The best of {len(run.table2)} models, {best['model']}, names the right user for "
            f"{best['accuracy']:.1f}% of {best['n']:.0f} test pins (95% interval {best['low95']:.1f} to "
            f"{best['high95']:.1f})."
        )
    return said


def _about_table3(run):
    best = max(run.table3, key=lambda row: row["avg"])
    half = max((row["high95"] - row["low95"]) / 2 for row in run.table3)
    on = " of the stand-in" if run.stand_in() else ""
    said = [
        f"Of Table 3's six rows {len(run.table3)} are here. The best, {best['net']} {best['heads']} "
        f"{best['init']}, is right on {best['avg']:.1f}% of {best['n']:.0f} test pictures{on}, mean over traits "
        f"(95% interval {best['low95']:.1f} to {best['high95']:.1f}); always guessing the larger pole gives "
        f"{best['larger_pole_avg']:.1f}%. The paper's best is ResNet-50 all-in-one with 71.9%."
    ]
    averages = {(row["net"], row["init"], row["heads"]): row for row in run.table3}
    for (net, init, heads), row in averages.items():
        other = averages.get((net, init, "independent"))
        if heads == "all-in-one" and other:
            paper = row["published_avg"] - other["published_avg"]
            said.append(
                f"{net} {init}: all-in-one is {row['avg'] - other['avg']:+.1f} points from independent "
                f"(paper {paper:+.1f})."
            )
    said.append(
        f"Intervals here reach up to {half:.1f} points to each side, so differences as small as the paper's 0.2 and "
        "0.5 points between all-in-one and independent cannot be told from sampling error."
    )
    return said


def _model(run, asked):
    models = run.models()
    if asked and asked not in models:
        raise ValueError(f"{run.root}: no scores of {asked}; found {', '.join(models)}")
    return asked or (PAPERS_BEST if PAPERS_BEST in models else run.best_model())


def _pinterest_figures(run):
    folder = run.pinterest / "figures"
    figures = [Drawn(name, "Pinterest", *text) for name, text in PINTEREST_FIGURES.items()]
    return [_embedded(figure, folder, "png") for figure in figures if (folder / f"{figure.name}.png").is_file()]


def _embedded(figure, folder, kind=None):
    kind = kind or ("png" if figure.pictures else "svg")
    csv = Path(folder) / f"{figure.name}.csv"
    return {
        "name": figure.name, "title": figure.title, "caption": figure.caption, "wide": kind == "svg",
        "image": data_uri(Path(folder) / f"{figure.name}.{kind}"),
        "csv": data_uri(csv) if csv.is_file() else "",
    }  # fmt: skip


def data_uri(path):
    """Return a file as a data: URI."""
    return f"data:{KINDS[path.suffix[1:]]};base64,{base64.b64encode(path.read_bytes()).decode()}"
