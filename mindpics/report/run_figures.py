"""Figures of a run, drawn into its report/figures."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mindpics.files.feature_files import read_features
from mindpics.report import figures, maps, sheets
from mindpics.report.training_curves import draw_training, read_run
from mindpics.results.metrics import load_activations, load_scores
from mindpics.results.study import Figure
from mindpics.traits import TRAIT_NAMES, TRAITS

NUMBERS = {trait: 4 + place for place, trait in enumerate(TRAITS)}  # figure of each trait's pictures
ALL = ("", "All MindPics; a black corner marks those of the test set, which the net has not been trained on.")
TEST_ONLY = (", test pictures", "Test pictures alone, by their log odds.")


@dataclass(frozen=True)
class Ranking:
    """Pictures by how strongly they drive the output units, see `mindpics.report.sheets.most_activating`.

    Attributes
    ----------
    suffix : str
        Of the figures' names.
    ids : str array [N]
    strengths : float array [N,5,2]
    measure : str
    thumbnails : mindpics.report.sheets.Thumbnails
    told : tuple of str
        What titles and captions end in.
    """

    suffix: str
    ids: np.ndarray
    strengths: np.ndarray
    measure: str
    thumbnails: sheets.Thumbnails
    told: tuple

    @property
    def title(self):
        return self.told[0]

    @property
    def caption(self):
        return self.told[1]


class RunFigures:
    """Draw the figures of `run`; what cannot be drawn is listed in `left_out` with its reason.

    Parameters
    ----------
    run : mindpics.results.run_files.RunFiles
    model : str
        NET_HEADS_INIT, whose scores are shown.
    out : path
    """

    def __init__(self, run, model, out):
        self.run, self.model, self.out = run, model, Path(out)
        self.drawn, self.left_out, self.words = [], [], []
        self.ids, self.labels, self.scores = load_scores(run.scores(model))
        self.selection = figures.read_selection(run.mindpics.selection)

    def draw_all(self, progress=lambda items: items):
        """Draw everything; `progress` wraps the list of steps (tqdm)."""
        steps = [self._curves, self._confusions, self._words, self._training]
        if self.run.pictures and self.run.pictures.is_dir():
            self.thumbnails = sheets.Thumbnails(self.selection, self.run.pictures)
            steps.append(self._samples)
            for ranking in self._rankings():
                steps += [lambda t=trait, r=ranking: self._activating(t, r) for trait in TRAITS]
                steps += self._map_steps(ranking)
        else:
            why = f"the pictures' folder is not there: {self.run.pictures or 'not recorded'} (--pictures)"
            self.left_out.append(("Figures 1, 4 to 10", why))
        for step in progress(steps):
            step()
        return self

    def _add(self, *facts, **options):
        self.drawn.append(Figure(self.out, *facts, **options))

    def _curves(self):
        figures.draw_curves(self.labels, self.scores, self.out / "figure3")
        self._add(
            "figure3",
            "Accuracy",
            "Figure 3: ROC and precision-recall",
            f"Of {self.model}, each trait over its own test pictures; high is the positive class.",
        )
        best = self.run.best_model()
        if best != self.model:
            _, labels, scores = load_scores(self.run.scores(best))
            figures.draw_curves(labels, scores, self.out / "figure3_best")
            self._add("figure3_best", "Accuracy", f"The same of {best}", "The model with the best mean here.")

    def _confusions(self):
        figures.draw_confusions(self.labels, self.scores, self.out / "confusion")
        self._add(
            "confusion",
            "Accuracy",
            "Confusion of each trait",
            f"Of {self.model}: test pictures, and their share of the true pole.",
        )

    def _words(self):
        self.words = figures.word_figures(self.ids, self.labels, self.scores, self.selection)
        figures.draw_words(self.words, self.out / "words")
        self._add(
            "words",
            "Accuracy",
            "Accuracy of each word",
            f"Of {self.model}: which of the 110 words carry the result. In brackets the test pictures; "
            "lines are 95% Wilson intervals.",
        )

    def _training(self):
        for name, folders in self.run.trainings().items():
            rows = sorted(row for folder in folders for row in read_run(folder))
            if len(folders) > 1:  # five nets, each with its own steps
                rows = [row for row in rows if row[1] != "lr"]
            if rows:
                draw_training(rows, self.out / f"training_{name}")
                self._add(
                    f"training_{name}", "Training", name, "Caffe's own figures: test values are averages over batches."
                )

    def _samples(self):
        sheets.draw_samples(self.selection, self.thumbnails, self.out / "figure1")
        self._add(
            "figure1",
            "Pictures",
            "Figure 1: random samples",
            "Ten pictures of each trait and pole, drawn by seed 0.",
            pictures=True,
        )
        sheets.draw_trait_samples(self.selection, "O", self.thumbnails, self.out / "figure10")
        self._add(
            "figure10", "Pictures", "Figure 10: random samples of Openness", "As the paper shows them.", pictures=True
        )

    def _rankings(self):
        """All MindPics by the activation of the output unit, where that is there; test pictures alone, second."""
        path = self.run.activations(self.model)
        tested = Ranking("_test", self.ids, sheets.odds_strengths(self.scores), "log_odds", self.thumbnails, TEST_ONLY)
        if not path.is_file():
            self.left_out.append(
                ("Figures 4 to 9 over all MindPics", f"found no {path}; those here are of test pictures")
            )
            return [replace(tested, suffix="")]
        marked = sheets.Thumbnails(self.selection, self.run.pictures, marks=True)
        return [Ranking("", *load_activations(path), "activation", marked, ALL), tested]

    def _activating(self, trait, ranking):
        name = f"figure{NUMBERS[trait]}{ranking.suffix}"
        out = self.out / name
        sheets.draw_activating(ranking.ids, ranking.strengths, trait, ranking.thumbnails, out, measure=ranking.measure)
        self._add(
            name,
            "Pictures",
            f"Figure {NUMBERS[trait]}: most activating, {TRAIT_NAMES[trait]}{ranking.title}",
            f"What most activates High and Low in {self.model}, whatever its trait, strongest first. {ranking.caption}",
            pictures=True,
        )

    def _map_steps(self, ranking):
        try:
            array, ids = read_features(self.run.features(self.model))
        except ValueError as error:
            self.left_out += [("Figures 4c to 8c and 9 (t-SNE)", str(error))] if ranking.suffix == "" else []
            return []
        features = dict(zip(ids, array, strict=True))
        each = [lambda t=trait: self._map(t, features, ranking) for trait in TRAITS]
        return [*each, lambda: self._all_map(features, ranking)]

    def _map(self, trait, features, ranking):
        name = f"figure{NUMBERS[trait]}c{ranking.suffix}"
        maps.draw_trait_map(ranking.ids, ranking.strengths, trait, features, ranking.thumbnails, self.out / name)
        self._add(
            name,
            "Maps",
            f"Figure {NUMBERS[trait]}c: t-SNE, {TRAIT_NAMES[trait]}{ranking.title}",
            f"Last pooling layer of {self.model}; perplexity {maps.PERPLEXITY}, random start, seed 0. "
            f"Border: High orange, Low blue. {ranking.caption}",
            pictures=True,
        )

    def _all_map(self, features, ranking):
        name = f"figure9{ranking.suffix}"
        maps.draw_all_traits_map(ranking.ids, ranking.strengths, features, ranking.thumbnails, self.out / name)
        self._add(
            name,
            "Maps",
            f"Figure 9: t-SNE of all traits{ranking.title}",
            "High left, Low right. Border: Openness orange, Conscientiousness blue, Extraversion green, "
            "Agreeableness black, Neuroticism red. Some pictures activate several heads and come twice. "
            f"{ranking.caption}",
            pictures=True,
        )
