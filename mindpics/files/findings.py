"""Findings of a check: a line for people, an object for scripts."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace

from mindpics.files.printable import printable_name

SEVERITIES = ("error", "warning", "differs", "note", "ok")


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes
    ----------
    severity : {"error", "warning", "differs", "note", "ok"}
        "differs" is said of the paper's own figures, "ok" of what was looked at and agrees.
    check : str
        Short name of the check, for scripts.
    message : str
    file : str
    line : int or None
        From 1.
    """

    severity: str
    check: str
    message: str
    file: str = ""
    line: int | None = None

    def __str__(self):
        place = f"{self.file}:{self.line}" if self.line else self.file
        return printable_name(f"{place + ': ' if place else ''}{self.severity}: {self.message} [{self.check}]")


def guarded(check, findings, path):
    """Yield the findings of a check; an exception, which a broken file led it to, is the last: its caller goes on.

    Parameters
    ----------
    check : str
        Of that `Finding`.
    findings : iterable of Finding
    path : str or Path
        What the check reads.
    """
    try:
        yield from findings
    except Exception as error:  # whatever a broken file leads a library to
        text = str(error) if isinstance(error, ValueError) else f"found what leads to {error!r}; wanted a sound file"
        yield Finding("error", check, text, str(path))


def unique(findings):
    """Return the findings once each, in order: both phases of a net report what they share."""
    return list(dict.fromkeys(findings))


def errors(findings):
    """Return those that make a script fail."""
    return [finding for finding in findings if finding.severity == "error"]


def first_of_each_kind(findings):
    """Return errors and warnings, and of other findings the first of each check, which says how many more there are."""
    kinds = {}
    for finding in findings:
        alone = finding if finding.severity in ("error", "warning") else None
        kinds.setdefault((finding.severity, finding.check, alone), []).append(finding)
    return [_with_a_count(*same) for same in kinds.values()]


def _with_a_count(first, *alike):
    return replace(first, message=f"{first.message}; {len(alike)} more such (--all)") if alike else first


def format_findings(findings, as_json=False, brief=False):
    """Return findings as text, the worst first, with a line of counts; or as JSON.

    Parameters
    ----------
    findings : list of Finding
    as_json : bool
    brief : bool
        In text, of other findings than errors and warnings the first of each kind alone; the counts are of all.
    """
    ordered = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    counts = Counter(finding.severity for finding in ordered)
    if as_json:
        facts = {"counts": {name: counts[name] for name in SEVERITIES}, "findings": list(map(asdict, ordered))}
        return json.dumps(facts, indent=1, ensure_ascii=False)
    total = ", ".join(f"{counts[name]} {name}" for name in SEVERITIES if counts[name])
    lines = first_of_each_kind(ordered) if brief else ordered
    return "\n".join([*map(str, lines), total or "nothing found"])
