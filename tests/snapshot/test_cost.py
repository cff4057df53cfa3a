"""What a run that brings some work writes: little, but for the tables in which rows change."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_a_run_writes_little_but_the_tables_in_which_rows_change(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.snapshot", "--quick", "--json", str(result)]
    subprocess.run(command, check=True, cwd=CHECKOUT)
    [row] = json.loads(result.read_text())
    assert row["what"] == "1,000 mutations"
    assert 1 < row["edits_kb"] < 50
    assert row["rest_kb"] < 100
    assert row["anew_mb"] < 3
    assert row["files"] < 20
