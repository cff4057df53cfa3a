"""The sandbox beside a real DVID, on requests that the recordings do not hold."""

from __future__ import annotations

import struct
from pathlib import Path

import httpx
import numpy as np
import pytest

from dvid_sandbox import wire
from dvid_sandbox.launcher import SandboxServer
from tests.contract.replay import normalized
from tests.contract.side_by_side import Both
from tests.real_dvid import RealDvid, binary

pytestmark = [
    pytest.mark.dvid,
    pytest.mark.skipif(binary() is None, reason="DVID_BIN does not name a DVID binary"),
]
SEG = "/api/node/<ROOT>/segmentation"


def box(x: int, y: int, z: int, size: tuple[int, int, int]) -> bytes:
    """A sparse volume: a box of voxels, with the header of the split requests."""
    runs = [(x, y + row, z + plane, size[0]) for plane in range(size[2]) for row in range(size[1])]
    return struct.pack("<BBBBII", 0, 3, 0, 0, 0, len(runs)) + np.array(runs, "<i4").tobytes()


def look(both: Both, labels: range | list[int], version: str = "<ROOT>") -> None:
    """Everything that can be asked about some labels."""
    path = f"/api/node/{version}/segmentation"
    for label in labels:
        both("GET", f"{path}/supervoxels/{label}", unordered=True)
        both("GET", f"{path}/size/{label}")
        both("GET", f"{path}/size/{label}?supervoxels=true")
        both("GET", f"{path}/lastmod/{label}")
    both("GET", f"{path}/mapping", list(labels))
    both("GET", f"{path}/sizes", list(labels))
    both("GET", f"{path}/sizes?supervoxels=true", list(labels))
    both("GET", f"{path}/nextlabel")
    both("GET", f"{path}/maxlabel")
    both("GET", f"{path}/existing-labels")
    both("GET", f"{path}/listlabels?sizes=true&start=5&number=7")


def test_merges(both: Both) -> None:
    both("POST", f"{SEG}/merge?u=ann&app=a", [1, 2, 3, 3])
    both("POST", f"{SEG}/merge", [1, 2])
    both("POST", f"{SEG}/merge", [7777, 4])
    both("POST", f"{SEG}/merge", [4, 4])
    both("POST", f"{SEG}/merge", [5])
    both("POST", f"{SEG}/merge", [5, 0])
    both("POST", f"{SEG}/merge", [0, 5])
    both("POST", f"{SEG}/merge?u=bob", [6, 1])
    both("GET", f"{SEG}/merge")
    look(both, range(1, 9))


def test_cleaves(both: Both) -> None:
    both("POST", f"{SEG}/merge?u=ann", [1, 2, 3, 4])
    both("POST", f"{SEG}/cleave/1?u=bob&app=b", [2, 2])
    both("POST", f"{SEG}/cleave/1", [])
    both("POST", f"{SEG}/cleave/1", [1, 3, 4])
    both("POST", f"{SEG}/cleave/7777", [1])
    both("POST", f"{SEG}/cleave/1", b"")
    both("POST", f"{SEG}/cleave/0", [1])
    both("POST", f"{SEG}/cleave/x", [1])
    both("POST", f"{SEG}/cleave", [1])
    both("POST", f"{SEG}/cleave/1?u=bob", [1])
    both("POST", f"{SEG}/cleave/3", [3])
    look(both, [1, 2, 3, 4, *range(510, 525)])


def test_renumbers(both: Both) -> None:
    both("POST", f"{SEG}/merge", [1, 2])
    both("POST", f"{SEG}/renumber?u=ann&app=a", [1000, 1])
    both("POST", f"{SEG}/renumber", [1000, 3])
    both("POST", f"{SEG}/renumber", [1001, 1])
    both("POST", f"{SEG}/renumber", [1, 1000, 1002, 4])
    both("POST", f"{SEG}/renumber", [2, 5])
    both("POST", f"{SEG}/renumber", [2, 5, 6])
    both("POST", f"{SEG}/renumber", [1003, 6, 1003, 7, 1004, 8])
    both("POST", f"{SEG}/cleave/1", [2])
    look(both, [*range(1, 10), *range(999, 1008)])


def test_counters(both: Both) -> None:
    both("POST", f"{SEG}/nextlabel/3")
    both("POST", f"{SEG}/nextlabel/0")
    both("POST", f"{SEG}/nextlabel/x")
    both("POST", f"{SEG}/nextlabel")
    both("POST", f"{SEG}/maxlabel/2000")
    both("POST", f"{SEG}/maxlabel/2000", admin=True)
    both("POST", f"{SEG}/maxlabel/1999", admin=True)
    both("POST", f"{SEG}/maxlabel/0", admin=True)
    both("POST", f"{SEG}/maxlabel/{1 << 50}", admin=True)
    look(both, [])
    both("POST", f"{SEG}/set-nextlabel/5000")
    both("POST", f"{SEG}/set-nextlabel/5000?ceiling=4000", admin=True)
    both("POST", f"{SEG}/set-nextlabel/5000?ceiling=5004", admin=True)
    both("POST", f"{SEG}/nextlabel/2")
    both("POST", f"{SEG}/nextlabel/3")
    both("POST", f"{SEG}/merge", [1, 2, 3])
    both("POST", f"{SEG}/cleave/1", [2])
    both("POST", f"{SEG}/renumber", [9000, 5])
    both("POST", f"{SEG}/maxlabel/20000", admin=True)
    look(both, [1, 2])
    both("POST", f"{SEG}/cleave/1", [3])
    both("POST", f"{SEG}/nextlabel/1")
    both("POST", f"{SEG}/cleave/1", [3])
    both("POST", f"{SEG}/set-nextlabel/300?ceiling=0", admin=True)
    both("POST", f"{SEG}/nextlabel/4")
    look(both, [])


def test_supervoxel_splits(both: Both) -> None:
    both("POST", f"{SEG}/merge?u=ann", [1, 2])
    both("POST", f"{SEG}/split-supervoxel/1?u=bob&app=b", box(0, 0, 0, (8, 16, 16)))
    both("POST", f"{SEG}/split-supervoxel/1", box(0, 0, 0, (8, 16, 16)))
    both("POST", f"{SEG}/split-supervoxel/3?split=900&remain=901", box(32, 0, 0, (4, 4, 4)))
    both("POST", f"{SEG}/split-supervoxel/4", box(0, 0, 0, (4, 4, 4)))
    both("POST", f"{SEG}/split-supervoxel/5", box(64, 0, 0, (16, 16, 16)))
    both("POST", f"{SEG}/split-supervoxel/5", box(60, 0, 0, (8, 4, 4)))
    both("POST", f"{SEG}/split-supervoxel/5", box(0, 0, 0, (0, 1, 1)))
    both("POST", f"{SEG}/split-supervoxel/6", b"")
    both("POST", f"{SEG}/split-supervoxel/6", b"\x01" + bytes(20))
    both("POST", f"{SEG}/split-supervoxel/7777", box(0, 0, 0, (1, 1, 1)))
    both("POST", f"{SEG}/split-supervoxel/6?split=2&remain=x", box(80, 0, 0, (1, 1, 1)))
    both("POST", f"{SEG}/split-supervoxel/6?split=2", box(80, 0, 0, (1, 1, 1)))
    both("GET", f"{SEG}/sparsevol/6?supervoxels=true")
    both("GET", f"{SEG}/sparsevol/1?supervoxels=true")
    both("GET", f"{SEG}/sparsevol/900?supervoxels=true")
    both("GET", f"{SEG}/sparsevol/7777")
    both("HEAD", f"{SEG}/sparsevol/7777")
    both("HEAD", f"{SEG}/sparsevol/3")
    both("GET", f"{SEG}/sparsevol/3")
    both("GET", f"{SEG}/raw/0_1_2/64_64_64/0_0_0?supervoxels=true")
    both("GET", f"{SEG}/raw/0_1_2/48_20_10/40_10_3")
    both("GET", f"{SEG}/label/3_3_3")
    both("GET", f"{SEG}/label/3_3_3?supervoxels=true")
    both("GET", f"{SEG}/supervoxel-splits")
    both("POST", f"{SEG}/nextlabel/1")
    look(both, [*range(1, 9), *range(510, 530), 900, 901])


def test_splits_of_bodies(both: Both) -> None:
    both("POST", f"{SEG}/merge", [1, 2, 3])
    both("POST", f"{SEG}/split/1?u=ann", box(8, 0, 0, (16, 16, 16)))
    both("POST", f"{SEG}/split/1", box(32, 0, 0, (16, 16, 16)))
    both("POST", f"{SEG}/split/1", box(0, 0, 0, (64, 16, 16)))
    both("POST", f"{SEG}/split/7777", box(0, 0, 0, (4, 16, 16)))
    look(both, [*range(1, 6), *range(510, 535)])
    both("GET", f"{SEG}/raw/0_1_2/64_64_64/0_0_0?supervoxels=true")
    both("GET", f"{SEG}/raw/0_1_2/64_64_64/0_0_0")


def test_indices_and_mappings(both: Both) -> None:
    both("POST", f"{SEG}/merge?u=ann&app=a", [1, 2])
    messages = []
    for side in both.sides:
        answer = side.send("GET", f"{SEG}/indices", b"[1, 3, 7777]", admin=False)
        assert answer.status_code == 200
        messages.append(wire.parse(wire.LabelIndices, answer.content))
    for message in messages:
        for index in message.indices:
            index.last_mod_time = ""
    assert messages[0] == messages[1]
    index = messages[0].indices[0]
    index.label = 3000
    for supervoxel in (1, 2):
        for entry in index.blocks.values():
            entry.counts.pop(supervoxel, None)
    index.blocks[0].counts[5] = 100
    body = wire.LabelIndices(indices=[index, wire.LabelIndex(label=5)]).SerializeToString()
    both("POST", f"{SEG}/indices", body)
    both("POST", f"{SEG}/index/7", wire.LabelIndex(label=8).SerializeToString())
    both("POST", f"{SEG}/index/7", wire.LabelIndex(label=7).SerializeToString())
    both("GET", f"{SEG}/index/7")
    both("GET", f"{SEG}/index/3000?metadata-only=true")
    both("POST", f"{SEG}/indices", wire.LabelIndices(indices=[wire.LabelIndex()]).SerializeToString())
    mappings = wire.MappingOps()
    mappings.mappings.add(mutid=1, mapped=3000, original=[5, 6])
    mappings.mappings.add(mutid=1, mapped=0, original=[3000])
    both("POST", f"{SEG}/mappings", mappings.SerializeToString())
    both("GET", f"{SEG}/indices", b"{}")
    look(both, [*range(1, 9), 3000])
    both("POST", f"{SEG}/cleave/3000", [6])
    both("POST", f"{SEG}/nextlabel/1")
    look(both, [*range(1, 9), *range(2999, 3004)])


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


def test_elements(both: Both) -> None:
    an = "/api/node/<ROOT>/synapses"
    both("POST", f"{an}/sync", {"sync": "segmentation"})
    posted = [
        {"Pos": [5, 5, 5], "Kind": "PostSyn", "Prop": {"b": "2", "a": "1"}},
        {"Pos": [70, 5, 5], "Kind": "PreSyn", "Tags": ["t"], "Rels": [{"Rel": "PreSynTo", "To": [5, 5, 5]}]},
        {"Pos": [20, 5, 5], "Kind": "Note"},
    ]
    both("POST", f"{an}/elements?u=ann", posted)
    both("POST", f"{an}/elements", [{"Pos": [1, 1, 1], "Kind": "Wrong"}])
    both("POST", f"{an}/elements", [{"Pos": [20, 5, 5], "Kind": "Gap", "Tags": ["x"]}])
    both("GET", f"{an}/all-elements")
    for label in (1, 2, 5):
        both("GET", f"{an}/label/{label}")
    both("POST", f"{an}/move/5_5_5/80_90_100")
    both("GET", f"{an}/all-elements")
    both("POST", f"{an}/move/20_5_5/21_5_5")
    both("DELETE", f"{an}/element/80_90_100")
    both("GET", f"{an}/elements/200_200_200/0_0_0")
    both("GET", f"{an}/elements/10_10_10/100_100_100")
    both("GET", f"{an}/blocks/64_64_64/64_0_0")
    both("POST", f"{an}/blocks?kafkalog=off", {"0,0,1": [{"Pos": [1, 2, 70], "Kind": "Note"}], "1,1,1": []})
    both("GET", f"{an}/all-elements")
    both("POST", f"{an}/reload")
    both("POST", f"{SEG}/merge", [1, 2])
    both("GET", f"{an}/label/1")
    both("POST", f"{SEG}/cleave/1", [2])
    both("GET", f"{an}/label/1")
    both("GET", f"{an}/tag/x")
    tagged = [{"Pos": [9, 9, 9], "Kind": "Note", "Tags": ["x"]}, {"Pos": [21, 5, 5], "Kind": "Gap"}]
    both("POST", f"{an}/elements", tagged, only_status=True)
    both("POST", f"{an}/elements", tagged[:1])
    both("POST", f"{an}/elements", tagged[1:])
    both("GET", f"{an}/tag/x")
    both("GET", f"{an}/info")
    both("DELETE", f"{an}/element/1_2")
    both("GET", f"{an}/element/1_2_3")


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


def test_writing_voxels_again(both: Both, tmp_path: Path) -> None:
    del tmp_path
    both("POST", f"{SEG}/merge", [1, 2])
    volume = np.full((64, 64, 64), 1, "<u8")
    volume[:32] = 2
    volume[40:] = 5000
    both("POST", f"{SEG}/raw/0_1_2/64_64_64/0_0_0?mutate=true", volume.tobytes())
    both("POST", f"{SEG}/raw/0_1_2/64_64_64/128_0_0", volume.tobytes())
    both("POST", f"{SEG}/raw/0_1_2/64_64_63/0_0_0", volume.tobytes())
    both("POST", f"{SEG}/raw/0_1_2/64_64_64/0_0_0", b"short")
    both("GET", f"{SEG}/info")
    look(both, [*range(1, 70), 5000])


def test_after_a_restart(both: Both, real: RealDvid, sandbox: SandboxServer) -> None:
    both("POST", f"{SEG}/merge?u=ann", [1, 2, 3])
    both("POST", f"{SEG}/cleave/1", [7777])
    both("POST", "/api/node/<ROOT>/neurons/key/5?u=ann", {"bodyid": 5, "a": [1, "x"]})
    for server in (real, sandbox):
        server.kill()
        server.restart()
    for side in both.sides:
        side.client.close()
        side.client = httpx.Client(base_url=side.url, timeout=60)
    look(both, [1, 2, 3])
    kept = [side.send("GET", f"{SEG}/mutations", b"", admin=False).text[1:-1] for side in both.sides]
    one, other = (normalized(side.neutral(text)) for side, text in zip(both.sides, kept, strict=True))
    assert one == other
    both("POST", f"{SEG}/cleave/1", [2])
    both("GET", "/api/node/<ROOT>/neurons/key/5?show=all")
