"""neuronjson: a record of fields per body, each field with its last user and time.

A message is no proof: it comes before the write, which can be refused, and a delete has none. So whatever the
source has of the record is copied, and a record that it does not have is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import orjson

from dvidsync_dagster.datatypes.operation import DataEvent, DataType, Operation, is_committed
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.message import MAX_LABEL, Message
from dvidsync_dagster.plan.outcome import Outcome, Refusal, refusal_of

MAX_RECORDS = 500
"""Records in one request."""

_SCHEMAS = ("schema", "schema_batch")
_ACTIONS = ("postneuronjson", "ingestneuronjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostNeuron(DataEvent):
    """`key` is a body, or whatever else somebody tried to post."""

    typename: ClassVar[str] = "neuronjson"
    action: ClassVar[str] = "postneuronjson"

    key: str

    @property
    def body(self) -> int | None:
        """None if no record can have this key."""
        body = int(self.key) if self.key.isascii() and self.key.isdigit() and len(self.key) < 100 else 0
        return body if 0 < body <= MAX_LABEL else None


def decode(message: Message, instance: Instance) -> PostNeuron | None:
    """The event in a message; None if its action is unknown.

    Raises:
        UndecodableRecord: a known action with a field that is missing or wrong.
    """
    if message.action not in _ACTIONS:
        return None
    return PostNeuron(
        origin=message.origin, instance=instance.name, version=message.version, key=message.text("Key")
    )


def operations(events: Sequence[PostNeuron]) -> list[Operation]:
    """Batches of at most `MAX_RECORDS` keys; all events of a key are in one."""
    by_key: dict[str, list[PostNeuron]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    groups = list(by_key.values())
    batches = [groups[start : start + MAX_RECORDS] for start in range(0, len(groups), MAX_RECORDS)]
    return [
        Operation(
            typename="neuronjson",
            instance=batch[0][0].instance,
            version=batch[0][0].version,
            members=tuple(
                sorted((member for group in batch for member in group), key=lambda member: member.origin)
            ),
        )
        for batch in batches
    ]


@dataclass(frozen=True, slots=True)
class NeuronjsonWriter:
    """Copies records of one instance from source to destination."""

    source: Neuronjson
    destination: Neuronjson

    def apply(self, operation: Operation) -> Outcome:
        """Copy the records of an operation, and the schemas that came the same way."""
        version = operation.version
        last: dict[int, int] = {}
        schemas: dict[str, int] = {}
        for position, member in enumerate(operation.members):
            assert isinstance(member, PostNeuron)
            if member.body is not None:
                last[member.body] = position
            elif member.key in _SCHEMAS:
                schemas[member.key] = position
        refusals = []
        for kind, position in schemas.items():
            try:
                schema = self.source.schema(version, kind)
                if schema is not None:
                    self.destination.write_schema(version, kind, schema)
            except RequestRefused as refusal:
                refusals.append(Refusal(position, str(refusal), refusal.reason))
        if last:
            refusals += self._copy(version, last)
        return Outcome(refusals=tuple(refusals))

    def _copy(self, version: str, last: Mapping[int, int]) -> list[Refusal]:
        """Copy records; `last` gives for each body its last member, which answers for it."""
        try:
            found = self.source.records(version, list(last))
        except RequestRefused as refusal:
            return [Refusal(position, f"source: {refusal}") for position in last.values()]
        refusals = self._write(version, [(body, found[body]) for body in last if body in found], last)
        for body, position in last.items():
            if body not in found:
                try:
                    self.destination.delete(version, body)
                except RequestRefused as refusal:
                    if not (is_committed(refusal) and not self.destination.records(version, [body])):
                        refusals.append(refusal_of(position, refusal))
        return refusals

    def _write(
        self, version: str, records: Sequence[tuple[int, bytes]], last: Mapping[int, int]
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
                    refusal_of(last[body], refusal)
                    for body, record in records
                    if body not in there or orjson.loads(there[body]) != orjson.loads(record)
                ]
            if len(records) == 1:
                return [refusal_of(last[records[0][0]], refusal)]
        refusals = []
        for record in records:
            refusals += self._write(version, [record], last)
        return refusals


def _writer(
    source: Transport,
    destination: Transport,
    name: str,
    instances: Mapping[str, Instance],  # noqa: ARG001
) -> NeuronjsonWriter:
    return NeuronjsonWriter(Neuronjson(source, name), Neuronjson(destination, name))


NEURONJSON = DataType(decode, operations, _writer)
