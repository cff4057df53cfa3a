"""What a sandbox could leave out silently, beside a real DVID."""

from __future__ import annotations

import gzip
import hashlib
import struct
import time
from collections.abc import Callable

import lz4.block
import numpy as np
import orjson
import pytest

from dvid_sandbox import wire
from dvid_sandbox.block_codec import read_block, write_block
from dvid_sandbox.blocks import Block
from tests.contract.side_by_side import Both
from tests.contract.test_real_dvid import box
from tests.real_dvid import binary

pytestmark = [
    pytest.mark.dvid,
    pytest.mark.skipif(binary() is None, reason="DVID_BIN does not name a DVID binary"),
]
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


def runs(content: bytes) -> list[tuple[int, ...]]:
    """Of a sparse volume, sorted: the server's own order comes of a Go map."""
    if not content:
        return []
    found = struct.iter_unpack("<4i", content[12:])
    return [content[:12], *sorted(found)]  # type: ignore[list-item]


def bare_runs(content: bytes) -> list[tuple[int, ...]]:
    return sorted(struct.iter_unpack("<4i", content))


def elements(content: bytes) -> list[str]:
    return sorted(orjson.dumps(each).decode() for each in orjson.loads(content) or [])


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


def test_sparse_volumes_in_bounds(both: Both) -> None:
    seg = f"{NODE}/segmentation"
    rng = np.random.default_rng(1)
    noise = rng.integers(1, 4, (64, 64, 128)).astype("<u8")
    noise[:, :32, 40:100] = 2
    both("POST", f"{seg}/raw/0_1_2/128_64_64/0_0_0?mutate=true", noise.tobytes())
    both("POST", f"{seg}/raw/0_1_2/64_64_64/-64_0_0", np.full((64, 64, 64), 2, "<u8").tobytes())
    both("POST", f"{seg}/merge", [2, 3])
    for query in (
        "",
        "?minx=10",
        "?maxx=43",
        "?minx=3&maxx=101",
        "?minx=3&maxx=101&exact=false",
        "?miny=7&maxy=33&minz=60",
        "?minx=-20&maxx=-3&maxz=2",
        "?minx=64&maxx=64&miny=0&maxy=0&minz=0&maxz=0",
        "?minx=5000",
        "?minx=70&maxx=60",
        "?minx=x",
        "?minx=3000000000",
    ):
        both("GET", f"{seg}/sparsevol/2{query}", shown_as=runs)
        both("GET", f"{seg}/sparsevol/3{query}{'&' if query else '?'}supervoxels=true", shown_as=runs)
    both("GET", f"{seg}/sparsevol/2?format=srles&maxx=43", shown_as=bare_runs)
    both("GET", f"{seg}/sparsevol/2?format=nonsense", shown_as=runs)
    both(
        "GET", f"{seg}/sparsevol/2?compression=gzip", shown_as=lambda content: runs(gzip.decompress(content))
    )
    both("GET", f"{seg}/sparsevol/2?compression=nonsense")


def test_compressed_voxels(both: Both) -> None:
    seg = f"{NODE}/segmentation"
    volume = np.arange(64**3, dtype="<u8").reshape(64, 64, 64) // 1000 + 1
    both("POST", f"{seg}/raw/0_1_2/64_64_64/0_0_0?compression=gzip", gzip.compress(volume.tobytes()))
    packed = lz4.block.compress(volume.tobytes(), store_size=False)
    both("POST", f"{seg}/raw/0_1_2/64_64_64/64_0_0?compression=lz4", packed)
    both("POST", f"{seg}/raw/0_1_2/64_64_64/64_0_0?compression=strange", packed)
    box = f"{seg}/raw/0_1_2/64_64_64/32_0_0"
    both("GET", box)
    both("GET", f"{box}?compression=gzip", shown_as=gzip.decompress)
    size = 64**3 * 8
    both("GET", f"{box}?compression=lz4", shown_as=lambda c: lz4.block.decompress(c, uncompressed_size=size))
    both("GET", f"{box}?compression=strange")


def blocks(size: int, unpack: Callable[[bytes], bytes]) -> Callable[[bytes], list[object]]:
    """Reads blocks by their coordinates, which come in no order."""

    def read(content: bytes) -> list[object]:
        found, start = [], 0
        while start < len(content):
            x, y, z, length = struct.unpack_from("<3iI", content, start)
            voxels = unpack(content[start + 16 : start + 16 + length])
            assert len(voxels) == size
            found.append((z, y, x, hashlib.md5(voxels).hexdigest()))
            start += 16 + length
        return sorted(found)

    return read


def stored_indices(content: bytes) -> list[object]:
    found, start = [], 0
    while start < len(content):
        length, label = struct.unpack_from("<2Q", content, start)
        stored = content[start + 16 : start + 16 + length]
        start += 16 + length
        if stored:
            kind, size = struct.unpack_from("<BI", stored)
            plain = lz4.block.decompress(stored[5:], uncompressed_size=size)
            index = wire.parse(wire.LabelIndex, plain)
            index.last_mod_time = ""
            found.append((label, kind, str(index.label), sorted(index.blocks), index.last_mutid))
        else:
            found.append((label, None))
    return found


def native(content: bytes) -> bytes:
    return read_block(gzip.decompress(content), 32).labels.tobytes()


def test_blocks_and_lower_resolutions(both: Both) -> None:
    config = {"typename": "labelmap", "dataname": "lm", "BlockSize": "32,32,32", "MaxDownresLevel": "2"}
    both("POST", "/api/repo/<ROOT>/instance", config)
    for side in both.sides:
        info = side.send("GET", f"{NODE}/lm/info", b"", admin=False).json()
        side.names[info["Base"]["DataUUID"]] = "<DATA lm>"
    lm, rng, size = f"{NODE}/lm", np.random.default_rng(2), 32**3 * 8
    volume = rng.integers(0, 9, (16, 16, 16)).repeat(8, 0).repeat(8, 1).repeat(8, 2).astype("<u8")
    volume[:32, :32, :32] = rng.integers(0, 5, (32, 32, 32))
    volume[64:96, :32, :32] = 7
    both("POST", f"{lm}/raw/0_1_2/128_128_128/0_0_0", volume.tobytes())
    both("POST", f"{lm}/merge", [1, 2])
    settle(both, f"{lm}/raw/0_1_2/32_32_32/0_0_0?scale=2")
    posted = []
    for point, labels in (((1, 1, 1), volume[:32, :32, :32] + 20), ((5, 0, 0), np.full((32, 32, 32), 9))):
        content = gzip.compress(write_block(Block.of(labels.astype(np.uint64))))
        posted.append(struct.pack("<3iI", *point, len(content)) + content)
    both("POST", f"{lm}/blocks?downres=true", b"".join(posted))
    settle(both, f"{lm}/raw/0_1_2/32_32_32/0_0_0?scale=2")
    both("POST", f"{lm}/blocks?scale=1&downres=true", b"".join(posted))
    both("POST", f"{lm}/blocks?noindexing=true", posted[1][:5])
    both("POST", f"{lm}/split-supervoxel/7?split=900&remain=901", box(0, 0, 64, (32, 32, 16)))
    both("POST", f"{lm}/ingest-supervoxels?scale=1", posted[0])
    settle(both, f"{lm}/raw/0_1_2/32_32_32/0_0_0?scale=2")
    for scale in (0, 1, 2, 3):
        for mapped in ("", "&supervoxels=true"):
            query = f"scale={scale}{mapped}"
            both(
                "GET", f"{lm}/raw/0_1_2/64_64_64/0_0_0?{query}", shown_as=lambda c: hashlib.md5(c).hexdigest()
            )
            both("GET", f"{lm}/label/12_3_4?{query}")
            both("GET", f"{lm}/labels?{query}", [[1, 2, 3], [30, 0, 9], [500, 0, 0]])
            for number in (1, 2, 7, 9, 21):
                both("GET", f"{lm}/sparsevol/{number}?{query}", shown_as=runs)
            both("GET", f"{lm}/sparsevol-by-point/1_2_3?{query}&minz=1&maxx=17", shown_as=runs)
        plain, unlz4 = bytes, lambda c: lz4.block.decompress(c, uncompressed_size=size)
        for form, unpack in (("uncompressed", plain), ("gzip", gzip.decompress), ("lz4", unlz4)):
            read = blocks(size, unpack)
            both("GET", f"{lm}/blocks/128_64_64/0_32_0?scale={scale}&compression={form}", shown_as=read)
        both(
            "GET",
            f"{lm}/blocks/128_64_64/0_32_0?scale={scale}&compression=blocks",
            shown_as=blocks(size, native),
        )
        asked = f"blocks=0,0,0,1,1,1,9,9,9,5,0,0&scale={scale}"
        both("GET", f"{lm}/specificblocks?{asked}", shown_as=blocks(size, native))
        both("GET", f"{lm}/specificblocks?{asked}&supervoxels=true", shown_as=blocks(size, native))
    both("GET", f"{lm}/blocks/32_32_31/0_0_0")
    both("GET", f"{lm}/blocks/32_32_32")
    both("GET", f"{lm}/blocks/32_32_32/0_0_0?compression=zip")
    both("GET", f"{lm}/specificblocks?blocks=1,2")
    both("GET", f"{lm}/raw/0_1_2/64_64_64/0_0_0?scale=x")
    both("GET", f"{lm}/info")
    for number in (1, 2, 7, 9, 21, 900, 7777):
        for query in ("", "?supervoxels=true"):
            both("GET", f"{lm}/sparsevol-size/{number}{query}")
            both("GET", f"{lm}/sparsevol-coarse/{number}{query}")
    both("GET", f"{lm}/sparsevol-coarse/1?minx=40&maxz=70")
    both("GET", f"{lm}/sparsevols-coarse/1/30")
    both("GET", f"{lm}/metadata")
    both("GET", f"{lm}/indices-compressed", [1, 7, 7777], shown_as=lambda content: stored_indices(content))
    both("GET", f"{lm}/listlabels?sizes=true")
    both("GET", f"{lm}/maxlabel")


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


def settle(both: Both, path: str) -> None:
    """Waits until the real server has made its lower resolutions, which it does behind its answer."""
    one, other = (side.send("GET", path, b"", admin=False).content for side in both.sides)
    deadline = time.monotonic() + 10
    while one != other and time.monotonic() < deadline:
        time.sleep(0.05)
        one = both.sides[0].send("GET", path, b"", admin=False).content


def test_load_and_heartbeat(both: Both) -> None:
    both("GET", "/api/load", shown_as=lambda content: sorted(orjson.loads(content)))
    both("GET", "/api/heartbeat")


def test_mapping_without_lookup(both: Both) -> None:
    seg = f"{NODE}/segmentation"
    both("POST", f"{seg}/merge", [1, 2])
    both("POST", f"{seg}/cleave/1", [2])
    asked = [0, 1, 2, 3, 513, 7777]
    for query in ("", "?nolookup=true", "?hash=nonsense", "?hash=f1d3ff8443297732862df21dc4e57262"):
        both("GET", f"{seg}/mapping{query}", asked)
        both("GET", f"{seg}/sizes{query.replace('nolookup', 'supervoxels')}", asked)
