"""Lint of BVLC's published nets and solvers, as the wheel has them: nothing is found that is not so."""

from pathlib import Path

import caffe
import pytest

from mindpics.lint.net import lint_file

PACKAGE = Path(caffe.__file__).parent
FILES = sorted(path.relative_to(PACKAGE) for path in (PACKAGE / "models").glob("*/*.prototxt"))


def test_they_are_there():
    assert len(FILES) >= 14 and sum("solver" in path.name for path in FILES) >= 5


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_published_net_has_no_false_finding(path, monkeypatch):
    monkeypatch.chdir(PACKAGE)  # their paths begin with models/
    wrong = [finding for finding in lint_file(path) if finding.severity in ("error", "warning")]
    assert wrong == []
