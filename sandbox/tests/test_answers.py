"""Parameters, headers and settings that change an answer do change it. A real DVID agrees: tests/contract."""

from __future__ import annotations

import gzip
import struct
from typing import Any

import httpx
import numpy as np
import pytest

from dvid_sandbox.block_codec import read_block, write_block
from dvid_sandbox.blocks import Block
from repos import Repo


def elements(repo: Repo, method: str, endpoint: str, body: Any = None) -> httpx.Response:
    return repo.send(method, f"/api/node/{repo.root}/annotation/{endpoint}", body)


def neuron(repo: Repo, method: str, endpoint: str, body: Any = None) -> httpx.Response:
    return repo.send(method, f"/api/node/{repo.root}/neuronjson/{endpoint}", body)


def test_relations_are_told_where_they_are_asked_for(repo: Repo) -> None:
    relation = {"Rel": "PreSynTo", "To": [9, 9, 9]}
    posted = [
        {"Pos": [1, 1, 1], "Kind": "PreSyn", "Tags": ["t"], "Prop": {}, "Rels": [relation]},
        {"Pos": [9, 9, 9], "Kind": "PostSyn", "Prop": {"a": "1"}},
    ]
    elements(repo, "POST", "elements", posted).raise_for_status()
    assert "Rels" not in elements(repo, "GET", "tag/t").json()[0]
    assert elements(repo, "GET", "tag/t?relationships=true").json()[0]["Rels"] == [relation]
    told = elements(repo, "GET", "tag/t?relationships=verbose").json()[0]["Rels"]
    assert told == [{**relation, "Kind": "PostSyn", "Prop": {"a": "1"}}]


def test_a_schema_is_kept_to(repo: Repo) -> None:
    schema = {"type": "object", "properties": {"group": {"type": "integer"}, "status": {"type": "string"}}}
    neuron(repo, "POST", "json_schema", schema).raise_for_status()
    assert neuron(repo, "POST", "key/5?u=ann", {"bodyid": 5, "status": 1}).status_code == 400
    assert neuron(repo, "GET", "key/5").status_code == 404
    neuron(repo, "POST", "key/5?u=ann", {"bodyid": 5, "group": "7"}).raise_for_status()
    assert neuron(repo, "GET", "key/5").json() == {"bodyid": 5, "group": 7}


def test_a_conditional_field_stays(repo: Repo) -> None:
    neuron(repo, "POST", "key/5?u=ann", {"bodyid": 5, "a": 1}).raise_for_status()
    neuron(repo, "POST", "key/5?u=bob&conditional=a", {"bodyid": 5, "a": 2, "b": 2}).raise_for_status()
    assert neuron(repo, "GET", "key/5").json() == {"bodyid": 5, "a": 1, "b": 2}


def test_a_stamp_of_null_is_none(repo: Repo) -> None:
    neuron(repo, "POST", "key/5?u=ann", {"bodyid": 5, "a": 1}).raise_for_status()
    neuron(repo, "POST", "key/5?u=bob", {"bodyid": 5, "a": None, "a_user": None}).raise_for_status()
    assert neuron(repo, "GET", "key/5?show=user").json() == {"bodyid": 5}


def test_queries_find_neurons(repo: Repo) -> None:
    for body, name in ((5, "moon"), (6, "sun")):
        neuron(repo, "POST", f"key/{body}?u=ann", {"bodyid": body, "a": name}).raise_for_status()
    assert neuron(repo, "POST", "query?onlyid=true", {"a": "re/oo"}).json() == [5]


def test_no_tags_are_null(repo: Repo) -> None:
    path = f"/api/node/{repo.root}/keyvalue/tags"
    assert repo.send("GET", path).json() == {"Tags": None}
    repo.send("POST", path, {"a": "1"}).raise_for_status()
    assert repo.send("GET", path).json() == {"Tags": {"a": "1"}}


@pytest.mark.parametrize(
    ("query", "header", "status", "content"),
    [
        ("", "bytes=2-4", 206, b"234"),
        ("", "bytes=-2", 206, b"89"),
        ("", "bytes=20-", 416, None),
        ("?byte_start=2&byte_end=4", "", 200, b"234"),
        ("?byte_start=2&byte_end=40", "", 400, None),
    ],
)
def test_a_part_of_a_value(repo: Repo, query: str, header: str, status: int, content: bytes | None) -> None:
    url = f"{repo.server.url}/api/node/{repo.root}/keyvalue/key/k"
    httpx.post(url, content=b"0123456789").raise_for_status()
    answer = httpx.get(url + query, headers={"range": header} if header else {})
    assert answer.status_code == status
    assert content is None or answer.content == content


def test_a_sparse_volume_within_bounds(repo: Repo) -> None:
    answer = repo.labels("GET", "sparsevol/1?minx=3&maxx=7&maxy=0&minz=5&maxz=6")
    assert list(struct.iter_unpack("<4i", answer.content[12:])) == [(3, 0, 5, 5), (3, 0, 6, 5)]
    assert repo.labels("GET", "sparsevol/1?minx=64").status_code == 404


def test_voxels_come_compressed(repo: Repo) -> None:
    plain = repo.labels("GET", "raw/0_1_2/64_64_64/0_0_0").content
    packed = repo.labels("GET", "raw/0_1_2/64_64_64/0_0_0?compression=gzip").content
    assert gzip.decompress(packed) == plain


def test_lower_resolutions_follow_the_voxels(repo: Repo) -> None:
    config = {"typename": "labelmap", "dataname": "lm", "BlockSize": "32,32,32", "MaxDownresLevel": "1"}
    repo.send("POST", f"/api/repo/{repo.root}/instance", config).raise_for_status()
    url = f"{repo.server.url}/api/node/{repo.root}/lm"
    voxels = np.full((32, 32, 32), 5, "<u8")
    voxels[:2, :2, :2] = [[[1, 1], [0, 0]], [[2, 2], [0, 0]]]
    httpx.post(f"{url}/raw/0_1_2/32_32_32/32_0_0", content=voxels.tobytes()).raise_for_status()
    lower = httpx.get(f"{url}/raw/0_1_2/32_32_32/0_0_0?scale=1").content
    seen = np.frombuffer(lower, "<u8").reshape(32, 32, 32)
    assert seen[0, 0, 16] == 1
    assert np.unique(seen[:16, :16, 16:]).tolist() == [1, 5]
    assert not seen[:, :, :16].any()
    assert httpx.get(f"{url}/label/17_0_0?scale=1").json() == {"Label": 5}


def test_blocks_come_as_they_were_posted(repo: Repo) -> None:
    block = Block.of(np.random.default_rng(3).integers(0, 9, (64, 64, 64)).astype(np.uint64))
    content = gzip.compress(write_block(block))
    url = f"{repo.server.url}/api/node/{repo.root}/labelmap"
    body = struct.pack("<3iI", 7, 0, 0, len(content)) + content
    httpx.post(f"{url}/blocks", content=body).raise_for_status()
    got = httpx.get(f"{url}/specificblocks?blocks=7,0,0,8,0,0&supervoxels=true").content
    assert struct.unpack_from("<3iI", got) == (7, 0, 0, len(got) - 16)
    assert (read_block(gzip.decompress(got[16:]), 64).labels == block.labels).all()


def test_elements_follow_the_voxels_that_are_written_over(repo: Repo) -> None:
    elements(repo, "POST", "sync", {"sync": "labelmap"}).raise_for_status()
    elements(repo, "POST", "elements", [{"Pos": [5, 5, 5], "Kind": "Note"}]).raise_for_status()
    assert len(elements(repo, "GET", "label/1").json()) == 1
    url = f"{repo.server.url}/api/node/{repo.root}/labelmap/raw/0_1_2/64_64_64/0_0_0?mutate=true"
    httpx.post(url, content=np.full((64, 64, 64), 900, "<u8").tobytes()).raise_for_status()
    assert elements(repo, "GET", "label/1").json() == []
    assert len(elements(repo, "GET", "label/900").json()) == 1
