"""Word statistics of the paper as CSV: words a pin by user, top words by user, the dictionary."""

from mindpics.files.tables import write_table
from pinterest_id.layout import ExperimentFiles
from pinterest_id.words import top_words, user_word_statistics


def write_word_tables(folder, pins, stop="snowball"):
    """Write words_by_user.csv (figure 2) and top_words.csv (Table 1, every user).

    Parameters
    ----------
    folder : Path
    pins : list of Pin
    stop : str
        Of the stop words, see `pinterest_id.words.clean_words`.
    """
    texts, users = [pin.text for pin in pins], [pin.user for pin in pins]
    statistics = user_word_statistics(texts, users)
    write_table(
        ExperimentFiles(folder).words_by_user,
        ["user", "min", "max", "median", "mean"],
        [[user, *values] for user, values in statistics.items()],
    )
    ranked = top_words(texts, users, stop=stop)
    write_table(
        ExperimentFiles(folder).top_words,
        ["user", "rank", "word", "pins"],
        [[user, rank, *item] for user, words in ranked.items() for rank, item in enumerate(words, 1)],
    )


def write_dictionary(path, tfidf):
    """Write a fitted `PinTfidf`'s words and idf weights, in column order."""
    write_table(path, ["word", "idf"], zip(tfidf.get_feature_names_out(), tfidf.idf_.tolist(), strict=True))
