"""Published facts: a paper's own numbers, as data/published.json of the package that repeats it."""

import json
from functools import cache
from importlib.resources import files


@cache
def published(paper):
    """Return the published facts of a paper as a dict; they name their source.

    Parameters
    ----------
    paper : str
        The package that carries them: "mindpics", "pinterest_id".
    """
    return json.loads((files(paper) / "data" / "published.json").read_text(encoding="utf-8"))
