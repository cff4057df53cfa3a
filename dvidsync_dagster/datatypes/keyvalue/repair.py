"""Keyvalue instances: keys written and deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.contract import DataRepair
from dvidsync_dagster.datatypes.keyvalue.batches import fitting
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.keyvalue.comparison import VALUES
from dvidsync_dagster.datatypes.keyvalue.reading import value_sizes
from dvidsync_dagster.datatypes.repairing import SINCE_NOW, carry_out_or_leave, refused_among
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.items import Found, ServerPair, find
from dvidsync_dagster.differences.work import ChangeKind, Work

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
        reachable = [key for key in deleted if "/" not in key]
        if work.plan(version, name, DELETE_KEY, reachable):
            sizes = dict.fromkeys(reachable, 0)
            _carry_out(DELETE_KEY, _commands(version, name, sizes), work, carry_out)
        if work.plan(version, name, WRITE_KEY, written):
            sizes = value_sizes(pair.source, written)
            _carry_out(WRITE_KEY, _commands(version, name, sizes), work, carry_out)

    def own(self, found: Found, pair: ServerPair, work: Work, try_out: CarryOut) -> npt.NDArray[np.bool_]:
        keys: list[str] = found.keys.tolist()
        times = dict.fromkeys(keys, (SINCE_NOW,))
        sizes = value_sizes(pair.source, keys)
        commands = _commands(pair.source.version, pair.source.name, sizes)
        steps = [Step(replace(command, times=times)) for command in commands]
        return refused_among(found, steps, [command.keys for command in commands], try_out)


def _commands(version: str, instance: str, sizes: Mapping[str, int]) -> list[CopyKeys]:
    keys, values = tuple(sizes), tuple(sizes.values())
    return [
        CopyKeys(version=version, instance=instance, keys=keys[some], largest=max(values[some]))
        for some in fitting(values)
    ]


def _carry_out(kind: ChangeKind, commands: Sequence[CopyKeys], work: Work, carry_out: CarryOut) -> None:
    steps = [Step(command) for command in commands]
    items = [command.keys for command in commands]
    carry_out_or_leave(steps, items, kind, work, carry_out, item_is_part=True)
