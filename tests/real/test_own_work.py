"""On real servers: random work at the source, in followed versions and on practice branches, and runs that
may be killed. See `tests/own_work`. DVIDSYNC_OWN_WORK makes more seeds, DVIDSYNC_OWN_WORK_FROM other ones."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from tests.datatypes.source_and_destination import SourceAndDestination
from tests.own_work.stories import leave_out, stop
from tests.own_work.world import World
from tests.real.harness import stage

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

FIRST = int(os.environ.get("DVIDSYNC_OWN_WORK_FROM", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("DVIDSYNC_OWN_WORK", "1")))


@pytest.mark.parametrize("on_conflict", ["skip", "stop"])
@pytest.mark.parametrize("seed", SEEDS)
def test_own_work_stays_and_all_else_is_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, on_conflict: str
) -> None:
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.ownership.EVERY_SECONDS", 0.0)
    with stage(tmp_path, size=64, cube=16) as scene:
        both = SourceAndDestination(cast(Any, scene.source), cast(Any, scene.destination), scene.root)
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
        fields = {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "destinations": [{"name": "copy", "url": scene.destination.url, "start": {"time": start}}],
            "settle_seconds": 0,
            "quarantine": str(tmp_path / "quarantine"),
        }
        world = World(
            both, fields, Random(seed), lambda _: scene.flush(), restarts=True, on_conflict=on_conflict
        )
        (leave_out if on_conflict == "skip" else stop)(world, rounds=8)
        print(f"seed {seed}, {on_conflict}: {world.counts}")
