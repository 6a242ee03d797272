"""The words of Table 1 and the label code."""

from collections import Counter

import pytest

from mindpics.published import published, table3_row
from mindpics.traits import N_LABELS, TRAITS, label_of, trait_of, word_slots


def test_eleven_words_a_pole_and_two_words_twice():
    slots = word_slots()
    assert len(slots) == 110
    assert set(Counter((trait, pole) for _, trait, pole in slots).values()) == {11}
    twice = {word for word, count in Counter(word for word, _, _ in slots).items() if count == 2}
    assert twice == {"stupid", "lazy"}


def test_label_code_is_two_traits_plus_pole():
    assert label_of("O", "low") == 0
    assert label_of("N", "high") == 9
    assert [label_of(*trait_of(label)) for label in range(N_LABELS)] == list(range(N_LABELS))
    with pytest.raises(ValueError, match="found label 10; wanted 0..9"):
        trait_of(10)


def test_published_means_are_the_means_of_their_traits():
    for row in published()["table3_accuracy"]:
        assert row["avg"] == pytest.approx(sum(row[trait] for trait in TRAITS) / 5, abs=0.0501)
    assert table3_row("resnet50", "all-in-one", "finetune")["avg"] == 71.9
    with pytest.raises(ValueError, match="wanted a row of Table 3"):
        table3_row("resnet50", "all-in-one", "scratch")
