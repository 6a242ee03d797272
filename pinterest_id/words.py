"""Words of a pin: cleaning, and the paper's word statistics.

Paper, section 3: special symbols (hash tags, asterisks), stop words, URLs, one-letter
words and words of more than 30 characters go.
"""

import unicodedata
from collections import Counter
from functools import cache
from importlib.resources import files

import numpy as np
import regex

MAX_LETTERS = 30  # section 3
# As far as RFC 3986's characters go: what stands right behind them, in quotes or in another script, is text again
_URL = regex.compile(
    r"(?:https?://|(?<![\p{L}\p{N}])www\.(?=[a-z0-9]))[a-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", regex.IGNORECASE
)
_SYMBOL = regex.compile(r"[\p{S}\p{No}]+")  # ™ and ½, of which NFKC makes letters and digits
WORD = regex.compile(r"(?=[\p{L}\p{N}])[^\W_]+")  # marks included: vowel signs, accents, joiners


@cache
def stop_words(name="snowball"):
    """Return a set of stop words.

    Parameters
    ----------
    name : {"snowball", "scikit-learn", "none"}
        "snowball" is the English list that NLTK shipped in 2017: Porter's, and the ends of contractions (the
        Snowball project's own has "would" and "could", not "will" and "can"). Table 1 of the paper has "via"
        and "one" among its top words, which are stop words of scikit-learn's list: that was not the paper's.
    """
    if name == "snowball":
        return frozenset((files("pinterest_id") / "data" / "stop_words.txt").read_text(encoding="utf-8").split())
    if name == "scikit-learn":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # takes a second

        return ENGLISH_STOP_WORDS
    if name == "none":
        return frozenset()
    raise ValueError(f"stop words: found {name!r}; wanted one of snowball, scikit-learn, none")


def clean_words(text, stop="snowball"):
    """Return the words of a text that count, lower-case, in order.

    A symbol is removed, its word stays: "#diy" gives "diy". URLs are those with a scheme or "www.":
    "com" is a top word in the paper's Table 1, so bare host names stayed.

    Parameters
    ----------
    text : str
    stop : {"snowball", "scikit-learn", "none"}
        See `stop_words`.
    """
    text = _URL.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _SYMBOL.sub(" ", text))  # full-width forms, ligatures
    ignored = stop_words(stop)
    words = WORD.findall(text.lower())
    return [word for word in words if 1 < letters(word) <= MAX_LETTERS and word not in ignored]


def letters(word):
    """Return the number of letters that a reader sees: a vowel sign or an accent is part of its letter."""
    return len(word) if word.isascii() else len(regex.findall(r"\X", word))


def pin_frequency(texts, stop="snowball"):
    """Return a Counter: word -> texts it appears in."""
    return Counter(word for text in texts for word in set(clean_words(text, stop)))


def word_counts(texts):
    """Return the number of words of each text as written, between spaces: int [N].

    Before cleaning, since the paper's shortest pin has one word, which cleaning may take away.
    """
    return np.array([len(text.split()) for text in texts], dtype=int)


def word_statistics(texts):
    """Return the paper's statistics of section 4: words a pin, and the share of pins with one word."""
    counts = word_counts(texts)
    return {
        "min": int(counts.min()),
        "max": int(counts.max()),
        "median": float(np.median(counts)),
        "mean": float(counts.mean()),
        "one_word_pins_pct": float(100 * np.mean(counts == 1)),
    }


def user_word_statistics(texts, users):
    """Return {user: (min, max, median, mean)} of words a pin (figure 2)."""
    counts, users = word_counts(texts), np.asarray(users)
    return {
        str(user): (int(of_user.min()), int(of_user.max()), float(np.median(of_user)), float(of_user.mean()))
        for user in np.unique(users)
        for of_user in [counts[users == user]]
    }


def top_words(texts, users, count=5, stop="snowball"):
    """Return {user: [(word, pins it appears in), ...]}, the most frequent first (Table 1).

    Parameters
    ----------
    texts : sequence of str [N]
    users : sequence of str [N]
    count : int
        Words of each user.
    stop : str
        Of the stop words, see `clean_words`.
    """
    users = np.asarray(users)
    result = {}
    for user in np.unique(users):
        frequency = pin_frequency([texts[i] for i in np.flatnonzero(users == user)], stop)
        result[str(user)] = sorted(frequency.items(), key=lambda item: (-item[1], item[0]))[:count]
    return result
