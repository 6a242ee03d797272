"""Word statistics of the paper as CSV: words a pin by user, top words by user, the dictionary."""

import csv

from mindpics.files.atomic import atomic_write
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
    write_csv(
        ExperimentFiles(folder).words_by_user,
        ["user", "min", "max", "median", "mean"],
        [[user, *values] for user, values in statistics.items()],
    )
    ranked = top_words(texts, users, stop=stop)
    write_csv(
        ExperimentFiles(folder).top_words,
        ["user", "rank", "word", "pins"],
        [[user, rank, *item] for user, words in ranked.items() for rank, item in enumerate(words, 1)],
    )


def write_dictionary(path, tfidf):
    """Write a fitted `PinTfidf`'s words and idf weights, in column order."""
    write_csv(path, ["word", "idf"], zip(tfidf.get_feature_names_out(), tfidf.idf_.tolist(), strict=True))


def write_csv(path, header, rows):
    """Write a CSV with a header, whole or not at all.

    Parameters
    ----------
    path : path
    header : sequence of str
    rows : iterable of sequence
    """
    with atomic_write(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read_csv(path):
    """Return the rows of a CSV as dicts of str."""
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
