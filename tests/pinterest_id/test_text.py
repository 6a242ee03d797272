"""Text: cleaning, dictionary, tf-idf by hand, the paper's word statistics."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_get_params_invariance, check_no_attributes_set_in_init

from pinterest_id.text import PinTfidf
from pinterest_id.words import clean_words, stop_words, top_words, user_word_statistics, word_statistics


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#DIY **Cake** & cream!", ["diy", "cake", "cream"]),
        ("see https://a.com/x?y=1 or www.b.org now", ["see"]),
        ("etsy.com", ["etsy", "com"]),  # Table 1 has "com" among the top words
        ("via one the and I'm don't", ["via", "one"]),  # and "via" and "one"
        ("a b c " + "x" * 31 + " " + "y" * 30, ["y" * 30]),
        ("snake_case ｆｕｌｌ Käse 3D", ["snake", "case", "full", "käse", "3d"]),
        ("", []),
        ('<a href="http://a.com/x">pie</a> http://t.co/abcケーキ (www.b.org)', ["href", "pie", "ケーキ"]),
        ("Disney™ princess, №5, 1½ cups, 10² m", ["disney", "princess", "cups", "10"]),  # symbols and their NFKC forms
        ("Awww...how adorable, awww.cute www... WWW.b.org/x_www.c", ["awww", "adorable", "awww", "cute", "www"]),
        ("https://pin.it/abc…pie ﬁne", ["pie", "fine"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # vowel signs, virama
        ("తెలుగు", ["తెలుగు"]),
        ("สวัสดี", ["สวัสดี"]),
        ("مُحَمَّد", ["مُحَمَّد"]),  # vocalised
        ("می\u200cخواهم", ["می\u200cخواهم"]),  # a joiner within a word
        ("İzmir", ["i\u0307zmir"]),  # lower-case as Unicode has it
        ("Cafe\u0301 ❤\ufe0f 3\ufe0f\u20e3", ["café"]),  # no word of an emoji's selector alone
        ("कि", []),  # one letter with its sign
        ("कि" * 30 + " " + "कि" * 31, ["कि" * 30]),
    ],
)
def test_cleaning(text, words):
    assert clean_words(text) == words


def test_stop_word_lists():
    assert {"the", "don", "ve"} <= stop_words() and "via" not in stop_words()
    assert "via" in stop_words("scikit-learn") and not stop_words("none")
    with pytest.raises(ValueError, match="found 'german'; wanted one of snowball"):
        stop_words("german")


def test_tfidf_by_hand():
    """Three pins, dictionary of words in two: cake (2 pins), pie (3); idf = ln((1+3)/(1+df)) + 1."""
    X = PinTfidf().fit_transform(["cake pie cake", "pie #cake rare", "pie"])
    cake, pie = np.log(4 / 3) + 1, np.log(4 / 4) + 1
    expected = np.array([[2 * cake, pie], [cake, pie], [0, pie]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(X.toarray(), expected, rtol=1e-6)
    assert X.dtype == np.float32


def test_words_outside_the_dictionary_give_a_row_of_zeros():
    tfidf = PinTfidf().fit(["cake pie", "cake pie"])
    assert list(tfidf.get_feature_names_out()) == ["cake", "pie"]
    assert tfidf.transform(["dog", ""]).nnz == 0


def test_bad_texts():
    with pytest.raises(ValueError, match="no word appears in 2 of 2 texts"):
        PinTfidf().fit(["cake", "pie"])
    with pytest.raises(ValueError, match="text 1: found NoneType None; wanted a str"):
        PinTfidf().fit(["cake", None])


def test_it_keeps_scikit_learns_conventions():
    for check in (check_no_attributes_set_in_init, check_get_params_invariance):
        check("PinTfidf", PinTfidf(stop="none", min_pins=3))


def test_the_papers_statistics():
    texts, users = ["one", "two words here", "#love this cake", "cake love"], ["ann", "ann", "bob", "bob"]
    assert word_statistics(texts) == {"min": 1, "max": 3, "median": 2.5, "mean": 2.25, "one_word_pins_pct": 25.0}
    assert user_word_statistics(texts, users) == {"ann": (1, 3, 2.0, 2.0), "bob": (2, 3, 2.5, 2.5)}
    assert top_words(texts, users, count=2)["bob"] == [("cake", 2), ("love", 2)]
