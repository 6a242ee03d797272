"""File layout of a main job's folder, read whatever part of it is there."""

from collections import Counter
from pathlib import Path

from mindpics.files.json_files import read_json, read_objects
from mindpics.files.layout import CorpusFiles, JobFiles, MindpicsFiles, NetFiles, TrainingFiles
from mindpics.posts.posts import picture_root
from mindpics.published import ROWS, Row
from mindpics.results.provenance import STAND_IN, is_open_corpus
from mindpics.results.sensitivity import FOLDER
from mindpics.results.table3 import read_table3

POOL = "pool5"  # the last pooling layer of both nets
PAPERS_BEST = "resnet50_all-in-one_finetune"  # figures 3 to 10 are of this model (section 4.1)


class RunFiles:
    """A run such as runs/mini, finished or not.

    Parameters
    ----------
    root : path
    pictures : path, optional
        What image paths of mindpics.csv are relative to; by default the folder of the manifest
        that the selection's summary names.
    study : callable, optional
        Reader of another paper's experiment on the run; see `mindpics.results.study`.

    Attributes
    ----------
    study : mindpics.results.study.Study or None
    manifest : Path or None
        What the selection was made from, as its summary names it: a relative path is of the folder the tool was
        started in.

    Raises
    ------
    ValueError
        When no paper's table is there yet.
    """

    def __init__(self, root, pictures=None, study=None):
        self.root = Path(root)
        self.files = JobFiles(self.root)
        self.mindpics = self.files.mindpics
        self.facts = read_json(self.files.facts)
        self.selection = read_json(self.mindpics.summary)
        self.table3 = self._table(self.mindpics.table3)
        self.study = study(self.root, _ours(self.pins_stand_in())) if study else None
        posts = self.selection.get("arguments", {}).get("posts")
        self.manifest = Path(posts) if posts else None
        self.pictures = Path(pictures) if pictures else self.manifest and picture_root(self.manifest)
        if not self.table3 and not (self.study and self.study.rows):
            tables = [MindpicsFiles.table3, *([self.study.file] if self.study else [])]
            raise ValueError(f"{self.root}: found no {' and no '.join(tables)}; wanted what tools/reproduce makes")

    def scores(self, model):
        return self.mindpics.row(model).scores

    def activations(self, model):
        """Return what a model's output units give for all MindPics, training pictures included."""
        return self.mindpics.row(model).activations

    def features(self, model):
        """Return NAME of NAME.npy, the features of a model's last pooling layer."""
        return self.mindpics.row(model).path(POOL)

    def models(self):
        """Return {NET_HEADS_INIT: row of Table 3} of those whose scores are still there."""
        named = {Row.of(row).name: row for row in self.table3}
        return {name: row for name, row in named.items() if self.scores(name).is_file()}

    def best_model(self):
        """Return the model with the best mean accuracy."""
        models = self.models()
        return max(models, key=lambda name: models[name]["avg"])

    def trainings(self):
        """Return {name: run folders}: one a model of Table 3 (five nets if independent), one a pretraining."""
        pretraining = sorted(self.files.pretraining.folder.glob(f"*/{NetFiles.run}"))
        folders = {f"pretraining of {path.parent.name}": [path] for path in pretraining}
        for name, row in self.models().items():
            trainings = [self.mindpics.row(name).training(net) for net in Row.of(row).nets]
            folders[name] = [training.folder for training in trainings if training.facts.is_file()]
        return {name: paths for name, paths in folders.items() if paths}

    def stand_in(self, model=None):
        """Return what stands in for the paper's data or weights, of `stand_ins`, in a line; "" when nothing does."""
        return "; ".join(dict.fromkeys(self.stand_ins(model).values()))

    def stand_ins(self, model=None):
        """Return {what of the paper's: what stands in for it}: its "data", and the weights of each fine-tuned net.

        Parameters
        ----------
        model : str, optional
            NET_HEADS_INIT; by default all rows of the run's Table 3.
        """
        rows = [row for row in ROWS if row.name == model] if model else map(Row.of, self.table3)
        weights = self.weights()
        sources = {"data": self.facts.get("data")}
        sources |= {f"weights of {row.net}": weights.get(row.net) for row in rows if row.init == "finetune"}
        return {
            part: text[len(STAND_IN) :].lstrip(": ")
            for part, text in sources.items()
            if isinstance(text, str) and text.startswith(STAND_IN)
        }

    def weights(self):
        """Return {net: path, or how the stand-in was made} of what fine-tuning starts from."""
        weights = self.facts.get("weights")
        return weights if isinstance(weights, dict) else dict.fromkeys(("alexnet", "resnet50"), weights)

    def data_stands_in(self):
        """Tell whether other pictures stand in for the paper's kind of data."""
        return str(self.facts.get("data")).startswith(STAND_IN)

    def pins_stand_in(self):
        """Tell whether the other paper's data are a stand-in too; where pins were given, by where they lie."""
        pins = self.facts.get("pins")
        return is_open_corpus(picture_root(pins)) if pins else self.data_stands_in()

    def ours(self):
        """Return the heading of what was measured."""
        return _ours(self.data_stands_in())

    def nets(self):
        """Return the run.json of every training, each with its "name"."""
        folders = [folder for folders_of_net in self.trainings().values() for folder in folders_of_net]
        return [{"name": _net_name(folder), **read_json(TrainingFiles(folder).facts)} for folder in folders]

    def rejected(self):
        """Return [{"file", "count", "reasons"}] of every list of rejections, of the run and of its pictures."""
        paths = sorted(self.root.glob("**/*rejected.jsonl"))
        paths = [path for path in paths if FOLDER not in path.relative_to(self.root).parts]  # the same again, varied
        if self.pictures:
            lists = [CorpusFiles(folder).rejected for folder in {self.pictures, *self._open_corpora()}]
            paths += sorted(path for path in lists if path.is_file())
        return [_count(path) for path in paths]

    def corpora(self):
        """Return {folder: summary.json} of the drawn pictures, the run's own and those beside them."""
        summaries = {folder.name: read_json(CorpusFiles(folder).summary) for folder in self._open_corpora()}
        return {name: summary for name, summary in summaries.items() if "drawn" in summary}

    def _open_corpora(self):
        """Return the folders of open corpora; none where the pictures are a crawl, beside which all is the user's."""
        if not self.pictures or not is_open_corpus(self.pictures):
            return []
        return sorted(path.parent for path in self.pictures.parent.glob(f"*/{CorpusFiles.request}"))

    def _table(self, path):
        return read_table3(path) if path.is_file() else []


def _ours(stands_in):
    return "ours, on the stand-in" if stands_in else "ours"


def _count(path):
    rejections = read_objects(path, "rejections, one JSON object a line")
    reasons = Counter(str(rejection.get("reason", "")).split(" to ")[0] for _, rejection in rejections)
    return {"file": str(path), "count": reasons.total(), "reasons": reasons.most_common(5)}


def _net_name(folder):
    return f"pretraining of {folder.parent.name}" if folder.name == NetFiles.run else folder.name
