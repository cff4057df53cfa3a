"""What ends a command from outside is said in words: Ctrl-C, and a storage of Dagster that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dvidsync_dagster.cli import main
from dvidsync_dagster.cli.exit_codes import FAILED, exit_codes


def test_ctrl_c_says_that_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_codes(verbose=False):
        raise KeyboardInterrupt
    assert ended.value.code == FAILED
    assert "the next run goes on from there" in capsys.readouterr().err


def test_a_storage_of_dagster_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "runs.db").write_text("no database")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    config = tmp_path / "config.yaml"
    config.write_text(
        "repo: 0123456789abcdef0123456789abcdef\n"
        "source: {url: 'http://127.0.0.1:9'}\n"
        "destinations: [{name: copy, url: 'http://127.0.0.1:10', start: beginning}]\n"
        "windows: {every: daily, start_date: 2026-01-01}\n"
    )
    done = CliRunner().invoke(main, ["run", str(config)])
    assert done.exit_code == FAILED
    assert "Dagster's storage cannot be used: file is not a database" in done.output
    assert "disk of DAGSTER_HOME" in done.output
    assert "SQL" not in done.output
