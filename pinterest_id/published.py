"""Published rows of the Pinterest paper."""

import json
from functools import cache
from importlib.resources import files


@cache
def published():
    """Return the published facts of the paper as a dict."""
    return json.loads((files("pinterest_id") / "data" / "published.json").read_text(encoding="utf-8"))


def table2_row(model):
    """Return {"accuracy": .., "f1_macro": .., "recall_at_10": ..} of a row of Table 2; None where it has no such row.

    The paper gives recall@10 for the cascade only.
    """
    for row in published()["table2"]:
        if row["model"] == model:
            recall = published()["recall_at_10_cf"] if model == "CF" else None
            return {"accuracy": row["accuracy"], "f1_macro": row["f1_macro"], "recall_at_10": recall}
    return None
