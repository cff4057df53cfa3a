"""Neurons whose JSON Python's own reader changes, or does not take, keep their values in a snapshot."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from dvidsync_dagster.datatypes.neuronjson.comparison import NEURONS as NEURONS_KIND
from dvidsync_dagster.datatypes.neuronjson.events import PostNeuron
from dvidsync_dagster.datatypes.neuronjson.fields import JSON_TEXT
from dvidsync_dagster.datatypes.neuronjson.snapshot import NeuronjsonSnapshot
from dvidsync_dagster.datatypes.neuronjson.snapshot_items import neuron_pages
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.dvid.transport import BINARY
from dvidsync_dagster.errors import ServerFailed
from dvidsync_dagster.events.origin import Origin
from tests.datatypes.memory_tables import filled
from tests.datatypes.source_log import NEURONS
from tests.datatypes.test_snapshot_neuronjson import by_name, column
from tests.hostile.proxy import Answer, Proxy, proxy

ODD = {
    "large": "1e999",
    "small": "1e-999",
    "digits": "0.1234567890123456789",
    "whole": "9007199254740993.0",
    "huge": "1" * 5000,
    "beyond": str(2**64),
    "deep": "[" * 2000 + "]" * 2000,
    "within": '{"a":[1e999]}',
}
"""Values that Python's own reader changes, or does not take."""


@pytest.fixture
def odd_server() -> Iterator[Proxy]:
    with proxy("http://127.0.0.1:9") as server:
        yield server


def serve(server: Proxy, text: str) -> NeuronjsonSnapshot:
    """From now on it has one neuron, of body 1, with this text."""
    listed = Answer(200, f"[{text}]".encode())
    some = Answer(200, protobuf.key_values([("1", text.encode())]), headers={"Content-Type": BINARY})
    server.rule = lambda _, path: listed if "/all" in path else some
    return NeuronjsonSnapshot(DvidClient(server.url), Instance(NEURONS, "neuronjson", "uuid"))


def posted() -> PostNeuron:
    return PostNeuron(origin=Origin(1, "topic", 0, 0), instance=NEURONS, version="v1", key="1")


@pytest.mark.parametrize("by_log", [False, True])
def test_values_stay_as_they_are(odd_server: Proxy, by_log: bool) -> None:
    fields = ",".join(f'"{name}":{text}' for name, text in ODD.items())
    text = f'{{"bodyid":1,"plain":7,"half":"\\ud800","twice":1,"twice":2,{fields}}}'
    side = serve(odd_server, text)
    if by_log:
        tables = filled(serve(odd_server, '{"bodyid":1,"large":5,"gone":1}'), "v1")
        tables.follow(serve(odd_server, text), [posted()], "v1")
    else:
        tables = filled(side, "v1")
    (row,) = tables.rows(NEURONS).values()
    assert row["json"] == text
    for name, value in ODD.items():
        assert (column(tables, name)[0], row[name]) == (pa.string(), value)
        assert by_name(tables)[name].text.startswith(JSON_TEXT)
    assert (row["plain"], row["half"], row["twice"]) == (7, "\ufffd", 2)
    assert tables.rows(NEURONS) == filled(side, "v1").rows(NEURONS)
    assert by_name(tables) == by_name(filled(side, "v1"))
    # A comparison takes both for the same.
    (page,) = neuron_pages(tables, tables.tables[NEURONS])
    (source,) = NEURONS_KIND.pages(DvidSide(side.source, "v1", NEURONS), None)
    assert page.values.tolist() == source.values.tolist()


def test_ends_of_lines_between_tokens_are_blanks(odd_server: Proxy) -> None:
    side = serve(odd_server, '{\r\n "bodyid": 1,\n "a": "x\u2028y"\n}')
    (row,) = filled(side, "v1").rows(NEURONS).values()
    assert (row["json"], row["a"]) == ('{   "bodyid": 1,  "a": "x\u2028y" }', "x\u2028y")


@pytest.mark.parametrize("text", ['{"bodyid":1,"a":NaN}', '{"bodyid":1,"a":Infinity}', '{"bodyid":1', "[1]"])
def test_what_is_no_json_object_is_refused(odd_server: Proxy, text: str) -> None:
    tables = filled(serve(odd_server, '{"bodyid":1,"a":5}'), "v1")
    side = serve(odd_server, text)
    for read in (lambda: filled(side, "v1"), lambda: tables.follow(side, [posted()], "v1")):
        with pytest.raises(ServerFailed):
            read()


def test_names_of_fields_that_are_half_a_pair(odd_server: Proxy) -> None:
    text = '{"bodyid":1,"\\ud800":1,"\\udc00":"a"}'
    tables = filled(serve(odd_server, text), "v1")
    assert len(by_name(tables)) == 4
    tables.follow(serve(odd_server, text), [posted()], "v1")
    assert by_name(tables) == by_name(filled(serve(odd_server, text), "v1"))
