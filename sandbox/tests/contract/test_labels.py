"""Operations on bodies and supervoxels, beside a real DVID."""

from __future__ import annotations

import httpx
import pytest

from contract.side_by_side import Both, box, look
from dvid_sandbox import wire
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.real_server import RealServer
from dvid_sandbox.replay import normalized

pytestmark = pytest.mark.dvid
SEG = "/api/node/<ROOT>/segmentation"


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


def test_mapping_without_lookup(both: Both) -> None:
    both("POST", f"{SEG}/merge", [1, 2])
    both("POST", f"{SEG}/cleave/1", [2])
    asked = [0, 1, 2, 3, 513, 7777]
    for query in ("", "?nolookup=true", "?hash=nonsense", "?hash=f1d3ff8443297732862df21dc4e57262"):
        both("GET", f"{SEG}/mapping{query}", asked)
        both("GET", f"{SEG}/sizes{query.replace('nolookup', 'supervoxels')}", asked)


def test_after_a_restart(both: Both, real: RealServer, sandbox: SandboxServer) -> None:
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
