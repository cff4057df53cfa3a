"""A run follows into any kind of destination: here one that keeps its checkpoint with its data."""

from __future__ import annotations

from collections.abc import Callable

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.datatypes.contract import Rows
from dvidsync_dagster.destinations.memory import MemoryDestination
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.run.follow import follow
from dvidsync_dagster.run.report import ChunkReport
from tests.stage import INSTANCE, Stage


class InMemory:
    """Opens the same destination each time."""

    def __init__(self, stage: Stage) -> None:
        self.opened: MemoryDestination | None = None
        self.rows: Rows = {
            ("supervoxel", INSTANCE, stage.root, supervoxel): body
            for supervoxel, body in stage.bodies(stage.source).items()
        }

    def __call__(
        self,
        config: SyncConfig,
        destination: AnyDestination,
        source: Source,
        *,
        is_new: bool,
        still_owner: Callable[[], None],
        note: Callable[[str], None],
    ) -> MemoryDestination:
        self.opened = self.opened or MemoryDestination(dict(self.rows), lambda: source.repo)
        return self.opened


def followed(stage: Stage, opener: InMemory) -> list[ChunkReport]:
    """A run whose caller remembers nothing."""
    config = stage.config()
    return list(
        follow(
            config,
            config.destinations[0],
            checkpoint=None,
            epoch=1,
            still_owner=lambda: None,
            opener=opener,
        )
    )


def test_it_follows_and_goes_on_from_its_own_checkpoint(stage: Stage) -> None:
    opener = InMemory(stage)
    stage.merge(1, 2, 3)
    first = followed(stage, opener)
    assert sum(report.operations for report in first) >= 1
    stage.merge(5, 6)
    second = followed(stage, opener)
    assert [report.operations for report in second] == [1]
    memory = opener.opened
    assert memory is not None
    bodies = {key[3]: body for key, body in memory.rows.items() if key[0] == "supervoxel"}
    assert bodies == stage.bodies(stage.source)
    assert memory.checkpoint == second[-1].checkpoint
