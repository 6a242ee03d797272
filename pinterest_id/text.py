"""Tf-idf of a pin's words.

Paper, section 3: the dictionary holds the words of at least two training pins.
"""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from pinterest_id.words import clean_words, stop_words

MIN_PINS = 2  # section 3


class PinTfidf(TransformerMixin, BaseEstimator):
    """Texts to tf-idf rows: counts times smooth idf, rows of length 1, float32.

    Parameters
    ----------
    stop : {"snowball", "scikit-learn", "none"}
    min_pins : int, default=2
        Pins in which a word must appear to enter the dictionary.
    sublinear_tf : bool, default=False
        Use 1 + log(count) for the count.

    Attributes
    ----------
    vocabulary_ : dict
        Word to column.
    idf_ : float32 array, shape [D]
    """

    def __init__(self, stop="snowball", min_pins=MIN_PINS, sublinear_tf=False):
        self.stop = stop
        self.min_pins = min_pins
        self.sublinear_tf = sublinear_tf

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def fit(self, texts, y=None):
        """Learn the dictionary and the idf of `texts` (a sequence of str).

        Raises
        ------
        ValueError
            When no word appears in `min_pins` texts.
        """
        stop_words(self.stop)
        texts = _check_texts(texts)
        self.vectorizer_ = TfidfVectorizer(
            analyzer=self._analyze, min_df=self.min_pins, sublinear_tf=self.sublinear_tf, dtype=np.float32
        )
        try:
            self.vectorizer_.fit(texts)
        except ValueError:  # scikit-learn speaks of "max_df" here
            text = f"no word appears in {self.min_pins} of {len(texts)} texts; the dictionary would be empty"
            raise ValueError(text) from None
        self.vocabulary_ = self.vectorizer_.vocabulary_
        self.idf_ = self.vectorizer_.idf_
        return self

    def transform(self, texts):
        """Return float32 CSR [N, D]; a text without a known word is a row of zeros."""
        check_is_fitted(self)
        return self.vectorizer_.transform(_check_texts(texts))

    def get_feature_names_out(self, input_features=None):
        """Return the words, in column order."""
        check_is_fitted(self)
        return self.vectorizer_.get_feature_names_out()

    def _analyze(self, text):
        return clean_words(text, self.stop)


def _check_texts(texts):
    texts = list(texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"text {row}: found {type(text).__name__} {text!r}; wanted a str")
    return texts
