"""Records copied from source to destination."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import InitVar, dataclass, field

import orjson

from dvidsync_dagster.datatypes.copied import is_committed
from dvidsync_dagster.datatypes.neuronjson.commands import CopyNeurons
from dvidsync_dagster.datatypes.neuronjson.own_neurons import NeuronKey, OwnNeurons, same, why_left_alone
from dvidsync_dagster.datatypes.own_values import OwnValues
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of


@dataclass(slots=True)
class NeuronjsonWriter:
    """Copies records of one instance from source to destination, as far as people there did not change them.

    Args:
        own_values: tells what they changed.
    """

    source: Neuronjson
    destination: Neuronjson
    own_values: InitVar[OwnValues]
    _own: OwnNeurons = field(init=False)

    def __post_init__(self, own_values: OwnValues) -> None:
        self._own = OwnNeurons(own_values, self.source, self.destination)

    def agreeing(self, version: str, neurons: Collection[NeuronKey]) -> set[NeuronKey]:
        """Those that are the same on both sides, or on neither."""
        return self._own.agreeing(version, neurons)

    def carry_out(self, command: CopyNeurons) -> Outcome:
        """Copy the records and schemas of a command."""
        refusals = []
        for part, kind in enumerate(command.schemas, len(command.bodies)):
            try:
                why = self._copy_schema(command, kind)
                refusals += [Refusal(part, f"{kind!r}: {why}")] if why else []
            except RequestRefused as refusal:
                refusals.append(Refusal(part, str(refusal), refusal.reason))
        if command.bodies:
            parts = {body: part for part, body in enumerate(command.bodies)}
            refusals += self._copy(command, parts)
        return Outcome(refusals=tuple(refusals))

    def _copy_schema(self, command: CopyNeurons, kind: str) -> str | None:
        """Why it is left alone, if people changed it."""
        version = command.version
        schema = self.source.schema(version, kind)
        there = self.destination.schema(version, kind) if self._own.are_told else None
        both = self._own.compared_schema(kind, schema, there, command.times) if self._own.are_told else {}
        own = self._own.own_schema(version, both, there)
        if not own:
            self._write_schema(version, kind, schema)
        self._own.written(version, both, own, ())
        return own.get(kind)

    def _write_schema(self, version: str, kind: str, schema: bytes | None) -> None:
        if schema is not None:
            self.destination.write_schema(version, kind, schema)
        elif self.destination.schema(version, kind) is not None:
            self.destination.delete_schema(version, kind)

    def _copy(self, command: CopyNeurons, parts: Mapping[int, int]) -> list[Refusal]:
        """Copy records; `parts` gives for each body its part of the command."""
        version = command.version
        server = "source"
        try:
            found = self.source.records(version, list(parts))
            server = "destination"
            there = self.destination.listed(version, list(parts)) if self._own.are_told else {}
        except RequestRefused as refusal:
            return [Refusal(part, f"{server}: {refusal}") for part in parts.values()]
        both = self._own.compared(found, there, parts, command.times) if self._own.are_told else {}
        own = self._own.own(version, both, found, there, command.times)
        left = own.keys() | {body for body in there if same(found.get(body), there[body])}
        written = [(body, found[body]) for body in parts if body in found and body not in left]
        refusals = self._write(version, written, parts)
        refusals += self._delete(version, {body: parts[body] for body in parts.keys() - found.keys() - left})
        refused = {refusal.part for refusal in refusals}
        self._own.written(version, both, own, [body for body, part in parts.items() if part in refused])
        left_alone = [(part, body, own[body]) for body, part in parts.items() if body in own]
        return [
            *refusals,
            *(Refusal(part, why_left_alone(body, why, there.get(body))) for part, body, why in left_alone),
        ]

    def _delete(self, version: str, parts: Mapping[int, int]) -> list[Refusal]:
        refusals = []
        for body, part in parts.items():
            try:
                self.destination.delete(version, body)
            except RequestRefused as refusal:
                if not (is_committed(refusal) and not self.destination.records(version, [body])):
                    refusals.append(refusal_of(part, refusal))
        return refusals

    def _write(
        self, version: str, records: Sequence[tuple[int, bytes]], parts: Mapping[int, int]
    ) -> list[Refusal]:
        if not records:
            return []
        try:
            self.destination.replace(version, records)
            return []
        except RequestRefused as refusal:
            if is_committed(refusal):
                # What a committed version has is there: by an earlier run, or since the copy was made.
                there = self.destination.records(version, [body for body, _ in records])
                return [
                    refusal_of(parts[body], refusal)
                    for body, record in records
                    if body not in there or orjson.loads(there[body]) != orjson.loads(record)
                ]
            if len(records) == 1:
                return [refusal_of(parts[records[0][0]], refusal)]
        refusals = []
        for record in records:
            refusals += self._write(version, [record], parts)
        return refusals
