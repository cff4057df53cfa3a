"""What a neuronjson instance of a server holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.exact_json import fields_of
from dvidsync_dagster.dvid.json_stream import list_texts
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.errors import ServerFailed


class ReadNeuron(NamedTuple):
    """A body, its record as the server writes it, and all fields of that, with users and times."""

    body: int
    text: str
    fields: Mapping[str, Any]


def read_neurons(side: DvidSide) -> Iterator[ReadNeuron]:
    """All neurons that have a field."""
    path = node_path(side.version, side.name, "all")
    with side.client.stream(path, query={"show": "all"}) as pieces:
        for text in list_texts(pieces, f"GET {path}"):
            yield _neuron(path, text)


def _neuron(path: str, text: str) -> ReadNeuron:
    try:
        fields = fields_of(text)
        body = fields.get("bodyid")
        if type(body) is not int or not 0 <= body < 2**64:
            raise ValueError("no bodyid")
    except ValueError:
        raise ServerFailed(f"GET {path}", f"lists {text[:200]}, which has no bodyid") from None
    return ReadNeuron(body, text, fields)
