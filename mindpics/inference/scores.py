"""Scores of picture files, read as those of an LMDB: warped, less the mean, centre crop."""

import numpy as np

from mindpics.inference.infer import BATCH
from mindpics.jobs.bars import bar_of
from mindpics.jobs.parallel import AT_ONCE, run_each
from mindpics.posts import crops
from mindpics.posts.picture_files import packed_reader


def score_files(nets, items, batch=BATCH, workers=None):
    """Score pictures as they are read.

    Parameters
    ----------
    nets : mindpics.inference.infer.TraitNets
    items : list of (id, path)
    batch : int
    workers : int, optional
        Processes that read pictures.

    Returns
    -------
    ids : list of str [N]
    scores : float32 [N,5,2]
    rejected : list of (id, reason)

    Raises
    ------
    ValueError
        When no picture can be read.
    """
    read = packed_reader(nets.mean.shape, crops.MAX_PIXELS)
    ids, scores, rejected, waiting = [], [], [], []
    results = run_each(read, [path for _, path in items], workers, at_once=AT_ONCE)
    bar = bar_of(zip(items, results, strict=True), total=len(items), desc="pictures", unit="picture")
    for (id_, _), (_, data, reason) in bar:
        if reason:
            rejected.append((id_, reason))
            continue
        ids.append(id_)
        waiting.append(np.frombuffer(data, np.uint8).reshape(nets.mean.shape))
        if len(waiting) == batch:
            scores.append(nets.scores(np.stack(waiting)))
            waiting.clear()
    if waiting:
        scores.append(nets.scores(np.stack(waiting)))
    if not ids:
        raise ValueError(
            f"{rejected[0][0]}: found {rejected[0][1]}; wanted one of {len(rejected)} pictures that can be read"
        )
    return ids, np.concatenate(scores), rejected
