"""The five traits, their poles, the words of Table 1 and the label code.

Trait order is O C E A N, pole low is 0 and high is 1, and the label that a
Datum carries is ``2 * trait + pole`` (0..9).
"""

import numpy as np

from mindpics.published import published

TRAITS = ("O", "C", "E", "A", "N")
TRAIT_NAMES = {
    "O": "Openness",
    "C": "Conscientiousness",
    "E": "Extraversion",
    "A": "Agreeableness",
    "N": "Neuroticism",
}
POLES = ("low", "high")
N_LABELS = len(TRAITS) * len(POLES)


def label_of(trait, pole):
    """Return the label (0..9) of a trait ("O".."N") and a pole ("low" or "high")."""
    return 2 * TRAITS.index(trait) + POLES.index(pole)


def unpack(labels):
    """Return (traits, poles) of labels, each as the labels are: an int (0..4, 0..1), or an array of them."""
    return labels // 2, labels % 2


def own_poles(labels, trait):
    """Return which pictures are of a trait (0..4), bool [N], and the pole of each, int [N] (0 low, 1 high)."""
    traits, poles = unpack(np.asarray(labels).astype(int))
    return traits == trait, poles


def trait_of(label):
    """Return the trait and the pole of a label: ``trait_of(3) == ("C", "high")``.

    Parameters
    ----------
    label : int
        2 * trait + pole, 0 to 9.

    Raises
    ------
    ValueError
        For another label.
    """
    if not 0 <= label < N_LABELS:
        raise ValueError(f"found label {label}; wanted 0..{N_LABELS - 1} (2 * trait + pole)")
    trait, pole = unpack(label)
    return TRAITS[trait], POLES[pole]


def word_slots():
    """Return the 110 word slots of Table 1 as ``[(word, trait, pole), ...]``.

    They are 108 different words: "stupid" stands under low C and low A, "lazy"
    under low E and high N.
    """
    table = published()["table1_words"]
    return [(word, trait, pole) for trait in TRAITS for pole in POLES for word in table[trait][pole]]
