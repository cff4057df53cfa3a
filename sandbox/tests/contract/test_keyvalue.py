"""Keys, values and settings of instances, beside a real DVID."""

from __future__ import annotations

import pytest

from contract.side_by_side import Both
from dvid_sandbox import wire

pytestmark = pytest.mark.dvid
NODE = "/api/node/<ROOT>"


def test_keys(both: Both) -> None:
    kv = "/api/node/<ROOT>/kv"
    for key, value in (("b", b"1"), ("a%20b", b"{}"), ("x%2Fy", b"slash"), ("%C3%BC", b""), ("a%3Fb", b"q")):
        both("POST", f"{kv}/key/{key}?u=ann", value)
    both("POST", f"{kv}/key/", b"no key")
    both("POST", f"{kv}/keyvalues", wire.KeyValues(kvs=[{"key": "p", "value": b"7"}]).SerializeToString())
    for query in (
        "keys",
        "keyrange/a/c",
        "keyrange/a",
        "keyrangevalues/a/z?json=true",
        "key/x",
        "key/%C3%BC",
    ):
        both("GET", f"{kv}/{query}")
    both("GET", f"{kv}/keyrangevalues/a/z")
    both("GET", f"{kv}/keyvalues?json=true", ["p", "nope", "b"])
    both("GET", f"{kv}/keyvalues?jsontar=true", ["p", "nope", "b", "ü" * 80])
    both("GET", f"{kv}/keyvalues", wire.Keys(keys=["p", "nope"]).SerializeToString())
    both("GET", f"{kv}/keyvalues?json=true", b"[1]")
    both("DELETE", f"{kv}/key/p")
    both("HEAD", f"{kv}/key/p")
    both("PUT", f"{kv}/key/p", b"")
    both("GET", f"{kv}/unknown")
    both("GET", f"{kv}/mutations")
    both("GET", f"{kv}/info")
    both("POST", f"{kv}/blobstore", b"some bytes")
    both("GET", f"{kv}/blobstore/nope")


def test_parts_of_values(both: Both) -> None:
    key = f"{NODE}/kv/key/k"
    told = ("accept-ranges", "content-range", "content-length")
    both("POST", key, b"0123456789")
    both("HEAD", key, told=("accept-ranges",))
    for query in (
        "byte_start=2&byte_end=5",
        "byte_start=0&byte_end=9",
        "byte_start=0&byte_end=10",
        "byte_start=5&byte_end=2",
        "byte_start=10&byte_end=12",
        "byte_start=2",
        "byte_end=2",
        "byte_start=-1&byte_end=2",
        "byte_start=&byte_end=2",
    ):
        both("GET", f"{key}?{query}", told=told)
    for header in (
        "bytes=2-5",
        "bytes=2-",
        "bytes=-3",
        "bytes=-30",
        "bytes=-0",
        "bytes=9-100",
        "bytes=10-11",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=1-2,4-5",
        "bytes=",
        "bytes=-",
        "lines=1-2",
        "bytes= 1 - 3",
    ):
        both("GET", key, headers={"range": header}, told=told)
    both("GET", f"{key}?byte_start=2&byte_end=5", headers={"range": "bytes=1-2"})
    asked = [{"key": "k", "byte_start": 1, "byte_end": 3}, {"key": "no", "byte_start": 0, "byte_end": 3}]
    for form in ("json", "tar"):
        both("GET", f"{NODE}/kv/keyvalues?{form}=true", asked)
        both("GET", f"{NODE}/kv/keyvalues?{form}=true", [*asked, {"key": "k"}])
        both("GET", f"{NODE}/kv/keyvalues?{form}=true", [{"key": "k", "byte_start": 1}])
    keys = wire.Keys(keys=["k"], key_ranges=[{"key": "k", "byte_start": 1, "byte_end": 3}, {"key": "no"}])
    both("GET", f"{NODE}/kv/keyvalues", keys.SerializeToString())
    both(
        "GET",
        f"{NODE}/kv/keyvalues",
        wire.Keys(key_ranges=[{"key": "k", "byte_end": 10}]).SerializeToString(),
    )


def test_tags_and_settings_of_instances(both: Both) -> None:
    for name in ("kv", "segmentation"):
        both("GET", f"{NODE}/{name}/tags")
        both("POST", f"{NODE}/{name}/tags", {})
        both("GET", f"{NODE}/{name}/tags")
        both("POST", f"{NODE}/{name}/tags", {"b": "1", "a": "2"})
        both("POST", f"{NODE}/{name}/tags", {"a": 2}, only_status=True)
        both("GET", f"{NODE}/{name}/tags")
        both("POST", f"{NODE}/{name}/tags?replace=true", {"c": "3"})
        both("GET", f"{NODE}/{name}/tags")
    for name, settings in (
        ("new1", {"Tags": "a=1,b=2,c", "Compression": "snappy"}),
        ("new2", {"Compression": "none", "Checksum": "none"}),
        ("new3", {"Compression": "lz4", "Versioned": "0"}),
        ("new4", {"Compression": "strange"}),
    ):
        config = {"typename": "keyvalue", "dataname": name, **settings}
        if name != "new4":
            both("POST", "/api/repo/<ROOT>/instance", config)
            for side in both.sides:
                info = side.send("GET", f"{NODE}/{name}/info", b"", admin=False).json()
                side.names[info["Base"]["DataUUID"]] = f"<DATA {name}>"
            both("GET", f"{NODE}/{name}/info")
