"""Figures of a run, drawn into its report/figures."""

from pathlib import Path

from mindpics.files.feature_files import read_features
from mindpics.report import figures, maps, sheets
from mindpics.report.training_curves import draw_training, read_run
from mindpics.results.metrics import load_scores
from mindpics.results.study import Figure
from mindpics.traits import TRAIT_NAMES, TRAITS

NUMBERS = {trait: 4 + place for place, trait in enumerate(TRAITS)}  # figure of each trait's pictures


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
        self.selection = figures.read_selection(run.mindpics / "mindpics.csv")

    def draw_all(self, progress=lambda items: items):
        """Draw everything; `progress` wraps the list of steps (tqdm)."""
        steps = [self._curves, self._confusions, self._words, self._training]
        if self.run.pictures and self.run.pictures.is_dir():
            self.thumbnails = sheets.Thumbnails(self.selection, self.run.pictures)
            steps += [self._samples, *(lambda t=trait: self._activating(t) for trait in TRAITS)]
            steps += self._map_steps()
        else:
            why = f"the pictures' folder is not there: {self.run.pictures or 'not recorded'} (--pictures)"
            self.left_out.append(("Figures 1, 4 to 10", why))
        for step in progress(steps):
            step()
        return self

    def _add(self, *facts, **more):
        self.drawn.append(Figure(self.out, *facts, **more))

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

    def _activating(self, trait):
        name = f"figure{NUMBERS[trait]}"
        sheets.draw_activating(self.ids, self.scores, trait, self.thumbnails, self.out / name)
        self._add(
            name,
            "Pictures",
            f"Figure {NUMBERS[trait]}: most activating, {TRAIT_NAMES[trait]}",
            f"The test pictures that most activate High and Low in {self.model}, whatever their own trait, "
            "strongest first.",
            pictures=True,
        )

    def _map_steps(self):
        try:
            array, ids = read_features(self.run.features(self.model))
        except ValueError as error:
            self.left_out.append(("Figures 4c to 8c and 9 (t-SNE)", str(error)))
            return []
        features = dict(zip(ids, array, strict=True))
        return [*(lambda t=trait: self._map(t, features) for trait in TRAITS), lambda: self._all_map(features)]

    def _map(self, trait, features):
        name = f"figure{NUMBERS[trait]}c"
        maps.draw_trait_map(self.ids, self.scores, trait, features, self.thumbnails, self.out / name)
        self._add(
            name,
            "Maps",
            f"Figure {NUMBERS[trait]}c: t-SNE, {TRAIT_NAMES[trait]}",
            f"Last pooling layer of {self.model}; perplexity {maps.PERPLEXITY}, random start, seed 0. "
            "Border: High orange, Low blue.",
            pictures=True,
        )

    def _all_map(self, features):
        maps.draw_all_traits_map(self.ids, self.scores, features, self.thumbnails, self.out / "figure9")
        self._add(
            "figure9",
            "Maps",
            "Figure 9: t-SNE of all traits",
            "High left, Low right. Border: Openness orange, Conscientiousness blue, Extraversion green, "
            "Agreeableness black, Neuroticism red. Some pictures activate several heads and come twice.",
            pictures=True,
        )
