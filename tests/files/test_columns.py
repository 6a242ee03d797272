"""Tables of fixed width: cells stand as they are given, numbers to the right."""

from mindpics.files.columns import columns


def test_names_stand_left_and_figures_right_as_they_are_given():
    assert columns(("row", "accuracy"), [("alexnet", "61.60"), ("1e5", "7")]) == [
        "row        accuracy",
        "alexnet       61.60",
        "1e5               7",
    ]


def test_a_table_without_rows_is_its_headings():
    assert columns(("row", "n"), [], rule=True) == ["row    n", "-----  ---"]


def test_a_column_may_stand_left():
    assert columns(("", "n", "verdict"), [("x", 12, "ok")], "lrl")[1] == "x    12  ok"
