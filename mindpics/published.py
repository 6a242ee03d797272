"""Published numbers of Cucurull et al. 2018, and the rows of their Table 3."""

from functools import partial
from typing import NamedTuple

from mindpics.files import papers

published = partial(papers.published, "mindpics")


class Row(NamedTuple):
    """A row of Table 3, by what tells it from the others."""

    net: str
    heads: str
    init: str

    @classmethod
    def of(cls, line):
        """Return the row that a line of table3.csv is about."""
        return cls(line["net"], line["heads"], line["init"])

    @property
    def name(self):
        """As folders have it: alexnet_all-in-one_scratch."""
        return "_".join(self)

    @property
    def nets(self):
        """Names of its nets: one, or one a trait."""
        from mindpics.traits import TRAITS  # whose words are published

        return [self.name] if self.heads == "all-in-one" else [f"{self.name}_{trait}" for trait in TRAITS]

    @property
    def switch(self):
        """As ``--row`` has it: alexnet/all-in-one/scratch."""
        return "/".join(self)

    @property
    def title(self):
        """As tables have it: alexnet all-in-one scratch."""
        return " ".join(self)


def table3_row(net, heads, init):
    """Return the published row of Table 3: {"O": 61.6, ..., "avg": 62.9}.

    Parameters
    ----------
    net : {"alexnet", "resnet50"}
    heads : {"independent", "all-in-one"}
    init : {"scratch", "finetune"}

    Raises
    ------
    ValueError
        When Table 3 has no such row.
    """
    for row in published()["table3_accuracy"]:
        if (row["net"], row["heads"], row["init"]) == (net, heads, init):
            return row
    raise ValueError(f"found {net}, {heads}, {init}; wanted a row of Table 3")


# Table 3 in its order: AlexNet from scratch and fine-tuned, ResNet-50 fine-tuned; one net a trait, or all in one.
ROWS = tuple(map(Row.of, published()["table3_accuracy"]))
