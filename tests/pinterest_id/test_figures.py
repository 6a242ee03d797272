"""Names in the figures of the Pinterest experiment, projections of few dimensions."""

import numpy as np
import pytest
from matplotlib import rc_context
from scipy import sparse

from mindpics.files.tables import write_table
from pinterest_id import figures
from pinterest_id.figures import draw_pairs, draw_projection
from pinterest_id.projection import save_projection


def test_an_address_in_a_name_and_a_dollar_are_drawn_as_text_without_the_host(tmp_path):
    header = ["user_a", "user_b", "pins_of_a_given_to_b", "pins_of_b_given_to_a"]
    write_table(tmp_path / "confused_pairs.csv", header, [["Ann (ann@home.org)", "$mon$y", 3, 1]])
    with rc_context({"svg.fonttype": "none"}):  # text stays text
        draw_pairs(tmp_path / "confused_pairs.csv")
    drawn = (tmp_path / "confused_pairs.svg").read_text(encoding="utf-8")
    assert "Ann (ann@…) / $mon$y" in drawn.replace("\\$", "$") and "home.org" not in drawn
    assert "home.org" in (tmp_path / "confused_pairs.csv").read_text(encoding="utf-8")  # the file keeps the id


def test_the_legend_of_the_pairs_lies_above_their_bars(tmp_path, monkeypatch):
    header = ["user_a", "user_b", "pins_of_a_given_to_b", "pins_of_b_given_to_a"]
    write_table(tmp_path / "confused_pairs.csv", header, [[f"a{i}", f"b{i}", 3, 3] for i in range(10)])
    drawn = []
    monkeypatch.setattr(figures, "save_pictures", lambda figure, path: drawn.append(figure))
    draw_pairs(tmp_path / "confused_pairs.csv")
    drawn[0].draw_without_rendering()
    (axes,) = drawn[0].axes
    legend = axes.get_legend().get_window_extent()
    assert legend.y0 >= max(bar.get_window_extent().y1 for bar in axes.patches)
    assert drawn[0].bbox.y1 >= legend.y1 and drawn[0].bbox.x1 >= legend.x1


def test_pairs_whose_shown_names_agree_have_a_bar_each(tmp_path, monkeypatch):
    header = ["user_a", "user_b", "pins_of_a_given_to_b", "pins_of_b_given_to_a"]
    address = "https://www.pinterest.com"
    write_table(tmp_path / "pairs.csv", header, [[f"{address}/a{i}", f"{address}/b{i}", 3, 2] for i in range(5)])
    drawn = []
    monkeypatch.setattr(figures, "save_pictures", lambda figure, path: drawn.append(figure))
    draw_pairs(tmp_path / "pairs.csv")
    (axes,) = drawn[0].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 5 and len(set(names)) == 1
    assert len({bar.get_y() for bar in axes.patches}) == 5 and len(axes.patches) == 10


@pytest.mark.parametrize("n_columns", [1, 2, 3, 10, 11])
def test_features_of_few_dimensions_are_drawn_too(tmp_path, n_columns):
    X = np.random.default_rng(0).random((30, n_columns), dtype=np.float32)
    ids, matrices = [str(i) for i in range(30)], {"text": sparse.csr_array(X), "image": X}
    save_projection(tmp_path / "projection.npz", ids, matrices)
    draw_projection(tmp_path / "projection.npz", tmp_path)
    assert (tmp_path / "figure3.png").is_file()
    with np.load(tmp_path / "projection.npz") as arrays:
        variance = np.sort(np.linalg.eigvalsh(np.atleast_2d(np.cov(X.T))))[::-1]
        for name in matrices:
            np.testing.assert_allclose(arrays[f"{name}_variance"], variance[:10] / variance.sum(), rtol=1e-4)
            assert arrays[name].shape == (30, 2) and (n_columns > 1 or not arrays[name][:, 1].any())
