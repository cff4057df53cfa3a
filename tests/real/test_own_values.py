"""On real servers: people at the destination change keys, neurons and elements in a followed version."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.destinations.protocol import ConflictRow
from dvidsync_dagster.errors import Conflict
from dvidsync_dagster.log.checkpoint import Checkpoint
from tests.datatypes.own_values import Elements, Keys, Neurons, Worker
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.one_run import followed
from tests.real.harness import Stage, stage

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]


def follow(
    scene: Stage, folder: Path, checkpoint: Checkpoint | None, on_conflict: str = "skip"
) -> tuple[Checkpoint | None, list[ConflictRow]]:
    """Up to the end of what the source has handed over."""
    scene.flush()
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
    config = SyncConfig.model_validate(
        {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "settle_seconds": 0,
            "quarantine": str(folder / "quarantine"),
            "destinations": [
                {
                    "name": "copy",
                    "url": scene.destination.url,
                    "start": {"time": start},
                    "on_conflict": on_conflict,
                }
            ],
        }
    )
    rows: list[ConflictRow] = []
    waiting = 1
    while waiting:
        for report in followed(config, checkpoint=checkpoint):
            rows += report.conflicts
            checkpoint, waiting = report.checkpoint, report.lag_after.records
    return checkpoint, rows


def test_what_people_changed_is_left_alone_and_listed(tmp_path: Path) -> None:
    with stage(tmp_path, size=64, cube=16) as scene:
        both = SourceAndDestination(cast(Any, scene.source), cast(Any, scene.destination), scene.root)
        kinds: list[type[Worker]] = [Keys, Neurons, Elements]
        sources = [kind(both, both.source, "amy") for kind in kinds]
        copies = [kind(both, both.destination, "trainee") for kind in kinds]
        root = scene.root
        for worker in sources:
            for number, item in enumerate(worker.items[:3]):
                worker.put(item, worker.value(number), root)
        checkpoint, rows = follow(scene, tmp_path, None)
        assert not rows
        own = []
        for worker in copies:
            changed, deleted, _, made = worker.items[:4]
            worker.put(changed, worker.value(11), root)
            worker.delete(deleted, root)
            worker.put(made, worker.value(13), root)
            own.append(worker.all(root))
        for worker in sources:
            for number, item in enumerate(worker.items[:4], 21):
                worker.put(item, worker.value(number), root)
        with pytest.raises(Conflict, match="own work"):
            follow(scene, tmp_path, checkpoint, "stop")
        checkpoint, rows = follow(scene, tmp_path, checkpoint)
        for source, copy, before in zip(sources, copies, own, strict=True):
            changed, deleted, other, made = source.items[:4]
            named = {item for item in source.items if any(source.told(item) in row.found for row in rows)}
            assert named == {changed, deleted, made}
            assert copy.all(root) == {**before, other: source.all(root)[other]}
