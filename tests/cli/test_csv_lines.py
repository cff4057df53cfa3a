"""What others wrote is no formula in a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest

from dvidsync_dagster.cli.csv_lines import echo_csv


@pytest.mark.parametrize(
    "text", ['=HYPERLINK("http://evil","x")', "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"]
)
def test_a_formula_becomes_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    echo_csv(["amy", text, -5, None, True])
    (row,) = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    shown = text.replace("\r", " ")
    assert row == ["amy", f"'{shown}", "-5", "", "True"]


def test_all_else_stays(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ["", "a=b", "1 - 2", "a,b", 'say "x"', "10 11", "2026-11-27"]
    echo_csv(cells)
    (row,) = csv.reader(io.StringIO(capsys.readouterr().out))
    assert row == cells
