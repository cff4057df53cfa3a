"""Neuronjson instances: records and schemas written and deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.contract import DataRepair
from dvidsync_dagster.datatypes.neuronjson.commands import CopyNeurons
from dvidsync_dagster.datatypes.neuronjson.comparison import NEURON_SCHEMAS, NEURONS
from dvidsync_dagster.datatypes.repairing import SINCE_NOW, carry_out_or_leave, refused_among
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.items import Found, ServerPair, find
from dvidsync_dagster.differences.work import ChangeKind, Work

NEURONS_PER_COMMAND = 500

WRITE_SCHEMA = ChangeKind("write schema")
DELETE_SCHEMA = ChangeKind("delete schema")
DELETE_NEURON = ChangeKind("delete neuron")
WRITE_NEURON = ChangeKind("write neuron")


class NeuronjsonRepair(DataRepair):
    """Replaces the records that differ by the source's, with users and times; deletes the others."""

    def version(self, pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
        """Schemas first, then records."""
        version, name = pair.source.version, pair.source.name
        schemas, _ = find(NEURON_SCHEMAS, pair)
        if schemas is not None:
            for kind, mask in ((WRITE_SCHEMA, schemas.at_source), (DELETE_SCHEMA, ~schemas.at_source)):
                names: list[str] = schemas.keys[mask].tolist()
                if work.plan(version, name, kind, names):
                    copied = CopyNeurons(version=version, instance=name, bodies=(), schemas=tuple(names))
                    carry_out_or_leave([Step(copied)], [names], kind, work, carry_out)
        neurons, _ = find(NEURONS, pair)
        if neurons is not None:
            for kind, mask in ((DELETE_NEURON, ~neurons.at_source), (WRITE_NEURON, neurons.at_source)):
                bodies: list[int] = neurons.keys[mask].tolist()
                if work.plan(version, name, kind, bodies):
                    batches = [tuple(some) for some in _batches(bodies)]
                    steps = [
                        Step(CopyNeurons(version=version, instance=name, bodies=some)) for some in batches
                    ]
                    carry_out_or_leave(steps, batches, kind, work, carry_out, item_is_part=True)

    def own(self, found: Found, pair: ServerPair, work: Work, try_out: CarryOut) -> npt.NDArray[np.bool_]:
        version, name = pair.source.version, pair.source.name
        batches = [tuple(some) for some in _batches(found.keys.tolist())]
        commands = [
            CopyNeurons(
                version=version,
                instance=name,
                bodies=some if found.kind is NEURONS else (),
                schemas=some if found.kind is NEURON_SCHEMAS else (),
                times=dict.fromkeys(some, (SINCE_NOW,)),
            )
            for some in batches
        ]
        return refused_among(found, [Step(command) for command in commands], batches, try_out)


def _batches(bodies: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(bodies), NEURONS_PER_COMMAND):
        yield bodies[start : start + NEURONS_PER_COMMAND]
