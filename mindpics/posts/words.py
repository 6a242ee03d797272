"""Words of Table 1 that a post's text or tags carry."""

import re
import sys
from functools import cache

import regex

from mindpics.traits import word_slots


def _slots_by_word():
    slots = {}
    for slot in word_slots():
        slots.setdefault(slot[0].casefold(), []).append(slot)
    return slots


SLOTS = _slots_by_word()  # word -> its (word, trait, pole)s
ASCII = re.compile("[a-z]")


@cache
def carrying_pattern():
    """Return a pattern of Arrow's that is found in every text that carries a word, and in few others.

    Its RE2 knows no letters beyond ASCII's: ``\\b`` lets "émoon" pass, and those that fold to ASCII's are listed,
    as the Kelvin sign, which is "k".
    """
    letters = (
        c for c in map(chr, range(128, sys.maxunicode)) if (folded := c.casefold()) != c and ASCII.search(folded)
    )
    return rf"(?i:\b(?:{'|'.join(map(re.escape, SLOTS))})\b)|[{''.join(letters)}]"


def words_of(text):
    """Return the set of whole words of a text, case-folded; "#Moon" holds "moon".

    Vowel signs and accents belong to their word in every script, which Python's own ``\\w`` does not hold to.
    """
    return set(regex.findall(r"\w+", text.casefold()))


def hashtags_of(text):
    """Return the hashtags of a text without their sign; "a #Moon" holds "Moon"."""
    return regex.findall(r"#(\w+)", text)


def carried_words(text, tags, tags_only=False):
    """Return the words of Table 1 that a post carries.

    Parameters
    ----------
    text : str
    tags : list of str
    tags_only : bool
        Of the text only hashtags count.

    Returns
    -------
    tuple of str
        Case-folded and sorted.
    """
    if tags_only:
        text = " ".join(hashtags_of(text))
    return tuple(sorted(SLOTS.keys() & words_of(" ".join([text, *tags]))))
