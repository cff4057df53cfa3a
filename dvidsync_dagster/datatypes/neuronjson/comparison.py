"""Neuronjson instances: all fields of each neuron with users and times, and the schemas."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.datatypes.neuronjson.events import PostNeuron
from dvidsync_dagster.datatypes.neuronjson.reading import read_neurons
from dvidsync_dagster.differences.digest import Page, Wanted, named, numbered
from dvidsync_dagster.differences.hashes import hashed
from dvidsync_dagster.differences.items import Found, Pair, ServerPair, find, gathered
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.dvid.exact_json import canonical
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Event

_PER_PAGE = 5_000
SCHEMAS = ("json_schema", "schema", "schema_batch")


def neuron_pages(side: DvidSide, _wanted: Wanted | None) -> Iterator[Page]:
    """Body ids with hashes of all fields."""
    neurons = read_neurons(side)
    while batch := list(islice(neurons, _PER_PAGE)):
        ids = np.array([neuron.body for neuron in batch], np.uint64)
        yield numbered(ids, np.array([hashed(canonical(neuron.fields)) for neuron in batch], np.uint64))


def schema_pages(side: DvidSide, _wanted: Wanted | None) -> Iterator[Page]:
    """The schemas that there are, with hashes."""
    contents = {name: read_schema(side, name) for name in SCHEMAS}
    there = {name: content for name, content in contents.items() if content is not None}
    yield named(
        list(there), (name.encode() for name in there), [hashed(content) for content in there.values()]
    )


def read_schema(side: DvidSide, name: str) -> bytes | None:
    """One of the `SCHEMAS`, if it is there."""
    return side.client.read_or_none(node_path(side.version, side.name, name))


NEURONS = Kind("neurons", "neurons with other fields", neuron_pages)
NEURON_SCHEMAS = Kind("schemas", "schemas that differ", schema_pages)


class NeuronjsonComparison(DataComparison):
    """Records and schemas."""

    def items(self, pair: Pair, *, lower_scales: bool) -> tuple[list[Found], int]:
        """Schemas only servers have."""
        schemas = [find(NEURON_SCHEMAS, pair)] if isinstance(pair, ServerPair) else []
        return gathered([find(NEURONS, pair), *schemas])

    def touch(self, event: Event, touched: Touched, source: Transport) -> None:
        if isinstance(event, PostNeuron):
            # A key that is no body is that of a schema.
            touched.add_items(
                event.instance, event.version, [event.key if event.body is None else event.body]
            )
        else:
            touched.whole.add((event.instance, event.version))
