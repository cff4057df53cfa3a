"""Which neurons people at a destination changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dvidsync_dagster.datatypes.neuronjson.events import SCHEMAS, body_of
from dvidsync_dagster.datatypes.neuronjson.reading import read_neurons
from dvidsync_dagster.datatypes.neuronjson.stamps import TIME, USER, made_elsewhere, stamps
from dvidsync_dagster.datatypes.own_items import OwnItems
from dvidsync_dagster.datatypes.own_values import Both, Evidence, LeftAlone, first_of
from dvidsync_dagster.differences.hashes import hashed
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.exact_json import canonical, fields_of
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.errors import ServerFailed
from dvidsync_dagster.log.digests import NOTHING

NeuronKey = int | str
"""A body, or the name of a schema."""


@dataclass(frozen=True, slots=True)
class OwnNeurons(OwnItems[NeuronKey]):
    """Who changed a field, and when, makes no other neuron: a run that was killed can have left DVID's own
    stamps."""

    source: Neuronjson
    destination: Neuronjson

    def compared(
        self,
        found: Mapping[int, bytes],
        there: Mapping[int, bytes],
        bodies: Collection[int],
        times: Mapping[NeuronKey, Sequence[int]],
    ) -> dict[NeuronKey, Both]:
        """Neurons on both sides; `times` are when the source changed each, the first one first."""
        return {
            body: Both(
                item_of(body),
                record_digest(found.get(body)),
                record_digest(there.get(body)),
                first_of(times, body),
            )
            for body in bodies
        }

    def compared_schema(
        self, kind: str, schema: bytes | None, there: bytes | None, times: Mapping[NeuronKey, Sequence[int]]
    ) -> dict[NeuronKey, Both]:
        """A schema likewise."""
        return {kind: Both(item_of(kind), schema_digest(schema), schema_digest(there), first_of(times, kind))}

    def agreeing(self, version: str, neurons: Collection[NeuronKey]) -> set[NeuronKey]:
        """Those that are the same on both sides, or on neither."""
        asked = sorted(neurons, key=str)
        here, there = (
            _digests_in(each, version, asked, proves=True) for each in (self.source, self.destination)
        )
        return {each for each in asked if here[each] == there[each]}

    def own(
        self,
        version: str,
        both: Mapping[NeuronKey, Both],
        found: Mapping[int, bytes],
        there: Mapping[int, bytes],
        times: Mapping[NeuronKey, Sequence[int]],
    ) -> LeftAlone[NeuronKey]:
        """Those that people changed, which must not be written, and why; all others that differ are going to
        be.

        Args:
            found: what the source has, `there` what the destination has.
            times: when the source changed each.
        """

        def shows_people(body: NeuronKey) -> bool:
            assert isinstance(body, int)
            since, until = self.values.copied_from, self.values.told_up_to
            if since is None:
                return False
            here = _fields(found[body]) if body in found else {}
            return made_elsewhere(_fields(there[body]), here, times.get(body, ()), since, until)

        evidence = Evidence(
            partial(_digests_in, self.source),
            lambda body: there[int(body)],
            shows_people,
            changes=lambda body: len(times.get(body, ())),
            named=lambda keys: {body_of(key) for key in keys},
        )
        return self.values.about_to_write(version, self.source.name, both, evidence)

    def own_schema(
        self, version: str, both: Mapping[NeuronKey, Both], there: bytes | None
    ) -> LeftAlone[NeuronKey]:
        """The schema, if people changed it; `there` is what the destination has."""
        evidence = Evidence(partial(_digests_in, self.source), lambda _: there or b"")
        return self.values.about_to_write(version, self.source.name, both, evidence)


def _digests_in(
    server: Neuronjson, version: str, neurons: Sequence[NeuronKey], *, proves: bool = False
) -> dict[NeuronKey, int]:
    """`proves`: that a neuron is not there is asked for alone."""
    bodies = [each for each in neurons if isinstance(each, int)]
    read = server.records if proves else server.listed
    records = read(version, bodies) if bodies else {}
    return {
        each: record_digest(records.get(each))
        if isinstance(each, int)
        else schema_digest(server.schema(version, each))
        for each in neurons
    }


def why_left_alone(body: int, why: str, record: bytes | None) -> str:
    """With who changed the neuron last, as far as its fields tell."""
    fields = _fields(record) if record else {}
    last = max(((when, who) for _, when, who in stamps(fields)), default=None)
    if last is None:
        return f"neuron {body}: {why}"
    when, who = last
    return f"neuron {body}: {why}; {who or 'somebody'} changed it last there, {when}"


def item_of(neuron: NeuronKey) -> int:
    """What tells a neuron or a schema apart."""
    return hashed(f"{neuron}".encode())


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether two records are the same, with all stamps."""
    if one is None or other is None:
        return one is other
    return one == other or canonical(_fields(one)) == canonical(_fields(other))


def record_digest(record: bytes | None) -> int:
    return _digest(_fields(record)) if record else NOTHING


def schema_digest(schema: bytes | None) -> int:
    return hashed(schema) if schema else NOTHING


def _digest(fields: Mapping[str, Any]) -> int:
    stamped = {name + end for name in fields for end in (USER, TIME)}
    return hashed(canonical({name: value for name, value in fields.items() if name not in stamped}))


def _fields(record: bytes) -> dict[str, Any]:
    try:
        return fields_of(record.decode())
    except ValueError as error:
        raise ServerFailed("GET keyvalues", f"has a neuron that is no JSON: {error}") from None


def digests(side: DvidSide, most_bytes: int) -> dict[int, int] | None:
    """Of all neurons and schemas; None if the neurons are more than `most_bytes`."""
    server = Neuronjson(side.client, side.name)
    found = {item_of(kind): schema_digest(server.schema(side.version, kind)) for kind in SCHEMAS}
    size = 0
    for neuron in read_neurons(side):
        size += len(neuron.text)
        if size > most_bytes:
            return None
        found[item_of(neuron.body)] = _digest(neuron.fields)
    return found
