"""An operation that the destination cannot take is told of until it is left out, never lost."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from dvidsync_dagster.errors import Conflict
from dvidsync_dagster.run.report import ChunkReport
from tests.one_run import followed
from tests.stage import Stage, stage


def run(scene: Stage, on_conflict: str) -> list[ChunkReport]:
    fields = scene.fields()
    fields["destinations"][0]["on_conflict"] = on_conflict
    return followed(scene.config(**fields))


def test_merges_that_are_one_request_and_the_first_cannot_be_applied(tmp_path: Path) -> None:
    with stage(tmp_path) as scene:
        scene.merge(9, 2, server=scene.destination)
        for label in (2, 3, 4):
            scene.merge(1, label)
        for _ in range(2):
            with pytest.raises(Conflict, match="non-existent label 2"):
                run(scene, "stop")
            assert scene.bodies(scene.destination)[3] == 3
        first, *depending = [row for report in run(scene, "skip") for row in report.conflicts]
        assert first.found.startswith("no body 2 there: perhaps merged or renumbered")
        assert "non-existent label 2" in first.found
        assert [row.found for row in depending] == ["it depends on what was refused before it"] * 2
        bodies = scene.bodies(scene.destination)
        assert [bodies[label] for label in (1, 2, 3, 4)] == [1, 9, 3, 4]


def test_a_version_that_people_made_where_the_source_makes_another(tmp_path: Path) -> None:
    with stage(tmp_path) as scene:
        for server in (scene.source, scene.destination):
            node = f"{server.url}/api/node/{scene.root}"
            httpx.post(f"{node}/commit", json={"note": "done", "log": []}).raise_for_status()
            httpx.post(f"{node}/newversion", json={"note": "next"}).raise_for_status()
        with pytest.raises(Conflict, match="another version comes next on that branch") as stopped:
            run(scene, "stop")
        assert "hide-branch" not in str(stopped.value)
