"""Scores of a model for the test pins, saved with ids so that metrics can be redone without refitting."""

from dataclasses import dataclass

import numpy as np

from mindpics.files.arrays import load_npz
from mindpics.files.atomic import atomic_write

# Scores file -> name of the row; the first seven are Table 2's, in its order.
PAPER_ROWS = {
    "text": "text only",
    "images": "images only",
    "linear_0.3": "linear 0.3",
    "linear_0.5": "linear 0.5",
    "linear_0.7": "linear 0.7",
    "cf": "CF",
    "cf_ref": "CF+Ref",
}
OTHER_ROWS = {
    "late_fusion": "late fusion, learned",
    "images_fine_tuned": "images only, fc7 fine-tuned",
    "cf_fine_tuned": "CF, fc7 fine-tuned",
    "cf_ref_fine_tuned": "CF+Ref, fc7 fine-tuned",
    "late_fusion_fine_tuned": "late fusion, learned, fc7 fine-tuned",
}


@dataclass(frozen=True)
class Scores:
    """Scores of one model.

    Attributes
    ----------
    ids : str array [N]
    codes : int array [N]
        The true user of each pin, as an index into `users`.
    users : str array [K]
    logs : float32 array [N, K]
        Log of what the model orders users by; -inf where it rules one out.
    """

    ids: np.ndarray
    codes: np.ndarray
    users: np.ndarray
    logs: np.ndarray


def save_scores(path, scores):
    """Write `Scores` as npz."""
    with atomic_write(path, "wb") as stream:
        np.savez_compressed(
            stream,
            ids=scores.ids,
            codes=scores.codes.astype(np.int32),
            users=scores.users,
            logs=scores.logs.astype(np.float32),
        )


def load_scores(path):
    """Read `Scores`.

    Raises
    ------
    ValueError
        When the arrays do not belong together.
    """
    scores = Scores(*load_npz(path, ("ids", "codes", "users", "logs"), "a scores file"))
    kinds = [array.dtype.kind for array in (scores.ids, scores.codes, scores.users, scores.logs)]
    if kinds != ["U", "i", "U", "f"] or scores.ids.ndim != 1 or scores.users.ndim != 1 or scores.codes.ndim != 1:
        raise ValueError(f"{path}: found arrays of the kinds {kinds}; wanted str [N], int [N], str [K], float [N, K]")
    if len(scores.codes) and not (scores.codes.min() >= 0 and scores.codes.max() < len(scores.users)):
        raise ValueError(
            f"{path}: found codes {scores.codes.min()}..{scores.codes.max()}; wanted 0..{len(scores.users) - 1}"
        )
    if scores.logs.shape != (len(scores.ids), len(scores.users)) or len(scores.codes) != len(scores.ids):
        raise ValueError(
            f"{path}: found {len(scores.ids)} ids, {len(scores.users)} users, scores {scores.logs.shape}; "
            "wanted N, K, [N, K]"
        )
    return scores
