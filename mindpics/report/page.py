"""Report of one run or several: one HTML file that opens from disk."""

from dataclasses import replace
from pathlib import Path

from mindpics.files import own_folder
from mindpics.files.atomic import atomic_write
from mindpics.files.layout import JobFiles, ReportFiles
from mindpics.files.own_folder import Kind
from mindpics.report import facts, tables
from mindpics.report.pages import data_uri, embedded, shown_section, template
from mindpics.report.run_figures import RunFigures
from mindpics.report.runs import Comparing
from mindpics.report.summary import about_errors, summary
from mindpics.results.run_files import PAPERS_BEST, RunFiles
from mindpics.results.seeds import TABLE3
from mindpics.results.sensitivity import FOLDER, read_sensitivity
from mindpics.results.study import Figure

REPORT = Kind(
    "a report",
    (
        ReportFiles.page,
        f"{ReportFiles.figures}/*",
        ReportFiles.paired,
        ReportFiles.sampling_error,
        ReportFiles.seeds,
        ReportFiles.paired_over_seeds,
    ),
)


def write_report(
    root,
    other_roots=(),
    *,
    out=None,
    pictures=None,
    model=None,
    study=None,
    further=(),
    progress=lambda items: items,
    workers=1,
):
    """Draw a run's figures and write the report of one run, or of several side by side.

    Parameters
    ----------
    root : path
        Like runs/mini; a run with some of its rows will do. The figures are of this one.
    other_roots : sequence of path
        Runs to show beside it.
    out : path, optional
        The page; by default ROOT/report/index.html. Figures and CSVs go beside it: a folder of its own.
    pictures : path, optional
        What image paths of mindpics.csv are relative to; see `mindpics.results.run_files.RunFiles`.
    model : str, optional
        NET_HEADS_INIT that figures 3 to 9 show: by default the paper's, ResNet-50 all-in-one
        fine-tuned, or the best that is there.
    study : callable, optional
        Reader of another paper's experiment on the runs; see `mindpics.results.study`.
    further : sequence of mindpics.results.study.Section
        Sections at the end of the results, such as of a sweep.
    progress : callable
        Wraps the list of drawing steps, as tqdm does.
    workers : int or None
        Processes that draw; with one it is this process, None is one a core.

    Returns
    -------
    path : Path
    left_out : list of (figure, why)

    Raises
    ------
    ValueError
        When the page's folder holds other things, a run stands twice, there is no table to report, `model` has no
        scores, or a file of a run is broken.
    """
    page = Path(out or JobFiles(root).report.page)
    own_folder.require(page.parent, replace(REPORT, files=(*REPORT.files, page.name)))
    real = [Path(of_run).resolve() for of_run in (root, *other_roots)]
    if twice := [path for path in real if real.count(path) > 1]:
        raise ValueError(f"{twice[0]}: found this run twice; wanted each once, since means are taken over runs")
    run = RunFiles(root, pictures, study)
    comparing = Comparing([run, *(RunFiles(other_root, study=study) for other_root in other_roots)])
    figures, left_out, words = [], [], []
    if run.models():
        of_run = RunFigures(run, _model(run, model), ReportFiles(page.parent).figures)
        figures, left_out, words = of_run.draw_all(progress, workers), of_run.left_out, of_run.words
    elif run.table3:
        left_out.append(("Figures of MindPics", "no scores.npz is left of any row"))
    with atomic_write(page) as stream:
        stream.write(_render(comparing, page.parent, figures, left_out, words, further))
    return page, left_out


def _render(comparing, folder, figures, left_out, words, further):
    """Return the page; every value is escaped."""
    runs, names, run = comparing.runs, comparing.names, comparing.runs[0]
    sections = {}
    for figure in figures:
        sections.setdefault(figure.section, []).append(embedded(figure))
    several = len(runs) > 1
    return template("report.html").render(
        title=f"{', '.join(names)}: {' and '.join(['MindPics', *([run.study.title] if run.study else [])])}",
        figures_of=names[0] if several else "",
        stand_ins=_stand_ins(runs),
        on=_on(comparing),
        unrecorded=[name for name, each in zip(names, runs, strict=True) if not each.facts],
        summary=summary(comparing),
        runs=comparing.runs_table() if several else None,
        differing=comparing.differing() if several else None,
        repeats=comparing.repeats,
        table3=_results(comparing, TABLE3, tables.table3),
        claims=[(name, table) for name, each in comparing.named if (table := tables.claims(each))],
        table3_traits=[(name, tables.table3_traits(each)) for name, each in comparing.named if each.table3],
        study=_study(comparing) if run.study else None,
        sensitivity=_sensitivity(run),
        further=list(map(shown_section, further)),
        paired=comparing.paired_tables(),
        sampling=about_errors(comparing.errors()),
        downloads={path.name: data_uri(path) for path in comparing.write(folder)},
        sections=sections,
        words=tables.words(words) if words else None,
        data=facts.data(run),
        selection=facts.selection(run),
        rejected=facts.rejected(run),
        choices=facts.choices(runs, names if several else ("this run",)),
        environment=facts.environment(runs, names if several else ("version",)),
        hashes=[(name, facts.hashes(each)) for name, each in comparing.named],
        left_out=left_out,
    )


def _stand_ins(runs):
    """Return [(what of the paper's, what stands in for it)] of all runs, what one thing stands in for together."""
    told = {}
    for run in runs:
        for part, text in run.stand_ins().items():
            told.setdefault(text, {})[part] = None
    return [(list(parts), text) for text, parts in told.items()]


def _on(comparing):
    """Return {section: what its numbers are on}, "" where no data stand in; of weights each row tells its own."""
    runs = comparing.runs
    (table3, study), (first, first_study) = _data_stand_in(runs), _data_stand_in(runs[:1])
    sections = {
        "table3": table3,
        "study": study,
        "differences": [
            run.pins_stand_in() if run.study and each in run.study.comparisons else run.data_stands_in()
            for run, compared in zip(runs, comparing.compared.values(), strict=True)
            for each in compared
        ],
        "sensitivity": first + first_study,
        "figures": first,
    }
    return {section: _said(stand_in) for section, stand_in in sections.items()}


def _data_stand_in(runs):
    """Return whether the data of each run's Table 3, and of each run's table of the other paper, are a stand-in."""
    table3 = [run.data_stands_in() for run in runs if run.table3]
    return table3, [run.pins_stand_in() for run in runs if run.study and run.study.rows]


def _said(stand_in):
    if not any(stand_in):
        return ""
    return "on the stand-in" if all(stand_in) else "in part on the stand-in"


def _study(comparing):
    """Return what the page shows of another paper: tables of all runs, the rest of the first; None without rows."""
    first = comparing.runs[0].study
    tables_of_runs = _results(comparing, first.caption, lambda run: run.study.table)
    heading = f"{first.caption.paper}: {first.caption.table}"
    id_ = first.caption.table.lower().replace(" ", "")
    shown = {
        "id": id_,
        "heading": heading,
        "tables": tables_of_runs,
        "details": first.details,
        "figures": [embedded(figure) for figure in first.figures],
    }
    return shown if tables_of_runs else None


def _sensitivity(run):
    """Return what the page shows of the open readings, of the first run; None where tools/sensitivity has not run."""
    folder = run.root / FOLDER
    if not (folder / "readings.csv").is_file():
        return None
    lines = read_sensitivity(folder / "readings.csv")
    drawn = Figure(folder, "readings", "Sensitivity", "A dot and its 95% interval a reading", "Filled: 0 lies outside.")
    return {"table": tables.sensitivity(lines), "figures": [embedded(drawn)]}


def _results(comparing, caption, table_of):
    """Return [(heading, table)]: the one run's own table, or all side by side and then each run's own."""
    rows = [row for row in comparing.rows if row.caption == caption]
    tables_of_runs = [(label, table_of(run)) for label, run in comparing.named if table_of(run).rows]
    return (
        tables_of_runs
        if len(comparing.runs) == 1 or not rows
        else [("", comparing.side_by_side(rows)), *tables_of_runs]
    )


def _model(run, model):
    models = run.models()
    if model and model not in models:
        raise ValueError(f"{run.root}: found no scores of {model}; wanted one of {', '.join(models)}")
    return model or (PAPERS_BEST if PAPERS_BEST in models else run.best_model())
