"""Records copied from source to destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from dvidsync_dagster.datatypes.copied import is_committed
from dvidsync_dagster.datatypes.neuronjson.commands import CopyNeurons
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of


@dataclass(frozen=True, slots=True)
class NeuronjsonWriter:
    """Copies records of one instance from source to destination."""

    source: Neuronjson
    destination: Neuronjson

    def carry_out(self, command: CopyNeurons) -> Outcome:
        """Copy the records and schemas of a command."""
        refusals = []
        for part, kind in enumerate(command.schemas, len(command.bodies)):
            try:
                self._copy_schema(command.version, kind)
            except RequestRefused as refusal:
                refusals.append(Refusal(part, str(refusal), refusal.reason))
        if command.bodies:
            parts = {body: part for part, body in enumerate(command.bodies)}
            refusals += self._copy(command.version, parts)
        return Outcome(refusals=tuple(refusals))

    def _copy_schema(self, version: str, kind: str) -> None:
        schema = self.source.schema(version, kind)
        if schema is not None:
            self.destination.write_schema(version, kind, schema)
        elif self.destination.schema(version, kind) is not None:
            self.destination.delete_schema(version, kind)

    def _copy(self, version: str, parts: Mapping[int, int]) -> list[Refusal]:
        """Copy records; `parts` gives for each body its part of the command."""
        try:
            found = self.source.records(version, list(parts))
        except RequestRefused as refusal:
            return [Refusal(part, f"source: {refusal}") for part in parts.values()]
        refusals = self._write(version, [(body, found[body]) for body in parts if body in found], parts)
        for body, part in parts.items():
            if body not in found:
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
