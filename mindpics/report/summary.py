"""Summary sentences of a report."""

from mindpics.published import Row
from mindpics.report.runs import UNLIKE
from mindpics.results.metrics import Z95


def summary(comparing):
    """Return the sentences of one run or several.

    Parameters
    ----------
    comparing : mindpics.report.runs.Comparing
    """
    runs = comparing.runs
    if comparing.repeats:
        return _about_repeats(comparing) + _in_short(comparing.errors())
    sentences, of_run = [], ""
    if len(runs) > 1:
        of_run = f" of {comparing.names[0]}"
        sentences.append(f"Side by side: {', '.join(comparing.names)}. {UNLIKE}, see below.")
    if runs[0].table3:
        sentences += _about_table3(runs[0], of_run)
    if runs[0].study and runs[0].study.rows:
        sentences.append(_about_study(runs[0].study, of_run))
    return sentences + _in_short(comparing.errors())


def _about_repeats(comparing):
    sentences = [f"{len(comparing.runs)} runs that differ in the seed alone: {', '.join(comparing.names)}."]
    repeated = [row for row in comparing.rows if row.sd is not None]
    for caption in dict.fromkeys(row.caption for row in repeated):
        best = max((row for row in repeated if row.caption == caption), key=lambda row: row.mean)
        span = f"{min(best.measured):.1f} to {max(best.measured):.1f}"
        sentences.append(
            f"Best of {caption.table}, on average: {best.name}, right on {best.mean:.1f}% of {best.tested} "
            f"{caption.tested} (standard deviation over {len(best.measured)} seeds {best.sd:.1f}, {span})."
        )
    paper = {
        each.name: each.paper[0] - each.paper[1] for comparisons in comparing.compared.values() for each in comparisons
    }
    for name, spread in comparing.over_seeds.items():
        beside = "" if spread.low <= 0 <= spread.high else ", which leaves out 0"
        sentences.append(
            f"{name}: {spread.mean:+.2f} points on average over {spread.seeds} seeds (paper {paper[name]:+.2f}), 95% "
            f"interval {spread.low:+.2f} to {spread.high:+.2f}{beside}."
        )
    return sentences


def _about_table3(run, of_run):
    best = max(run.table3, key=lambda row: row["avg"])
    on = " of the stand-in" if run.data_stands_in() else ""
    sentences = [
        f"{len(run.table3)} of Table 3's six rows are here. The best{of_run}, {Row.of(best).title}, "
        f"is right on {best['avg']:.1f}% of {best['n']:.0f} test pictures{on}, mean over traits "
        f"(95% interval {best['low95']:.1f} to {best['high95']:.1f}); always guessing the larger pole gives "
        f"{best['larger_pole_avg']:.1f}%. The paper's best is ResNet-50 all-in-one with 71.9%."
    ]
    averages = {(row["net"], row["init"], row["heads"]): row for row in run.table3}
    for (net, init, heads), row in averages.items():
        independent = averages.get((net, init, "independent"))
        if heads == "all-in-one" and independent:
            paper = row["published_avg"] - independent["published_avg"]
            sentences.append(
                f"{net} {init}: all-in-one is {row['avg'] - independent['avg']:+.1f} points from independent "
                f"(paper {paper:+.1f})."
            )
    return sentences


def _about_study(study, of_run):
    best, (question, does) = max(study.rows, key=lambda row: row.accuracy), study.asked
    return (
        f"{question} The best of {len(study.rows)} models{of_run}, {best.name}, {does} {best.accuracy:.1f}% of "
        f"{best.n} {study.caption.tested} (95% interval {best.low95:.1f} to {best.high95:.1f})."
    )


def about_errors(errors):
    """Return, for each difference of the papers, whether the paper's own test set can tell it from chance.

    Parameters
    ----------
    errors : list of dict
        See `mindpics.report.runs.Comparing.errors`.
    """
    return [
        f"{e['comparison']}: the paper's {e['difference']:+.2f} points lie {_beyond(e)} the ±{Z95 * e['unpaired']:.2f} "
        f"of chance between two test sets of {e['n']:,} (95%). On one and the same test set they are told from 0 if at "
        f"most {e['most_discordant']:.1f}% of it is discordant, that is, right by exactly one of the two; the paper "
        f"does not say, here {e['discordant']:.1f}% is. The {e['n_here']:,.0f} here tell differences beyond "
        f"±{Z95 * e['paired_here']:.1f} points."
        for e in errors
    ]


def _in_short(errors):
    if not errors:
        return []
    within = [f"{e['comparison']} ({e['difference']:+.2f})" for e in errors if _beyond(e) == "within"]
    named = f": {'; '.join(within)}" if within else ""
    return [
        f"{len(within)} of the {len(errors)} differences compared here are, in the papers, within the sampling error "
        f"that two separate test sets of the papers' own sizes have{named}. What a paired test needs, "
        "and what this test set can tell, stands under Differences."
    ]


def _beyond(error):
    return "beyond" if abs(error["difference"]) > Z95 * error["unpaired"] else "within"
