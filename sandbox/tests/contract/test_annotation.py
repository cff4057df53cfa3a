"""Elements, beside a real DVID."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import orjson
import pytest

from contract.side_by_side import Both, settle
from dvid_sandbox.block_codec import write_block
from dvid_sandbox.blocks import Block

pytestmark = pytest.mark.dvid
NODE = "/api/node/<ROOT>"
SEG = "/api/node/<ROOT>/segmentation"


def elements(content: bytes) -> list[str]:
    return sorted(orjson.dumps(each).decode() for each in orjson.loads(content) or [])


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


def test_partners_of_elements(both: Both) -> None:
    an = f"{NODE}/synapses"
    both("POST", f"{an}/sync", {"sync": "segmentation"})
    posted = [
        {"Pos": [5, 5, 5], "Kind": "PostSyn", "Tags": ["t"], "Prop": {"b": "2"}},
        {"Pos": [6, 5, 5], "Kind": "PreSyn", "Rels": [{"Rel": "PreSynTo", "To": [5, 5, 5]}]},
        {"Pos": [7, 5, 5], "Kind": "Gap", "Tags": ["t"], "Rels": [{"Rel": "GroupedWith", "To": [90, 5, 5]}]},
        {"Pos": [90, 5, 5], "Tags": ["t"], "Rels": [{"Rel": "PostSynTo", "To": [1, 1, 1]}]},
    ]
    both("POST", f"{an}/elements", posted)
    for what in ("label/1", "label/6", "label/7777", "tag/t", "tag/none"):
        for form in ("true", "verbose", "false", "nonsense"):
            both("GET", f"{an}/{what}?relationships={form}", shown_as=elements)
    for bad in ("label/0", "label", "tag", "label/x", "all-elements/1"):
        both("GET", f"{an}/{bad}")
    for method, what in (("POST", "label/1"), ("POST", "tag/t"), ("GET", "reload"), ("POST", "all-elements")):
        both(method, f"{an}/{what}")


def test_elements_follow_the_voxels(both: Both) -> None:
    an, seg = f"{NODE}/synapses", f"{NODE}/segmentation"
    both("POST", f"{an}/sync", {"sync": "segmentation"})
    posted = [{"Pos": [place, 5, 5], "Kind": "Note"} for place in (5, 20, 37, 70, 200)]
    both("POST", f"{an}/elements", posted)
    both("POST", f"{seg}/merge", [1, 3])
    volume = np.full((64, 64, 64), 2, "<u8")
    volume[:, :, 32:] = 900
    both("POST", f"{seg}/raw/0_1_2/64_64_64/0_0_0?mutate=true", volume.tobytes())
    settle(both, f"{an}/label/900")
    for label in (1, 2, 3, 5, 900):
        both("GET", f"{an}/label/{label}", shown_as=elements)
    both("POST", f"{seg}/raw/0_1_2/64_64_64/192_0_0", (volume + 1).tobytes())
    settle(both, f"{an}/label/3")
    content = gzip.compress(write_block(Block.of(np.full((64, 64, 64), 950, np.uint64))))
    both("POST", f"{seg}/blocks", struct.pack("<3iI", 1, 0, 0, len(content)) + content)
    settle(both, f"{an}/label/950")
    for label in (1, 2, 3, 5, 900, 901, 950):
        both("GET", f"{an}/label/{label}", shown_as=elements)
    both("GET", f"{an}/scan")
    both("GET", f"{an}/scan?byCoord=true&keysOnly=true")
    both("POST", f"{an}/labels", {"77": '[{"Pos": [1, 2, 3], "Kind": "Gap"}]', "0": "[]"})
    both("GET", f"{an}/label/77")
    both("POST", f"{an}/labels/1", {})
