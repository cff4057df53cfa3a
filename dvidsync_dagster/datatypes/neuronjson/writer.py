"""Records copied from source to destination."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson

from dvidsync_dagster.datatypes.copied import is_committed
from dvidsync_dagster.datatypes.neuronjson.commands import CopyNeurons
from dvidsync_dagster.datatypes.own_values import OwnValues, hash_of, own_value
from dvidsync_dagster.dvid.exact_json import canonical, fields_of
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of


def hash_of_record(record: bytes | None) -> int:
    """Of all fields, in whatever order; 0 for none."""
    if record is None:
        return 0
    try:
        return hash_of(canonical(fields_of(record.decode())))
    except ValueError:
        # No JSON object. It is compared as it is.
        return hash_of(record)


@dataclass(frozen=True, slots=True)
class NeuronjsonWriter:
    """Copies records of one instance from source to destination."""

    source: Neuronjson
    destination: Neuronjson
    own_values: OwnValues | None = None

    def carry_out(self, command: CopyNeurons, *, forced: bool = False) -> Outcome:
        """Copy the records and schemas of a command.

        Args:
            forced: the destination's own records too.
        """
        refusals = []
        for part, kind in enumerate(command.schemas, len(command.bodies)):
            try:
                self._copy_schema(command.version, kind)
            except RequestRefused as refusal:
                refusals.append(Refusal(part, str(refusal), refusal.reason))
        if command.bodies:
            parts = {body: part for part, body in enumerate(command.bodies)}
            refusals += self._copy(command.version, parts, forced=forced)
        return Outcome(refusals=tuple(refusals))

    def _copy_schema(self, version: str, kind: str) -> None:
        schema = self.source.schema(version, kind)
        if schema is not None:
            self.destination.write_schema(version, kind, schema)
        elif self.destination.schema(version, kind) is not None:
            self.destination.delete_schema(version, kind)

    def _copy(self, version: str, parts: Mapping[int, int], *, forced: bool) -> list[Refusal]:
        """Copy records; `parts` gives for each body its part of the command."""
        try:
            found = self.source.records(version, list(parts))
        except RequestRefused as refusal:
            return [Refusal(part, f"source: {refusal}") for part in parts.values()]
        own = self._own(version, {body: hash_of_record(found.get(body)) for body in parts}, forced=forced)
        refusals = [own_value(parts[body], f"neuron {body}") for body in own]
        wanted = [(body, found[body]) for body in parts if body in found and body not in own]
        refusals += self._write(version, wanted, parts)
        for body, part in parts.items():
            if body not in found and body not in own:
                try:
                    self.destination.delete(version, body)
                except RequestRefused as refusal:
                    if not (is_committed(refusal) and not self.destination.records(version, [body])):
                        refusals.append(refusal_of(part, refusal))
        return refusals

    def _own(self, version: str, coming: Mapping[int, int], *, forced: bool) -> set[int]:
        """The bodies whose records must stay as the destination has them. The others are noted."""
        if self.own_values is None:
            return set()
        return self.own_values.among(
            version,
            self._hashes(version, coming),
            coming,
            name=lambda body: str(body).encode(),
            read_in=self._hashes,
            forced=forced,
        )

    def _hashes(self, version: str, bodies: Collection[int]) -> Mapping[int, int]:
        there = self.destination.records(version, list(bodies), sure=False)
        return {body: hash_of_record(there.get(body)) for body in bodies}

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
