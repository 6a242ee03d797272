"""Figures from saved scores: figure 3, confusion of each trait, accuracy of each word."""

import numpy as np

from mindpics.posts.summary import read_mindpics
from mindpics.report.charts import GREY, POLE_COLOURS, TRAIT_STYLES, literal, new_figure, save
from mindpics.results.metrics import log_odds, wilson
from mindpics.traits import POLES, TRAIT_NAMES, TRAITS, label_of, own_poles, unpack


def curves(labels, scores):
    """Return ROC and precision-recall curves of each trait over the pictures of that trait.

    A trait whose pictures are all of one pole has none, and is left out.

    Returns
    -------
    dict
        trait -> {"roc": (false positive rate, true positive rate), "auc", "pr": (recall,
        precision), "ap", "high": share of high, the chance line of precision}
    """
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve  # takes a second

    odds, by_trait = log_odds(scores), {}
    for index, trait in enumerate(TRAITS):
        of_trait, poles = own_poles(labels, index)
        high, score = poles[of_trait], odds[of_trait, index]
        if len(np.unique(high)) < 2:
            continue
        false_positive, true_positive, _ = roc_curve(high, score)
        precision, recall, _ = precision_recall_curve(high, score)
        by_trait[trait] = {
            "roc": (false_positive, true_positive),
            "auc": float(auc(false_positive, true_positive)),
            "pr": (recall, precision),
            "ap": float(average_precision_score(high, score)),
            "high": float(high.mean()),
        }
    return by_trait


def draw_curves(labels, scores, out, title=""):
    """Figure 3: ROC curves with their area, precision-recall curves with average precision; return them.

    Parameters
    ----------
    labels : int [N]
        ``2 * trait + pole``.
    scores : float [N,5,2]
    out : path
        Without ending.
    title : str
    """
    by_trait = curves(labels, scores)
    figure, ((roc, pr),) = new_figure(10, 4.8, 1, 2)
    for trait, curve_of in by_trait.items():
        name, area, precision = TRAIT_NAMES[trait], curve_of["auc"], curve_of["ap"]
        _line(roc, *curve_of["roc"], TRAIT_STYLES[trait], f"{name} (AUC {area:.2f})")
        _line(pr, *curve_of["pr"], TRAIT_STYLES[trait], f"{name} (AP {precision:.2f})", drawstyle="steps-post")
        pr.axhline(curve_of["high"], color=TRAIT_STYLES[trait].colour, linewidth=0.7, linestyle=(0, (1, 3)))
    roc.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="chance")
    pr.plot([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 3)), label="chance: share of high")
    roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    pr.set(xlabel="recall", ylabel="precision", title="precision-recall")
    for axes in (roc, pr):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.legend(loc="lower right" if axes is roc else "lower left", fontsize=9)
    figure.suptitle(title)
    rows = [
        (trait, curve, f"{x:.6g}", f"{y:.6g}", f"{curve_of[area]:.4f}", f"{curve_of['high']:.4f}")
        for trait, curve_of in by_trait.items()
        for curve, area in (("roc", "auc"), ("pr", "ap"))
        for x, y in zip(*curve_of[curve], strict=True)
    ]
    save(figure, out, ("trait", "curve", "x", "y", "area", "share_of_high"), rows)
    return by_trait


def confusions(labels, scores):
    """Return {trait: int [2,2]}, true pole by predicted pole (low, high), over the trait's own pictures.

    A tie is no answer and counts against, as in `mindpics.results.metrics`.

    Parameters
    ----------
    labels : int array [N]
        2 * trait + pole.
    scores : float array [N,5,2]
        Probabilities of low and high.
    """
    odds, by_trait = log_odds(scores), {}
    for index, trait in enumerate(TRAITS):
        of_trait, poles = own_poles(labels, index)
        true = poles[of_trait]
        predicted = np.where(odds[of_trait, index] == 0, 1 - true, odds[of_trait, index] > 0)
        by_trait[trait] = np.bincount(2 * true + predicted, minlength=4).reshape(2, 2)
    return by_trait


def draw_confusions(labels, scores, out, title=""):
    """Draw the confusion of each trait: pictures, and their share of the true pole.

    Parameters
    ----------
    labels, scores, out, title
        As `draw_curves` has them.

    Returns
    -------
    dict
        As `confusions`.
    """
    by_trait = confusions(labels, scores)
    figure, (panels,) = new_figure(12, 3.2, 1, len(TRAITS))
    for axes, (trait, counts) in zip(panels, by_trait.items(), strict=True):
        shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{count}\n{share:.0%}",
                ha="center",
                va="center",
                color="white" if share > 0.55 else "black",
            )
        axes.set(xticks=(0, 1), yticks=(0, 1), xticklabels=POLES, yticklabels=POLES, title=TRAIT_NAMES[trait])
        axes.set_xlabel("predicted")
    panels[0].set_ylabel("true")
    figure.suptitle(title)
    rows = [(t, POLES[i], POLES[j], n) for t, counts in by_trait.items() for (i, j), n in np.ndenumerate(counts)]
    save(figure, out, ("trait", "true", "predicted", "pictures"), rows)
    return by_trait


def read_selection(path):
    """Return {id: row} of a mindpics.csv, rows as dicts of str.

    Parameters
    ----------
    path : path
        mindpics.csv, as tools/select_posts writes it.

    Raises
    ------
    ValueError
        When columns are missing.
    """
    return {row["id"]: row for row in read_mindpics(path)}


def word_figures(ids, labels, scores, selection):
    """Return the accuracy of each word that stands in the scored set, by its own trait's head.

    Parameters
    ----------
    ids : sequence of str [N]
    labels : int [N]
        ``2 * trait + pole``.
    scores : float [N,5,2]
    selection : dict
        id -> row, see `read_selection`.

    Returns
    -------
    list of dict
        trait, pole, word, n, right, accuracy, low95, high95 (Wilson); shares. In the order of
        traits, then high and low, then pictures.

    Raises
    ------
    ValueError
        When a scored picture is not in the selection, or its label is another: two different runs.
    """
    labels, odds, counts = np.asarray(labels), log_odds(scores), {}
    for id_, label, heads in zip(ids, labels, odds, strict=True):
        row = selection.get(str(id_))
        if row is None or label_of(row["trait"], row["pole"]) != label:
            raise ValueError(f"picture {id_}: found {row} in the selection; wanted the label {label}, of the same run")
        trait, pole = unpack(label)
        right = heads[trait] > 0 if pole else heads[trait] < 0
        key = (row["trait"], row["pole"], row["word"])
        n, so_far = counts.get(key, (0, 0))
        counts[key] = (n + 1, so_far + int(right))
    rows = []
    for (trait, pole, word), (n, right) in counts.items():
        low, high = wilson(right, n)
        rows.append(
            {
                "trait": trait,
                "pole": pole,
                "word": word,
                "n": n,
                "right": right,
                "accuracy": right / n,
                "low95": low,
                "high95": high,
            }
        )
    return sorted(rows, key=lambda w: (TRAITS.index(w["trait"]), w["pole"], -w["n"], w["word"]))


def draw_words(words, out, title=""):
    """Draw the accuracy of each word with its 95% interval, a panel a trait.

    Parameters
    ----------
    words : list of dict
        See `word_figures`.
    out : path
        Without ending.
    title : str
    """
    by_trait = {trait: [w for w in words if w["trait"] == trait] for trait in TRAITS}
    longest = max((len(rows) for rows in by_trait.values()), default=1)
    figure, (panels,) = new_figure(15, 1.6 + 0.24 * max(4, longest), 1, len(TRAITS), sharex=True)
    for axes, (trait, rows) in zip(panels, by_trait.items(), strict=True):
        for place, word in enumerate(rows):
            marker = "^" if word["pole"] == "high" else "v"
            colour = POLE_COLOURS[word["pole"]]
            axes.plot([word["low95"], word["high95"]], [place, place], color=colour, linewidth=1.5)
            axes.plot(word["accuracy"], place, marker, color=colour, markersize=7)
        axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle="--")
        axes.set(xlim=(-0.03, 1.03), ylim=(max(4, longest) - 0.5, -0.7), title=TRAIT_NAMES[trait], xlabel="accuracy")
        axes.set_yticks(range(len(rows)), [f"{literal(w['word'])} ({w['n']})" for w in rows])
    for pole, marker in (("high", "^"), ("low", "v")):
        panels[0].plot([], [], marker, color=POLE_COLOURS[pole], label=pole)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(title)
    columns = ("trait", "pole", "word", "n", "right", "accuracy", "low95", "high95")
    save(figure, out, columns, [[_short(w[c]) for c in columns] for w in words])


def _line(axes, x, y, style, label, **options):
    axes.plot(
        x,
        y,
        color=style.colour,
        linestyle=style.dashes,
        marker=style.marker,
        markevery=0.12,
        markersize=5,
        linewidth=1.6,
        label=label,
        **options,
    )


def _short(value):
    return f"{value:.4f}" if isinstance(value, float) else value
