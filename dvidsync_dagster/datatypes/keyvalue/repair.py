"""Keyvalue instances: keys written and deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.contract import DataRepair
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.keyvalue.comparison import VALUES
from dvidsync_dagster.datatypes.repairing import carry_out_or_leave
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.items import ServerPair, find
from dvidsync_dagster.differences.work import ChangeKind, Work

KEYS_PER_COMMAND = 500

DELETE_KEY = ChangeKind("delete key")
WRITE_KEY = ChangeKind("write key")


class KeyvalueRepair(DataRepair):
    """Copies the values that differ, and deletes the keys that the source does not have."""

    def version(self, pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
        found, _ = find(VALUES, pair)
        if found is None:
            return
        version, name = pair.source.version, pair.source.name
        written: list[str] = found.keys[found.at_source].tolist()
        deleted: list[str] = found.keys[~found.at_source].tolist()
        # A key with a slash cannot stand in a path, and nothing else deletes.
        unreachable = [key for key in deleted if "/" in key]
        why = "DVID has no request that deletes a key with a slash."
        work.leave(version, name, DELETE_KEY, unreachable, why)
        for kind, keys in (
            (DELETE_KEY, [key for key in deleted if "/" not in key]),
            (WRITE_KEY, written),
        ):
            if work.plan(version, name, kind, keys):
                batches = [tuple(some) for some in _batches(keys)]
                steps = [Step(CopyKeys(version=version, instance=name, keys=some)) for some in batches]
                carry_out_or_leave(steps, batches, kind, work, carry_out)


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), KEYS_PER_COMMAND):
        yield keys[start : start + KEYS_PER_COMMAND]
