"""`dvidsync verify` and `repair` on a snapshot."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import CliRunner, Result

from dvidsync_dagster.cli import main
from dvidsync_dagster.cli.exit_codes import DIFFERENT, DONE
from tests.destinations.bucket_scene import NEURONS, source_and_bucket


def dvidsync(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def succeeds(*arguments: str) -> str:
    done = dvidsync(*arguments)
    assert done.exit_code == DONE, done.output
    return done.output


def test_verify_and_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with source_and_bucket(tmp_path) as here:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.dump(here.fields()))
        assert "snapshot    none yet: the first run makes it" in succeeds("status", str(path))
        assert "lag         nothing is followed yet; the log has" in succeeds("status", str(path))
        here.post(f"{NEURONS}/key/1", {"bodyid": 1, "type": "KC"})
        succeeds("run", str(path))
        told = succeeds("status", str(path))
        assert re.search(rf"snapshot    of version {here.head} at \S+Z; keeps 1 committed version\n", told)
        assert re.search(r"\n    neurons  +1 row\n", told)
        assert "maintained  none yet" in told
        assert "lag         none" in told
        succeeds("verify", str(path))
        httpx.delete(f"{here.source.url}/api/node/{here.head}/{NEURONS}/key/1?u=amy").raise_for_status()
        assert dvidsync("verify", str(path)).exit_code == DIFFERENT
        planned = dvidsync("repair", str(path))
        assert planned.exit_code == DIFFERENT, planned.output
        assert "neurons put right" in planned.output
        of_one = dvidsync("repair", str(path), "--version", here.head[:8])
        assert of_one.exit_code == DIFFERENT, of_one.output
        assert "neurons put right" in of_one.output
        assert "they agree" in succeeds("repair", str(path), "--apply")
        assert not here.content()[NEURONS]
        succeeds("verify", str(path))
        here.post(f"{NEURONS}/key/1", {"bodyid": 1, "type": "KC"})
        succeeds("run", str(path))
        httpx.delete(f"{here.source.url}/api/node/{here.head}/{NEURONS}/key/1?u=amy").raise_for_status()
        assert "they agree" in succeeds("repair", str(path), "--version", here.head, "--apply")
        assert not here.content()[NEURONS]
        here.put_key("a", "1")
        succeeds("run", str(path))
        succeeds("verify", str(path))
