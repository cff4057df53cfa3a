"""A repair that runs ahead of the log: what it has brought is not applied again, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import CliRunner

from dvidsync_dagster.cli import main
from dvidsync_dagster.cli.exit_codes import DONE
from dvidsync_dagster.repair.repairing import repair
from tests.stage import INSTANCE, Stage, stage


def dvidsync(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == DONE, done.output
    return done.output


def cleave(servers: Stage, label: int, *supervoxels: int) -> int:
    path = f"{servers.source.url}/api/node/{servers.root}/{INSTANCE}/cleave/{label}"
    answer = httpx.post(path, params={"u": "amy", "app": "test"}, json=supervoxels)
    answer.raise_for_status()
    return int(answer.json()["CleavedLabel"])


def renumber(servers: Stage, new: int, old: int) -> None:
    path = f"{servers.source.url}/api/node/{servers.root}/{INSTANCE}/renumber"
    httpx.post(path, params={"u": "amy", "app": "test"}, json=[new, old]).raise_for_status()


def test_what_a_repair_has_brought_is_not_applied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with stage(tmp_path) as servers:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.dump(servers.fields()))
        servers.merge(1, 2, 3)
        dvidsync("run", str(path))

        # Announced, and not followed yet.
        servers.merge(1, 4)
        new = cleave(servers, 1, 2, 3)
        servers.merge(new, 10)
        servers.merge(20, 21)
        cleave(servers, 20, 21)
        renumber(servers, 90, 30)
        servers.merge(31, 90)
        config = servers.config()
        repair(config, config.destinations[0], dry_run=False, still_owner=lambda: None)
        servers.assert_same()

        servers.merge(40, 41)
        cleave(servers, 31, 30)
        dvidsync("run", str(path))
        servers.assert_same()
        dvidsync("verify", str(path))
