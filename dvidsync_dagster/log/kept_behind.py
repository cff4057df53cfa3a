"""What events that were left out touched, where that is too much for a checkpoint: in files beside the
quarantine. The last one holds all; the one before it is left to a checkpoint that is set back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.checkpoint import Behind, Checkpoint
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.quarantine import quarantine_uri

if TYPE_CHECKING:
    import pyarrow as pa

MOST_IN_CHECKPOINT = 200

_SUFFIX = ".behind"
"""They are Parquet."""


class KeptBehind:
    """What is kept of one destination in one run.

    Every method raises `LogError` if the folder cannot be read or written.

    Raises:
        ConfigurationError: no such kind of store.
    """

    def __init__(self, config: SyncConfig, destination: str) -> None:
        self._folder = Folder(quarantine_uri(config), "quarantine", config.repo, destination, "behind")
        self._kept: set[Behind] = set()
        self._name = ""

    def met(self, checkpoint: Checkpoint) -> Sequence[Behind]:
        """All that is behind at a checkpoint. What was kept later is true as well."""
        self._name = checkpoint.behind_in
        self._kept = set()
        if not self._name:
            return checkpoint.behind
        names = self._names()
        if not names:
            raise LogError(
                f"{self._folder.path} is gone, and with it which bodies are not as at the source: operations "
                f"on them would do something else there. Restore it; or run `dvidsync repair --apply` and "
                f"then give the destination a new start."
            )
        for name in names:
            rows = self._folder.read_table(name, _schema()).to_pylist()
            self._kept.update(Behind(**row) for row in rows)
        return [*self._kept, *(each for each in checkpoint.behind if each not in self._kept)]

    def keep(self, behind: Sequence[Behind]) -> tuple[tuple[Behind, ...], str]:
        """What of all that is behind goes into a checkpoint, and where the rest is."""
        fresh = tuple(each for each in behind if each not in self._kept)
        if len(fresh) <= MOST_IN_CHECKPOINT:
            return fresh, self._name
        import pyarrow as pa

        before = self._names()
        number = int(before[-1].partition("-")[0]) + 1 if before else 1
        # A run that lost the destination writes no file of the run that has it.
        self._name = f"{number:012d}-{uuid.uuid4().hex[:8]}{_SUFFIX}"
        self._folder.write_table(
            self._name, pa.Table.from_pylist([asdict(each) for each in behind], schema=_schema())
        )
        self._kept = set(behind)
        for outdated in before[:-1]:
            self._folder.remove(outdated)
        return (), self._name

    def _names(self) -> list[str]:
        names = (name for name in self._folder.names() if name.endswith(_SUFFIX))
        return [name for name in names if name.partition("-")[0].isdigit()]


@cache
def _schema() -> pa.Schema:
    import pyarrow as pa  # takes time to load, and most runs keep nothing

    text, number = pa.string(), pa.uint64()
    return pa.schema(
        {
            "instance": text,
            "version": text,
            "item": text,
            "era": number,
            "mutation_id": number,
            "where": text,
        }
    )
