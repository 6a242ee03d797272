"""The paper's own numbers, read from `data/published.json` (its source is named there)."""

import json
from functools import cache
from importlib.resources import files


@cache
def published():
    """Return the published facts of Cucurull et al. 2018 as a dict."""
    return json.loads((files("mindpics") / "data" / "published.json").read_text(encoding="utf-8"))


def table3_row(net, heads, init):
    """Return the published row of Table 3: {"O": 61.6, ..., "avg": 62.9}.

    Raises
    ------
    ValueError
        When Table 3 has no such row.
    """
    for row in published()["table3_accuracy"]:
        if (row["net"], row["heads"], row["init"]) == (net, heads, init):
            return row
    raise ValueError(f"Table 3 has no row {net}, {heads}, {init}")
