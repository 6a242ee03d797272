"""README.md here names the test of each fault: each is there."""

import re
from pathlib import Path

HERE = Path(__file__).parent


def test_every_test_that_the_table_names_is_there():
    rows = [line for line in (HERE / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.endswith("| test |")]
    assert len(rows) > 30
    for row in rows:
        shown = row.rstrip("| ").rpartition("| ")[2]
        assert re.search(r"\w+\.py: test_", shown), row
        for part in shown.split("; "):
            file, names = part.split(": ", 1)
            defined = re.findall(r"^def (test_\w+)", (HERE / file).read_text(encoding="utf-8"), re.MULTILINE)
            for name in re.findall(r"test_\w+", names):
                assert name in defined, f"{name} is not in {file}"


def test_the_table_names_every_test():
    said = (HERE / "README.md").read_text(encoding="utf-8")
    for file in HERE.glob("test_*.py"):
        names = re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert file.name == "test_table.py" or any(name in said for name in names), file
