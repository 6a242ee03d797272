"""Published numbers of Gomez et al. 2017, and the rows of their Table 2."""

from functools import partial

from mindpics.files import papers

published = partial(papers.published, "pinterest_id")


def table2_row(model):
    """Return {"accuracy": .., "f1_macro": .., "recall_at_10": ..} of a row of Table 2; None where it has no such row.

    The paper gives recall@10 for the cascade only.
    """
    for row in published()["table2"]:
        if row["model"] == model:
            recall = published()["recall_at_10_cf"] if model == "CF" else None
            return {"accuracy": row["accuracy"], "f1_macro": row["f1_macro"], "recall_at_10": recall}
    return None
