"""Layout of an experiment's folder: the name of each file that one stage writes and another reads, spelt here alone.

A name is had from the class, a path from a folder's, as in `mindpics.files.layout`.
"""

from mindpics.files.layout import File, Files
from mindpics.files.own_folder import Kind

PINS = "pins.jsonl"
FIGURES = ("figure2", "figure3", "figure4", "figure5", "confused_pairs")


class ExperimentFiles(Files):
    """What run_identification and eval_identification write."""

    split = File("split.csv")
    rejected = File("rejected.jsonl")
    words_by_user = File("words_by_user.csv")
    top_words = File("top_words.csv")
    dictionary = File("models/dictionary.csv")
    scores = File("scores")
    projection = File("projection.npz")
    facts = File("run.json")
    table1 = File("table1.csv")
    table2 = File("table2.csv")
    table3 = File("table3.csv")
    intervals = File("intervals.csv")
    mcnemar = File("mcnemar.csv")
    summary = File("summary.json")
    figures = File("figures")
    f1_by_user = File("figures/figure4.csv")
    confused_pairs = File("figures/confused_pairs.csv")

    @property
    def drawn(self):
        """Every file of `pinterest_id.figures`: what else lies beside them is the user's."""
        figures = [f"{name}.{ending}" for name in FIGURES for ending in ("csv", "png", "svg")]
        return [self.path(f"{ExperimentFiles.figures}/{name}") for name in (*figures, "figure3_variance.csv")]

    def scores_of(self, slug):
        """Return the path of a row's scores."""
        return self.path(f"{ExperimentFiles.scores}/{slug}.npz")

    def model(self, modality):
        """Return the folder of a modality's classifier and its curve of C."""
        return self.path(f"models/{modality}")


# written first by every run; a split.csv, or features and their ids, may be the user's own
IDENTIFICATION = Kind("a run of run_identification", proof=(ExperimentFiles.words_by_user,))
