"""Figures of a run, drawn into its report/figures."""

from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from mindpics.files.feature_files import read_features
from mindpics.jobs.parallel import run_each
from mindpics.report import figures, maps, sheets
from mindpics.report.training_curves import draw_training, read_run
from mindpics.results.metrics import load_activations, load_scores
from mindpics.results.run_files import RunFiles
from mindpics.results.study import Figure
from mindpics.traits import TRAIT_NAMES, TRAITS

NUMBERS = {trait: 4 + place for place, trait in enumerate(TRAITS)}  # figure of each trait's pictures
ALL = ("", "All MindPics; a black corner marks those of the test set, which the net has not been trained on.")
TEST_ONLY = (", test pictures", "Test pictures alone, by their log odds.")
LONGEST = 3600  # seconds that a figure may take


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
    """Figures of `run`, a step each; what cannot be drawn is listed in `left_out` with its reason.

    Parameters
    ----------
    run : mindpics.results.run_files.RunFiles
    model : str
        NET_HEADS_INIT, whose scores are shown.
    out : path

    Attributes
    ----------
    steps : list of callable
        Each draws a figure or a few, and returns them as `mindpics.results.study.Figure`.
    words : list of dict
        Of `mindpics.report.figures.word_figures`.
    """

    def __init__(self, run, model, out):
        self.run, self.model, self.out = run, model, Path(out)
        self.left_out = []
        self.ids, self.labels, self.scores = load_scores(run.scores(model))
        self.selection = figures.read_selection(run.mindpics.selection)
        self.words = figures.word_figures(self.ids, self.labels, self.scores, self.selection)
        self.steps = [self._curves, self._confusions, self._words]
        self.steps += [partial(self._training, *training) for training in run.trainings().items()]
        self.steps += self._picture_steps()

    def draw_all(self, progress=lambda steps: steps, workers=1):
        """Draw everything; return the list of figures.

        Parameters
        ----------
        progress : callable
            Wraps the list of steps, as tqdm does.
        workers : int or None
            Processes that draw; with one it is this process, None is one a core.

        Raises
        ------
        ValueError
            A file of the run is broken, or a process ended as it drew.
        """
        if workers == 1:
            return [figure for step in progress(self.steps) for figure in step()]
        draw = partial(_draw, self.run.root, self.run.pictures, self.model, self.out)
        outcomes = run_each(draw, range(len(self.steps)), workers, LONGEST)
        drawn = []
        for _, (_, of_step, reason) in zip(progress(self.steps), outcomes, strict=True):
            if reason is not None:
                raise ValueError(reason)
            drawn += of_step
        return drawn

    def _picture_steps(self):
        if not (self.run.pictures and self.run.pictures.is_dir()):
            why = f"the pictures' folder is not there: {self.run.pictures or 'not recorded'} (--pictures)"
            self.left_out.append(("Figures 1, 4 to 10", why))
            return []
        self.thumbnails = sheets.Thumbnails(self.selection, self.run.pictures)
        steps = [self._samples]
        for ranking in self._rankings():
            steps += [partial(self._activating, trait, ranking) for trait in TRAITS]
            steps += self._map_steps(ranking)
        return steps

    def _figure(self, *facts, **options):
        return Figure(self.out, *facts, **options)

    def _curves(self):
        figures.draw_curves(self.labels, self.scores, self.out / "figure3")
        first = self._figure(
            "figure3",
            "Accuracy",
            "Figure 3: ROC and precision-recall",
            f"Of {self.model}, each trait over its own test pictures; high is the positive class.",
        )
        best = self.run.best_model()
        if best == self.model:
            return [first]
        _, labels, scores = load_scores(self.run.scores(best))
        figures.draw_curves(labels, scores, self.out / "figure3_best")
        told = f"The same of {best}", "The model with the best mean here."
        return [first, self._figure("figure3_best", "Accuracy", *told)]

    def _confusions(self):
        figures.draw_confusions(self.labels, self.scores, self.out / "confusion")
        told = f"Of {self.model}: test pictures, and their share of the true pole."
        return [self._figure("confusion", "Accuracy", "Confusion of each trait", told)]

    def _words(self):
        figures.draw_words(self.words, self.out / "words")
        told = (
            f"Of {self.model}: which of the 110 words carry the result. In brackets the test pictures; "
            "lines are 95% Wilson intervals."
        )
        return [self._figure("words", "Accuracy", "Accuracy of each word", told)]

    def _training(self, name, folders):
        rows = sorted(row for folder in folders for row in read_run(folder))
        if len(folders) > 1:  # five nets, each with its own steps
            rows = [row for row in rows if row[1] != "lr"]
        if not rows:
            return []
        draw_training(rows, self.out / f"training_{name}")
        told = "Caffe's own figures: test values are averages over batches."
        return [self._figure(f"training_{name}", "Training", name, told)]

    def _samples(self):
        sheets.draw_samples(self.selection, self.thumbnails, self.out / "figure1")
        told = "Ten pictures of each trait and pole, drawn by seed 0."
        first = self._figure("figure1", "Pictures", "Figure 1: random samples", told, pictures=True)
        sheets.draw_trait_samples(self.selection, "O", self.thumbnails, self.out / "figure10")
        told = "Figure 10: random samples of Openness", "As the paper shows them."
        return [first, self._figure("figure10", "Pictures", *told, pictures=True)]

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
        figure = self._figure(
            name,
            "Pictures",
            f"Figure {NUMBERS[trait]}: most activating, {TRAIT_NAMES[trait]}{ranking.title}",
            f"What most activates High and Low in {self.model}, whatever its trait, strongest first. {ranking.caption}",
            pictures=True,
        )
        return [figure]

    def _map_steps(self, ranking):
        """Maps of the pictures that have features: one that could not be read when they were extracted has none."""
        name, maps_named = self.run.features(self.model), "Figures 4c to 8c and 9 (t-SNE)"
        try:
            array, ids = read_features(name)
        except ValueError as error:
            self.left_out += [(maps_named, str(error))] if ranking.suffix == "" else []
            return []
        has, maps_named = np.isin(ranking.ids, ids), maps_named + ranking.title
        if has.sum() < 2:
            why = f"found features of {has.sum()} of {len(has)} pictures in {name}; wanted of two at least"
            self.left_out.append((maps_named, why))
            return []
        if not has.all():
            why = f"found no features of them in {name}, {ranking.ids[~has][0]} the first"
            self.left_out.append((f"{maps_named}: {(~has).sum()} of {len(has)} pictures", why))
        ranking = replace(ranking, ids=ranking.ids[has], strengths=ranking.strengths[has])
        features = dict(zip(ids, array, strict=True))
        each = [partial(self._map, trait, features, ranking) for trait in TRAITS]
        return [*each, partial(self._all_map, features, ranking)]

    def _map(self, trait, features, ranking):
        name = f"figure{NUMBERS[trait]}c{ranking.suffix}"
        maps.draw_trait_map(ranking.ids, ranking.strengths, trait, features, ranking.thumbnails, self.out / name)
        figure = self._figure(
            name,
            "Maps",
            f"Figure {NUMBERS[trait]}c: t-SNE, {TRAIT_NAMES[trait]}{ranking.title}",
            f"Last pooling layer of {self.model}; perplexity {maps.PERPLEXITY}, random start, seed 0. "
            f"Border: High orange, Low blue. {ranking.caption}",
            pictures=True,
        )
        return [figure]

    def _all_map(self, features, ranking):
        name = f"figure9{ranking.suffix}"
        maps.draw_all_traits_map(ranking.ids, ranking.strengths, features, ranking.thumbnails, self.out / name)
        figure = self._figure(
            name,
            "Maps",
            f"Figure 9: t-SNE of all traits{ranking.title}",
            "High left, Low right. Border: Openness orange, Conscientiousness blue, Extraversion green, "
            "Agreeableness black, Neuroticism red. Some pictures activate several heads and come twice. "
            f"{ranking.caption}",
            pictures=True,
        )
        return [figure]


@cache
def _opened(root, pictures, model, out):
    """Return the figures of a run, once a process."""
    return RunFigures(RunFiles(root, pictures), model, out)


def _draw(root, pictures, model, out, place):
    """Draw the figures of the step at a place; for a process of its own."""
    return _opened(root, pictures, model, out).steps[place]()
