"""The command: it measures, and writes a table, JSON and curves."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import main
from benchmarks.report import curves, table
from benchmarks.result import Result, Way
from dvid_sandbox.broker import EmbeddedBroker


def test_posts_of_keys_take_a_batch_for_all_that_go_to_the_same_keys(
    broker: EmbeddedBroker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DVID_BIN", raising=False)
    command = ["--only", "keys", "--work", "200", "--repeats", "1"]
    assert main([*command, "--broker", broker.address, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == (tmp_path / "results.md").read_text().strip()
    assert "keys 200: follow, 1 of 1" in printed.err
    listed = json.loads((tmp_path / "results.json").read_text())
    assert listed["conditions"]["servers"] == "sandbox"
    [found] = listed["results"]
    assert [(way["name"], way["requests"]) for way in found["ways"]] == [("one by one", 200), ("follow", 1)]
    assert ElementTree.parse(tmp_path / "keys.svg").getroot().tag.endswith("svg")


def test_a_workload_that_is_only_large_is_refused_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "backlog", "--size", "usual"])
    assert "--size large" in capsys.readouterr().err


def result(size: int) -> Result:
    ways = [Way("one by one", size, 10.0, 1.0, 50.0, size), Way("follow", size, 0.5, 0.4, 90.0, 1)]
    return Result("keys", size, ways)


def test_the_table_tells_how_much_faster_a_way_is() -> None:
    lines = table([result(100)]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[-1] == "| keys | 100 | follow | 1 | 0.50 | 20.00 | 0.40 | 90 |  |"


def test_curves_have_a_chart_for_each_measure() -> None:
    image = curves([result(100), result(1_000)], "operations")
    assert image.count("<polyline") == 6
    assert all(f">{name}</text>" in image for name in ("seconds", "requests", "MB of memory", "1,000"))


@pytest.mark.parametrize("option", ["--repeats", "--blocks"])
def test_nothing_is_measured_without_any(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([option, "0"])
    assert f"{option} is below 1" in capsys.readouterr().err
