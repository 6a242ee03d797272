"""Occlusion map: a picture's scores with one square after another covered.

Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.
"""

import numpy as np

GRID = 8  # squares a side; each covers two cells, so that neighbours overlap
BATCH = 32


def cover(picture, grid=GRID):
    """Return the picture with one square after another at 0, which is the mean image.

    Parameters
    ----------
    picture : float32 [3, side, side]
        Mean subtracted.
    grid : int
        Cells a side. A square is two cells wide, its centre that of its cell.

    Returns
    -------
    float32 [grid * grid, 3, side, side]
        Cells row by row.
    """
    side = picture.shape[-1]
    if not 1 <= grid <= side:
        raise ValueError(f"grid: found {grid}; wanted 1 to {side}, the picture's side")
    starts = [round(side * (cell - 0.5) / grid) for cell in range(grid)]
    ends = [round(side * (cell + 1.5) / grid) for cell in range(grid)]
    covered = np.repeat(picture[None], grid * grid, axis=0)
    for place, (row, column) in enumerate(np.ndindex(grid, grid)):
        covered[place, :, max(0, starts[row]) : ends[row], max(0, starts[column]) : ends[column]] = 0
    return covered


def occlusion_map(score, picture, grid=GRID, batch=BATCH):
    """Return how much each score falls when a square is covered; below 0, it rises.

    Parameters
    ----------
    score : callable
        float32 [N, 3, side, side] -> float [N, K].
    picture : float32 [3, side, side]
    grid, batch : int

    Returns
    -------
    float32 [K, grid, grid]
    """
    covered = cover(picture, grid)
    whole = score(picture[None])[0]
    scores = np.concatenate([score(covered[start : start + batch]) for start in range(0, len(covered), batch)])
    return np.float32(whole - scores).T.reshape(-1, grid, grid)
