"""Voxels, blocks and sparse volumes, beside a real DVID."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable

import lz4.block
import numpy as np
import pytest

from contract.side_by_side import Both, box, look, settle
from dvid_sandbox import wire
from dvid_sandbox.block_codec import read_block, write_block
from dvid_sandbox.blocks import Block

pytestmark = pytest.mark.dvid
NODE = "/api/node/<ROOT>"
SEG = "/api/node/<ROOT>/segmentation"


def runs(content: bytes) -> list[object]:
    """Of a sparse volume, sorted: the server's own order comes of a Go map."""
    if not content:
        return []
    found = struct.iter_unpack("<4i", content[12:])
    return [content[:12], *sorted(found)]


def bare_runs(content: bytes) -> list[tuple[int, ...]]:
    return sorted(struct.iter_unpack("<4i", content))


def test_writing_voxels_again(both: Both) -> None:
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


def blocks(size: int, unpack: Callable[[bytes], bytes]) -> Callable[[bytes], list[tuple[int, int, int, str]]]:
    """Reads blocks by their coordinates, which come in no order."""

    def read(content: bytes) -> list[tuple[int, int, int, str]]:
        found: list[tuple[int, int, int, str]] = []
        start = 0
        while start < len(content):
            x, y, z, length = struct.unpack_from("<3iI", content, start)
            voxels = unpack(content[start + 16 : start + 16 + length])
            assert len(voxels) == size
            found.append((z, y, x, hashlib.md5(voxels).hexdigest()))
            start += 16 + length
        return sorted(found)

    return read


def stored_indices(content: bytes) -> list[object]:
    found: list[object] = []
    start = 0
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
