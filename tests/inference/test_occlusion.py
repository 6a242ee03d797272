"""Occlusion maps of scores that are known: what matters is found where it is."""

import numpy as np
import pytest

from mindpics.inference.occlusion import cover, occlusion_map


def brightness(pictures):
    """Two scores: the mean of the upper left quarter, and less the more there is at the right edge."""
    side = pictures.shape[-1] // 2
    return np.stack([pictures[:, 0, :side, :side].mean(axis=(1, 2)), -pictures[:, 1, :, -1].mean(axis=1)], axis=1)


def test_the_region_that_a_score_stands_on_is_found():
    picture = np.ones((3, 40, 40), np.float32)
    maps = occlusion_map(brightness, picture, grid=8, batch=5)
    assert maps.shape == (2, 8, 8) and maps.dtype == np.float32
    quarter = np.zeros((8, 8), bool)
    quarter[:5, :5] = True  # a square reaches half a cell beyond its cell
    assert (maps[0][quarter] > 0).all() and (maps[0][~quarter] == 0).all()
    assert maps[0][2, 2] == pytest.approx(100 / 400)  # two cells of 5x5 pixels a side, of a quarter of 20x20
    assert (maps[1][:, 7] < 0).all() and (maps[1][:, :7] == 0).all()


@pytest.mark.parametrize(("side", "grid"), [(99, 8), (224, 8), (7, 7), (10, 1)])
def test_every_pixel_is_covered_and_the_rest_stays(side, grid):
    picture = np.random.default_rng(0).uniform(1, 2, (3, side, side)).astype(np.float32)
    covered = cover(picture, grid)
    assert covered.shape == (grid * grid, 3, side, side) and (covered == 0).any(axis=0).all()
    assert ((covered == 0) | (covered == picture)).all()
    assert (picture >= 1).all()  # the picture itself is not changed


@pytest.mark.parametrize("grid", [0, 41])
def test_a_grid_that_does_not_fit_is_refused(grid):
    with pytest.raises(ValueError, match=f"grid: found {grid}; wanted 1 to 40"):
        cover(np.ones((3, 40, 40), np.float32), grid)
