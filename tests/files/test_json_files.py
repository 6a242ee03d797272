"""JSON files: strict, whatever a table of pandas has put into a post."""

import json
import math

from mindpics.files.json_files import read_objects, write_json, write_objects


def refused(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_what_is_not_finite_is_null(tmp_path):
    record = {"id": "a", "score": math.nan, "inner": [math.inf, {"x": -math.inf}], "n": 1.5}
    write_json(tmp_path / "a.json", record)
    write_objects(tmp_path / "a.jsonl", [record, record])
    wanted = {"id": "a", "score": None, "inner": [None, {"x": None}], "n": 1.5}
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=refused) == wanted
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=refused) for line in lines] == [wanted, wanted]
    assert [record for _, record in read_objects(tmp_path / "a.jsonl")] == [wanted, wanted]
