"""Layout of a run's folders: one place for each name."""

import ast
from pathlib import Path

from mindpics.files.layout import DataFiles, File, JobFiles, MindpicsFiles, NetFiles, TrainingFiles
from pinterest_id.layout import ExperimentFiles

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = {"mindpics/files/layout.py", "pinterest_id/layout.py"}
# a corpus of pictures and a profile have files of these names too, which are no run's
SHARED = {"summary.json", "rejected.jsonl", "index.html"}


def names_of(layout):
    return {value.name for value in vars(layout).values() if isinstance(value, File) and "." in value.name}


def strings_of(path):
    return {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}


def test_the_name_of_a_runs_file_is_spelt_in_one_module():
    layouts = (TrainingFiles, NetFiles, DataFiles, MindpicsFiles, ExperimentFiles)
    names = {name for layout in layouts for name in names_of(layout)} - SHARED
    assert {"final.caffemodel", "train.csv", "run.json", "table3.csv", "mcnemar.csv"} <= names
    spelt = {
        (str(path.relative_to(ROOT)), text)
        for package in ("mindpics", "pinterest_id")
        for path in (ROOT / package).rglob("*.py")
        for text in strings_of(path)
        if isinstance(text, str) and text.rpartition("/")[2] in names
    }
    assert {path for path, _ in spelt} == LAYOUTS, spelt


def test_a_path_is_of_its_folders_type():
    training = JobFiles("runs/mini").mindpics.row("a_row").training("a_net")
    assert training.weights == "runs/mini/mindpics/a_row/a_net/final.caffemodel"
    assert TrainingFiles(Path("runs/x")).weights == Path("runs/x/final.caffemodel")
