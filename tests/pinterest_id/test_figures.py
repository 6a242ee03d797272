"""Names in the figures of the Pinterest experiment."""

from matplotlib import rc_context

from pinterest_id import figures
from pinterest_id.figures import draw_pairs
from pinterest_id.word_tables import write_csv


def test_an_address_in_a_name_and_a_dollar_are_drawn_as_text_without_the_host(tmp_path):
    header = ["user_a", "user_b", "pins_of_a_given_to_b", "pins_of_b_given_to_a"]
    write_csv(tmp_path / "confused_pairs.csv", header, [["Ann (ann@home.org)", "$mon$y", 3, 1]])
    with rc_context({"svg.fonttype": "none"}):  # text stays text
        draw_pairs(tmp_path / "confused_pairs.csv")
    drawn = (tmp_path / "confused_pairs.svg").read_text(encoding="utf-8")
    assert "Ann (ann@…) / $mon$y" in drawn.replace("\\$", "$") and "home.org" not in drawn
    assert "home.org" in (tmp_path / "confused_pairs.csv").read_text(encoding="utf-8")  # the file keeps the id


def test_the_legend_of_the_pairs_lies_above_their_bars(tmp_path, monkeypatch):
    header = ["user_a", "user_b", "pins_of_a_given_to_b", "pins_of_b_given_to_a"]
    write_csv(tmp_path / "confused_pairs.csv", header, [[f"a{i}", f"b{i}", 3, 3] for i in range(10)])
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
    write_csv(tmp_path / "pairs.csv", header, [[f"{address}/a{i}", f"{address}/b{i}", 3, 2] for i in range(5)])
    drawn = []
    monkeypatch.setattr(figures, "save_pictures", lambda figure, path: drawn.append(figure))
    draw_pairs(tmp_path / "pairs.csv")
    (axes,) = drawn[0].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 5 and len(set(names)) == 1
    assert len({bar.get_y() for bar in axes.patches}) == 5 and len(axes.patches) == 10
