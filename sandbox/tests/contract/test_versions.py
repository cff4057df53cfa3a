"""Versions and the server itself, beside a real DVID."""

from __future__ import annotations

import orjson
import pytest

from contract.side_by_side import Both, look

pytestmark = pytest.mark.dvid
SEG = "/api/node/<ROOT>/segmentation"


def test_versions(both: Both) -> None:
    both("POST", f"{SEG}/merge", [1, 2, 3])
    both("POST", "/api/node/<ROOT>/kv/key/a", b"root")
    both("POST", "/api/node/<ROOT>/commit", {"note": "first", "log": ["l"]})
    both("POST", "/api/node/<ROOT>/commit", {})
    both("POST", "/api/node/<ROOT>/note", {"note": "late"})
    both("POST", "/api/node/<ROOT>/note", {"note": "late"}, admin=True)
    both("POST", "/api/node/<ROOT>/kv/key/b", b"locked")
    both("POST", "/api/node/<ROOT>/kv/key/b", b"by admin", admin=True)
    both("POST", f"{SEG}/merge", [4, 5], admin=True)
    both("POST", "/api/node/<ROOT>/newversion", {"note": "v2"}, names_child="<V2>")
    both("POST", "/api/node/<ROOT>/branch", {"branch": "side"}, names_child="<SIDE>")
    again = {"branch": "side", "uuid": "0123456789abcdef0123456789abcdef"}
    both("POST", "/api/node/<ROOT>/branch", again)
    both("POST", "/api/node/<ROOT>/newversion", {"uuid": again["uuid"]})
    both("POST", "/api/node/<V2>/newversion", {"uuid": again["uuid"]})
    both("POST", "/api/node/<ROOT>/branch", {"branch": "master"})
    both("POST", "/api/node/<ROOT>/branch", {"branch": ""})
    both("POST", "/api/node/<ROOT>/branch", {"branch": "x", "uuid": "short"})
    both("POST", "/api/node/<ROOT>/newversion", b"no json", only_status=True)
    both("POST", "/api/repo/<ROOT>/instance", {"typename": "keyvalue", "dataname": "late"})
    both("POST", "/api/repo/<V2>/instance", {"typename": "keyvalue", "dataname": "kv"})
    both("POST", "/api/repo/<V2>/instance", {"typename": "unknown", "dataname": "u"})
    both("POST", "/api/repo/<V2>/instance", {"dataname": "u"})
    both("POST", "/api/node/<V2>/segmentation/cleave/1", [2])
    both("POST", "/api/node/<SIDE>/segmentation/cleave/1", [2])
    both("DELETE", "/api/node/<V2>/kv/key/a")
    for version in ("<ROOT>", "<V2>", "<SIDE>"):
        look(both, [1, 2, 3, 4, 5, 513, 514, 515], version)
        both("GET", f"/api/node/{version}/kv/keys")
        both("GET", f"/api/node/{version}/status")
        both("GET", f"/api/node/{version}/note")
        both("GET", f"/api/node/{version}/log")
    for branch in ("master", "side", "nope"):
        both("GET", f"/api/repo/<ROOT>/branch-versions/{branch}")
    both("GET", "/api/node/<ROOT>:master/segmentation/maxlabel")
    both("GET", "/api/node/<ROOT>:side/segmentation/maxlabel")
    both("GET", "/api/node/<ROOT>:nope/segmentation/maxlabel")
    both("GET", "/api/repo/<ROOT>/log")
    both("GET", "/api/unknown")
    both("POST", "/api/repos", {"alias": "x"})
    both("GET", "/api/server/config")


def test_load_and_heartbeat(both: Both) -> None:
    both("GET", "/api/load", shown_as=lambda content: sorted(orjson.loads(content)))
    both("GET", "/api/heartbeat")
