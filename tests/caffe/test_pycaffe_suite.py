"""pycaffe's own unit tests, as they come with the source, against the Caffe that is installed."""

import sys
import unittest
from pathlib import Path

import caffe
import pytest

# Names that these tests use and Python 3.12 dropped.
for old, new in [("assertEquals", "assertEqual"), ("assertRaisesRegexp", "assertRaisesRegex")]:
    if not hasattr(unittest.TestCase, old):
        setattr(unittest.TestCase, old, getattr(unittest.TestCase, new))


def each_case(suite):
    for item in suite:
        yield from each_case(item) if isinstance(item, unittest.TestSuite) else [item]


CASES = list(each_case(unittest.defaultTestLoader.discover(str(Path(caffe.__file__).parent / "test"))))


def test_all_modules_are_found():
    modules = {case.__class__.__module__ for case in CASES}
    assert {
        "test_coord_map",
        "test_draw",
        "test_io",
        "test_layer_type_list",
        "test_nccl",
        "test_net",
        "test_net_spec",
        "test_python_layer",
        "test_python_layer_with_param_str",
        "test_solver",
    } <= modules
    assert not [case.id() for case in CASES if "FailedTest" in case.id()]


@pytest.mark.filterwarnings("ignore:Please use assert:DeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id())
def test_pycaffe(case, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    if case.id() == "test_draw.TestDraw.test_draw_net":  # of a checkout; no examples/ in the sdist
        (tmp_path / "models").symlink_to(Path(caffe.__file__).parent / "models")
        (tmp_path / "examples").mkdir()
        monkeypatch.setattr(sys.modules["test_draw"], "__file__", str(tmp_path / "python/caffe/test/test_draw.py"))
    result = unittest.TestResult()
    case.run(result)
    assert not result.errors + result.failures
