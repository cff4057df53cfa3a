"""A run of several chunks tells how far it is: a bar on a terminal, lines in a log."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import httpx
import pytest
import yaml

from tests.stage import INSTANCE, Stage, stage


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a stage with some hundred records, more than two chunks."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return str(tmp_path / "config.yaml")


def cleave_and_merge(servers: Stage, count: int) -> None:
    """Each time two operations of two records. Supervoxel 2 is in body 1 before and after."""
    url = f"{servers.source.url}/api/node/{servers.root}/{INSTANCE}"
    for _ in range(count):
        answer = httpx.post(f"{url}/cleave/1?u=amy&app=test", json=[2]).raise_for_status()
        servers.merge(1, answer.json()["CleavedLabel"])


def run(config: str, out: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from dvidsync_dagster.cli import main; main()", "run", config]
    return subprocess.Popen(command, stdout=out, stderr=out)


def read_all(terminal: int) -> str:
    found = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # whoever wrote has gone
            return found.decode()
        if not piece:
            return found.decode()
        found += piece


def test_a_bar_on_a_terminal_and_lines_in_a_log(config: str, tmp_path: Path) -> None:
    with stage(tmp_path / "stage") as servers:
        Path(config).write_text(yaml.dump(servers.fields()))
        servers.merge(1, 2)
        cleave_and_merge(servers, 60)
        terminal, end = pty.openpty()
        termios.tcsetwinsize(end, (24, 100))
        with run(config, end) as following:
            os.close(end)
            shown = read_all(terminal)
        os.close(terminal)
        assert following.returncode == 0, shown
        servers.assert_same()
        percents = [int(each) for each in re.findall(r"(\d+)%\|", shown)]
        assert percents[-1] == 100, shown
        assert any(0 < each < 100 for each in percents), shown
        lines = re.findall(r"so far ([\d,]+) records and ([\d,]+) operations in 0:00:\d\d", shown)
        assert len(lines) > 1
        assert re.search(r"a second; [\d,]+ records left, about 0:00:\d\d", shown)

        cleave_and_merge(servers, 60)
        log = tmp_path / "log"
        with log.open("wb") as file, run(config, file.fileno()) as following:
            following.wait()
        assert following.returncode == 0, log.read_text()
        assert "%|" not in log.read_text()
        assert "so far " in log.read_text()
