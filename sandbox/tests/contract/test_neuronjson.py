"""Neurons, beside a real DVID."""

from __future__ import annotations

import pytest

from contract.side_by_side import Both
from dvid_sandbox import wire

pytestmark = pytest.mark.dvid
NODE = "/api/node/<ROOT>"
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["bodyid"],
    "properties": {
        "bodyid": {"type": "integer"},
        "group": {"type": ["integer", "null"]},
        "status": {"type": "string"},
        "position": {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    },
}


def test_neurons(both: Both) -> None:
    nj = "/api/node/<ROOT>/neurons"
    both("GET", f"{nj}/keys")
    both("GET", f"{nj}/all")
    post = f"{nj}/key/5?u=ann"
    both("POST", post, {"bodyid": 5, "a": 1.0, "b": [1, 2], "c": {"z": 1, "y": "<&>"}, "d": "é"})
    both("POST", post, {"bodyid": 5, "a": 1, "b": [1, 3], "e": None, "f": -2, "g": 2.5, "h": True})
    both("GET", f"{nj}/key/5?show=all")
    both("POST", f"{nj}/key/5?u=bob&replace=true", {"bodyid": 5, "a": 1, "d": "new", "f": None})
    both("GET", f"{nj}/key/5?show=all")
    both("POST", f"{nj}/key/5?u=bob", {"bodyid": 5, "k": 1, "k_user": "eve", "k_time": "long ago"})
    both("POST", f"{nj}/key/5?u=bob&conditionals=k", {"bodyid": 5, "k": 2, "l": 3})
    both("GET", f"{nj}/key/5?show=all")
    both("GET", f"{nj}/key/5?show=user")
    both("GET", f"{nj}/key/5?show=time&fields=a,k")
    both("POST", f"{nj}/key/6?u=ann", {"bodyid": 6, "a": 1, "user": "x", "b_user": "y", "c_time": "z"})
    both("GET", f"{nj}/key/6?show=all")
    both("POST", f"{nj}/key/6?u=bob", {"bodyid": 6, "a": 1, "a_user": None, "a_time": None, "b_time": None})
    both("GET", f"{nj}/key/6?show=all")
    both("POST", f"{nj}/key/6?u=bob&replace=true", {"bodyid": 6, "a": 1, "user": "x", "b_user": "y"})
    both("GET", f"{nj}/key/6?show=all")
    both("DELETE", f"{nj}/key/6?u=ann")
    both("GET", f"{nj}/key/5?fields=a,nope")
    both("POST", f"{nj}/key/20?u=ann", {"bodyid": 20})
    both("POST", f"{nj}/key/100?u=ann&replace=true", {"bodyid": 100, "s": "x", "s_user": "eve"})
    both("POST", f"{nj}/key/7?u=ann", {"bodyid": 8})
    both("POST", f"{nj}/key/7?u=ann", {"a": 8})
    both("POST", f"{nj}/key/7?u=ann", {"bodyid": "7"})
    both("POST", f"{nj}/key/0?u=ann", {"bodyid": 0})
    both("POST", f"{nj}/key/seven?u=ann", {"bodyid": 7})
    both("POST", f"{nj}/key/7?u=ann", {"bodyid": 7, "bodyid_user": "x"})
    batch = wire.KeyValues(kvs=[{"key": "30", "value": b'{"bodyid": 30, "a": "b", "a_time": "t"}'}])
    both("POST", f"{nj}/keyvalues?u=ann&replace=true", batch.SerializeToString())
    for query in ("keys", "keyrange/0/a", "keyrange/5/25", "keyrangevalues/0/a?json=true&show=all"):
        both("GET", f"{nj}/{query}")
    both("GET", f"{nj}/keyvalues?json=true&show=all", ["5", "9", "30"])
    both("GET", f"{nj}/keyvalues?json=true", [5, 9, 30])
    both("GET", f"{nj}/keyvalues?json=true", ["5", "x"])
    both("GET", f"{nj}/keyvalues", wire.Keys(keys=["5", "9"]).SerializeToString())
    both("GET", f"{nj}/key/x")
    both("HEAD", f"{nj}/key/9")
    both("HEAD", f"{nj}/key/5")
    both("DELETE", f"{nj}/key/9?u=ann")
    both("DELETE", f"{nj}/key/100?u=ann")
    both("GET", f"{nj}/all?show=all&fields=bodyid")
    both("POST", "/api/node/<ROOT>/commit", {"note": ""})
    both("POST", "/api/node/<ROOT>/newversion", {}, names_child="<V2>")
    both("GET", f"{nj}/keys")
    both("POST", "/api/node/<V2>/neurons/key/5?u=ann", {"bodyid": 5, "a": 9})
    both("GET", f"{nj}/key/5?show=all")
    both("GET", "/api/node/<V2>/neurons/key/5?show=all")


def test_schema_of_neurons(both: Both) -> None:
    nj = f"{NODE}/neurons"
    both("GET", f"{nj}/json_schema")
    both("GET", f"{nj}/key/schema")
    both("POST", f"{nj}/json_schema", SCHEMA)
    both("POST", f"{nj}/schema", {"a": 1})
    both("GET", f"{nj}/key/schema")
    both("GET", f"{nj}/schema")
    both("HEAD", f"{nj}/json_schema")
    for neuron in (
        {"bodyid": 5, "group": 7, "status": "x"},
        {"bodyid": 5, "group": "8"},
        {"bodyid": "5", "group": "9"},
        {"bodyid": 5, "group": "eight"},
        {"bodyid": 5, "status": 1},
        {"bodyid": 5, "group": "8", "status": 1},
        {"bodyid": 5, "position": [1, 2]},
        {"bodyid": 5, "position": [1, 2, 3.5]},
        {"bodyid": 5, "position": [1, 2, 3], "other": [1]},
        {"group": 1},
    ):
        both("POST", f"{nj}/key/5?u=ann", neuron, only_status=True)
        both("GET", f"{nj}/key/5?show=all")
    both("POST", f"{nj}/json_schema", b"no schema", only_status=True)
    both("POST", f"{nj}/key/6?u=ann", {"bodyid": 6, "status": 1})
    both("DELETE", f"{nj}/json_schema")
    both("POST", f"{nj}/key/5?u=ann", {"bodyid": 5, "status": 1})


def test_lists_keep_some_deleted_neurons(both: Both) -> None:
    nj = f"{NODE}/neurons"
    for body in range(1, 40):
        both("POST", f"{nj}/key/{body}?u=ann", {"bodyid": body, "a": 1})
    for body in (1, 7, 13, 20, 25, 38, 39, 20, 1, 13):
        both("DELETE", f"{nj}/key/{body}?u=ann")
        for query in ("keys", "keyrange/5/25", "keyrangevalues/5/25?json=true", "all?fields=bodyid"):
            both("GET", f"{nj}/{query}")
        both("GET", f"{nj}/key/{body}")
    both("POST", f"{nj}/key/1?u=ann", {"bodyid": 1, "a": 2})
    both("DELETE", f"{nj}/key/1?u=ann")
    both("GET", f"{nj}/keys")
    both("POST", f"{NODE}/commit", {"note": "done"})
    both("GET", f"{nj}/keys")


def test_stamps_of_neurons(both: Both) -> None:
    nj = f"{NODE}/neurons"
    both("POST", f"{nj}/key/5?u=ann", {"bodyid": 5, "a": 1, "b": 2, "c": 3, "d": 4})
    both("POST", f"{nj}/key/5?u=bob", {"bodyid": 5, "a": None, "a_user": None, "b": None, "b_time": None})
    both("GET", f"{nj}/key/5?show=all")
    both("POST", f"{nj}/key/5?u=bob", {"bodyid": 5, "c": None, "c_user": "", "d": None, "d_user": "eve"})
    both("GET", f"{nj}/key/5?show=all")
    both("POST", f"{nj}/key/5?u=bob&conditional=e", {"bodyid": 5, "e": 1})
    both("POST", f"{nj}/key/5?u=bob&conditional=e,a", {"bodyid": 5, "e": 2, "a": 1})
    both("GET", f"{nj}/key/5?show=all")
    both("POST", f"{nj}/key/5?u=bob&conditional=a&conditionals=e", {"bodyid": 5, "e": 3, "a": 2})
    both("GET", f"{nj}/key/5?show=all")
    batch = wire.KeyValues(kvs=[{"key": "5", "value": b'{"bodyid": 5, "a": 9, "z": 1}'}])
    both("POST", f"{nj}/keyvalues?u=ann&conditional=a", batch.SerializeToString())
    both("GET", f"{nj}/key/5?show=all")
    both("GET", f"{nj}/fieldtimes")
    both("GET", f"{nj}/all?show=all", told=("content-encoding",))
    both("GET", f"{nj}/all", headers={"accept-encoding": "identity"}, told=("content-encoding",))


def test_queries_of_neurons(both: Both) -> None:
    nj = f"{NODE}/neurons"
    for body, fields in (
        (5, {"a": "moon", "n": 1, "l": [1, 2]}),
        (9, {"a": "man in the moon", "n": 2.5, "t": ["x", "y"]}),
        (20, {"a": "", "n": -3, "m": [1, "x"], "f": 2.0, "o": {"a": 1}, "b": True}),
    ):
        both("POST", f"{nj}/key/{body}?u=ann", {"bodyid": body, **fields})
    queries: list[object] = [
        {"a": "moon"},
        {"a": "re/moon"},
        {"a": "re/^m.*n$"},
        {"a": ["re/^man", "moon"]},
        {"a": ["nope", ""]},
        {"n": 1},
        {"n": 1.0},
        {"n": 2.5},
        {"n": [2.5, 7.5]},
        {"n": [1, -3]},
        {"n": None},
        {"n": "1"},
        {"l": 2},
        {"l": [2, 9]},
        {"t": "y"},
        {"t": "re/^x"},
        {"m": "x"},
        {"m": 1},
        {"f": 2},
        {"o": {"a": 1}},
        {"b": True},
        {"a": "exists/1"},
        {"t": "exists/0"},
        {"t": "exists/1", "n": 2.5},
        {"bodyid": 9},
        {"bodyid": [20, 9, 7, 20]},
        [{"bodyid": 20}, {"bodyid": [5]}],
        [{"bodyid": 20}, {"a": "moon"}],
        [{}],
        [{}, {"a": "x"}],
        {},
        [],
        [1],
        7,
    ]
    for query in queries:
        both("POST", f"{nj}/query?show=user", query)
        both("GET", f"{nj}/query?onlyid=true", query)
        both("POST", f"{nj}/query?fields=a,n", query)
    both("POST", f"{nj}/query", b"")
    both("POST", f"{NODE}/commit", {"note": ""})
    both("POST", f"{NODE}/newversion", {}, names_child="<V2>")
    both("POST", f"{nj}/query?fields=n", {"a": "re/o"})
    both("POST", "/api/node/<V2>/neurons/query?fields=n", {"a": "re/o"})
