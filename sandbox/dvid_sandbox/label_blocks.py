"""The blocks of a labelmap over HTTP: blocks, specificblocks, ingest-supervoxels."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dvid_sandbox.block_codec import read_block, write_block
from dvid_sandbox.blocks import Block, BlockPoint, zyx
from dvid_sandbox.compression import compress, uncompress
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import read_point, read_scale
from dvid_sandbox.volume_writes import ingest_blocks

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap

_HEADER = struct.Struct("<3iI")
_FORMS = ("lz4", "gzip", "blocks", "uncompressed")


def blocks(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    scale = read_scale(exchange)
    if exchange.method != "GET":
        return _post_blocks(lm, exchange, place, scale)
    if len(exchange.parts) < 6:
        raise Refused("must specify size and offset with GET /blocks endpoint")
    size, offset = read_point(exchange.parts[4]), read_point(exchange.parts[5])
    edge = lm.edge
    if any(each % edge for each in (*size, *offset)):
        raise Refused(
            "cannot use labels via 'blocks' endpoint in non-block aligned geometry "
            f"{_go_point(offset)} -> {_go_point(tuple(o + s - 1 for o, s in zip(offset, size, strict=True)))}"
        )
    low = [each // edge for each in offset]
    points = [
        (low[0] + x, low[1] + y, low[2] + z)
        for z in range(size[2] // edge)
        for y in range(size[1] // edge)
        for x in range(size[0] // edge)
    ]
    return Answer.binary(_packed(lm, exchange, place, scale, points, "lz4"))


def specific_blocks(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method != "GET":
        raise Refused(
            f"DVID does not accept the {exchange.method.lower()} action on the 'specificblocks' endpoint"
        )
    texts = [each for each in exchange.query.get("blocks", "").split(",") if each]
    if len(texts) % 3:
        raise Refused("block query string should be three coordinates per block")
    try:
        numbers = [int(each) for each in texts]
    except ValueError:
        raise Refused(f'strconv.Atoi: parsing "{exchange.query["blocks"]}": invalid syntax') from None
    points = list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))
    return Answer.binary(_packed(lm, exchange, place, read_scale(exchange), points, "blocks"))


def ingest_supervoxels(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    """Voxels, and nothing else: whoever posts them also brings indices, label counters and extents."""
    volume = lm.at_scale(read_scale(exchange))
    for point, block in _read(exchange.body, lm.edge):
        volume.put(place.version, point, block)
    return Answer()


def _post_blocks(lm: Labelmap, exchange: Exchange, place: Place, scale: int) -> Answer:
    lower = exchange.flag("downres")
    if lower and scale:
        raise Refused("cannot downscale blocks of scale > 0")
    if exchange.query.get("compression", "") not in ("", "blocks"):
        raise Refused('compression must be "blocks" (default) at this time')
    posted = dict(_read(exchange.body, lm.edge))
    if scale:
        lm.repo.new_mutation_id()
        for point, block in posted.items():
            lm.at_scale(scale).put(place.version, point, block)
        return Answer()
    for point in posted:
        first = tuple(each * lm.edge for each in point)
        last = tuple(each + lm.edge - 1 for each in first)
        lm.widen(place.version, (first[0], first[1], first[2]), (last[0], last[1], last[2]))
    ingest_blocks(lm, exchange, place, posted, lower=lower, indexed=not exchange.flag("noindexing"))
    return Answer()


def _read(body: bytes, edge: int) -> Iterator[tuple[BlockPoint, Block]]:
    """The blocks of a body: coordinates, length, and the block's own form in gzip."""
    start = 0
    while start < len(body):
        if len(body) - start < _HEADER.size:
            raise Refused("unexpected EOF")
        x, y, z, length = _HEADER.unpack_from(body, start)
        if length == 0:
            raise Refused(f"illegal zero length block at block ({x}, {y}, {z}) detected")
        start += _HEADER.size
        content = body[start : start + length]
        if len(content) < length:
            raise Refused(
                f"error reading {length} bytes for block ({x},{y},{z}): {len(content)} actually read"
                " (unexpected EOF)"
            )
        yield (x, y, z), read_block(uncompress("gzip", content, 0), edge)
        start += length


def _packed(
    lm: Labelmap, exchange: Exchange, place: Place, scale: int, points: Iterable[BlockPoint], default: str
) -> bytes:
    """The blocks that are there, each behind its coordinates and its length."""
    form = exchange.query.get("compression") or default
    if form not in _FORMS:
        raise Refused('compression must be "lz4" (default), "gzip", "blocks" or "uncompressed"')
    pieces = []
    for point in sorted(points, key=zyx):
        block = lm.at_scale(scale).get(place.version, point)
        if block is None:
            continue
        if not exchange.flag("supervoxels"):
            block = block.mapped(lambda each: lm.mapping.get(place.version, each))
        content = _content(block, form)
        pieces.append(_HEADER.pack(*point, len(content)) + content)
    return b"".join(pieces)


def _content(block: Block, form: str) -> bytes:
    if form == "blocks":
        return compress("gzip", write_block(block))
    voxels = block.labels.astype("<u8").tobytes()
    return voxels if form == "uncompressed" else compress(form, voxels)


def _go_point(point: tuple[int, ...]) -> str:
    return f"({','.join(str(each) for each in point)})"
