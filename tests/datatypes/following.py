"""Tables that follow what is new in a server's log."""

from __future__ import annotations

from random import Random

from dvidsync_dagster.snapshot.table import Change
from tests.datatypes.edits import in_pieces
from tests.datatypes.memory_tables import MemoryTables
from tests.datatypes.source_log import SourceLog


def follow_new(
    instance: str, log: SourceLog, tables: MemoryTables, random: Random | None = None
) -> list[Change]:
    """What is new in the log, in one piece or cut at random; what it changed in an instance's tables."""
    events = log.new_events()
    pieces = [events] if random is None else in_pieces(events, random)
    changes = [tables.follow(log.side(instance), piece, log.version) for piece in pieces]
    return [change for each in changes for change in each.values()]
