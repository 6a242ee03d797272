"""The notebook that a newcomer opens first, executed from its first cell to its last on a small crawl."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from small_job import make_crawl

ROOT = Path(__file__).resolve().parents[1]


def test_the_notebook_runs_from_words_to_a_row_of_the_table(tmp_path, monkeypatch):
    make_crawl(tmp_path / "crawled")
    monkeypatch.setenv("POSTS", "crawl/posts.jsonl")
    monkeypatch.setenv("OUT", "notebook")
    monkeypatch.setenv("SCALE", "tiny")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(ROOT / "tools/words_to_table.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 10 and not any(cell.outputs for cell in cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path / "crawled"}}).execute()
    drawn = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(drawn) >= 3  # pictures, training curves, ROC
    said = "".join(output.get("text", "") for output in cells[-1].outputs)
    assert "'published_avg': 63.4" in said and "'net': 'alexnet'" in said
    assert (tmp_path / "crawled/notebook/table3.csv").is_file()
