"""Fixed-width tables for a terminal, by tabulate."""

from tabulate import tabulate

SIDES = {"l": "left", "r": "right"}


def columns(headings, rows, sides=None, rule=False):
    """Return the lines of a table: the headings, then a line a row.

    Parameters
    ----------
    headings : sequence of str
    rows : iterable of sequence
        Cells; what is to have so many digits is given as text.
    sides : str, optional
        "l" or "r" for each column, where its cells stand; by default the first left, the others right.
    rule : bool
        Draw a line under the headings.

    Returns
    -------
    list of str
    """
    sides = sides or "l" + "r" * (len(headings) - 1)
    style = "simple" if rule else "plain"
    rows = [list(map(str, row)) for row in rows]
    text = tabulate(rows, headings, style, disable_numparse=True, colalign=[SIDES[side] for side in sides])
    return [line.rstrip() for line in text.splitlines()]
