"""What a report's tables say, in sentences."""

from mindpics.metrics import Z95


def summary(comparing):
    """Return the sentences of one run or several.

    Parameters
    ----------
    comparing : mindpics.report_runs.Comparing
    """
    runs = comparing.runs
    said = _several(comparing) if len(runs) > 1 else []
    if runs[0].table3:
        said += _about_table3(runs[0], comparing.names[0] if len(runs) > 1 else "")
    if runs[0].table2:
        best = max(runs[0].table2, key=lambda row: row["accuracy"])
        said.append(
            f"Who would post this pin? The best of {len(runs[0].table2)} models, {best['model']}, names the right user "
            f"for {best['accuracy']:.1f}% of {best['n']:.0f} test pins (95% interval {best['low95']:.1f} to "
            f"{best['high95']:.1f})."
        )
    return said + _in_short(comparing.errors())


def _several(comparing):
    names = ", ".join(comparing.names)
    if not comparing.repeats:
        return [f"Side by side: {names}. They differ in more than the seed: see the table of what differs."]
    said = [f"{len(comparing.runs)} runs that differ in the seed alone: {names}."]
    for name, of in comparing.over_seeds.items():
        said.append(
            f"{name}: {of.mean:+.2f} points on average over {len(comparing.runs)} seeds, 95% interval {of.low:+.2f} to "
            f"{of.high:+.2f}{'' if of.low <= 0 <= of.high else ', which leaves out 0'}."
        )
    return said


def _about_table3(run, name):
    best = max(run.table3, key=lambda row: row["avg"])
    of = f" of {name}" if name else ""
    on = " of the stand-in" if run.stand_in() else ""
    said = [
        f"Of Table 3's six rows {len(run.table3)} are here. The best{of}, {best['net']} {best['heads']} "
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
                f"{net} {init}: all-in-one is {row['avg'] - other['avg']:+.1f} points from independent"
                f"{of and f' in {name}'} (paper {paper:+.1f})."
            )
    return said


def about_errors(errors):
    """Return, for each difference of the papers, whether the paper's own test set can tell it from chance.

    Parameters
    ----------
    errors : list of dict
        See `mindpics.report_runs.Comparing.errors`.
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
    which = f": {'; '.join(within)}" if within else ""
    return [
        f"{len(within)} of the {len(errors)} differences compared here are, in the papers, within the sampling error "
        f"that two separate test sets of the papers' own sizes have{which}. What a paired test needs, "
        "and what this test set can tell, stands under Differences."
    ]


def _beyond(error):
    return "beyond" if abs(error["difference"]) > Z95 * error["unpaired"] else "within"
