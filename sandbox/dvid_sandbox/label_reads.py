"""What can be read of a labelmap's bodies, and the writes of indices and mappings."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dvid_sandbox import wire
from dvid_sandbox.compression import compress
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.golang import go_json, go_quote
from dvid_sandbox.indices import LabelIndex
from dvid_sandbox.instance import Place
from dvid_sandbox.reading import check_hash, read_label, read_labels, read_uint

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap

MOST_LISTED = 10_000_000
MOST_INDICES = 50_000
_LENGTH_AND_LABEL = struct.Struct("<2Q")
_STORED = struct.Struct("<BI")
_LZ4 = 4 << 5
"""The first byte of what DVID stores: LZ4, without a checksum. The length of the plain content follows."""


def _numbers(values: Iterable[int]) -> bytes:
    return b"[" + b",".join(b"%d" % each for each in values) + b"]"


def mapping(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    check_hash(exchange)
    supervoxels = read_labels(exchange.body, "Bad mapping request JSON")
    if exchange.flag("nolookup"):
        found = [lm.mapping.get(place.version, each) for each in supervoxels]
        return Answer.json(
            _numbers(own if to is None else to for own, to in zip(supervoxels, found, strict=True))
        )
    version = place.version
    result = []
    for supervoxel in supervoxels:
        mapped = lm.mapping.get(version, supervoxel)
        if mapped is None and exchange.flag("nolookup"):
            mapped = supervoxel
        elif mapped is None:
            index = lm.indices.get(version, supervoxel) if supervoxel else None
            mapped = supervoxel if index is not None and supervoxel in index.supervoxels else 0
        result.append(mapped)
    return Answer.json(_numbers(result))


def mappings(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method == "POST":
        for operation in wire.parse(wire.MappingOps, exchange.body).mappings:
            for supervoxel in operation.original:
                lm.mapping.put(place.version, supervoxel, operation.mapped)
        return Answer()
    moved = [(each, to) for each, to in lm.mapping.items(place.version).items() if each != to]
    if exchange.query.get("format") == "binary":
        body = np.array(moved, "<u8").tobytes()
        return Answer.binary(body) if body else Answer()
    text = "".join(f"{each} {to}\n" for each, to in moved)
    return Answer.text(text) if text else Answer()


def lastmod(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    index = lm.indices.get(place.version, read_label(exchange))
    if index is None or not index.supervoxels:
        return Answer.missing()
    modified = index.modified
    return Answer.json(
        f'{{"mutation id": {modified.mutation_id}, "last mod user": {go_quote(modified.user)}, '
        f'"last mod app": {go_quote(modified.app)}, "last mod time": {go_quote(modified.time)} }}'
    )


def supervoxels(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    index = lm.indices.get(place.version, read_label(exchange))
    if index is None or not index.supervoxels:
        return Answer.missing()
    return Answer.json(_numbers(index.supervoxels))


def supervoxel_sizes(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    index = lm.indices.get(place.version, read_label(exchange))
    if index is None or not index.supervoxels:
        return Answer.missing()
    ids = ",".join(str(each) for each in index.supervoxels)
    sizes = ",".join(str(index.voxels_of(each)) for each in index.supervoxels)
    return Answer.json(f'{{\n  "supervoxels": [{ids}],\n  "sizes": [{sizes}]\n}}')


def _size_of(lm: Labelmap, version: int, label: int, is_supervoxel: bool) -> int:
    index = lm.index_for(version, label, is_supervoxel)
    if index is None:
        return 0
    return index.voxels_of(label) if is_supervoxel else index.voxels


def size(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    label = read_label(exchange)
    try:
        size = _size_of(lm, place.version, label, exchange.flag("supervoxels"))
    except Refused as error:
        raise Refused(f"unable to get label {label} size: {error}") from None
    return Answer.json(f'{{"voxels": {size}}}') if size else Answer.missing()


def sizes(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    check_hash(exchange)
    labels = read_labels(exchange.body, "Bad mapping request JSON")
    version = place.version
    if not exchange.flag("supervoxels"):
        return Answer.json(_numbers(_size_of(lm, version, each, False) for each in labels))
    sizes = []
    for supervoxel in labels:
        mapped = lm.mapping.get(version, supervoxel)
        index = lm.indices.get(version, supervoxel if mapped is None else mapped)
        sizes.append(0 if index is None else index.voxels_of(supervoxel))
    return Answer.json(_numbers(sizes))


def existing_labels(lm: Labelmap, _exchange: Exchange, place: Place) -> Answer:
    labels, _ = lm.indices.sizes(place.version)
    return Answer.json(go_json(labels.tolist()))


def listlabels(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method != "GET":
        raise Refused("only GET actions allowed for /listlabels endpoint")
    start = read_uint(exchange.query.get("start") or "0")
    number = min(read_uint(exchange.query.get("number") or str(MOST_LISTED)), MOST_LISTED)
    labels, sizes = lm.indices.sizes(place.version)
    begin = int(np.searchsorted(labels, np.uint64(start)))
    labels, sizes = labels[begin : begin + number], sizes[begin : begin + number]
    if exchange.flag("sizes"):
        return Answer.binary(np.stack([labels, sizes.astype(np.uint64)], axis=1).astype("<u8").tobytes())
    return Answer.binary(labels.astype("<u8").tobytes())


def index(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    label = read_label(exchange, "there is no index for protected label 0")
    if exchange.method == "POST":
        index = LabelIndex.from_proto(wire.parse(wire.LabelIndex, exchange.body))
        if index.label != label:
            raise Refused(f"serialized Index was for label {index.label} yet was POSTed to label {label}")
        if index.supervoxels:
            lm.put_index(place.version, index)
        else:
            lm.indices.delete(place.version, label)
        return Answer()
    found = lm.indices.get(place.version, label)
    if found is None:
        return Answer.missing()
    if exchange.flag("metadata-only"):
        modified = found.modified
        return Answer.json(
            f'{{"num_voxels":{found.voxels},"last_mutid":{modified.mutation_id},"last_mod_time":"{modified.time}",'
            f'"last_mod_user":"{modified.user}","last_mod_app":"{modified.app}"}}'
        )
    return Answer.binary(found.to_proto().SerializeToString())


def index_version(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    label = read_label(exchange, "there is no index for protected label 0")
    if exchange.method != "GET":
        raise Refused("only GET action allowed for /index-version endpoint")
    holder = lm.indices.holder(place.version, label)
    if holder is None:
        raise Refused(f"could not find the version of the index of label {label}")
    return Answer(200, "text/plain", lm.repo.nodes[holder].uuid.encode())


def indices(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method == "POST":
        highest = 0
        for position, message in enumerate(wire.parse(wire.LabelIndices, exchange.body).indices):
            if message.label == 0:
                raise Refused(
                    f"error putting protobuf label indices: index {position} had label 0, "
                    "which is a reserved label"
                )
            if message.blocks:
                lm.indices.put(place.version, LabelIndex.from_proto(message))
                highest = max(highest, message.label)
            else:
                lm.indices.delete(place.version, message.label)
        lm.counters.raise_max(place.version, highest)
        return Answer()
    complaint = "error getting protobuf label indices: expected JSON label list"
    labels = read_labels(exchange.body, complaint)
    if len(labels) > MOST_INDICES:
        raise Refused(
            "error getting protobuf label indices: only 50,000 label indices can be returned at a time, "
            f"{len(labels)} given"
        )
    answer = wire.LabelIndices()
    for label in labels:
        index = lm.indices.get(place.version, label)
        answer.indices.append(wire.LabelIndex(label=label) if index is None else index.to_proto())
    return Answer.binary(answer.SerializeToString())


def indices_compressed(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    """Each index as DVID stores it, behind its length and its label."""
    if exchange.method != "GET":
        raise Refused("only GET action allowed for /indices endpoint")
    labels = read_labels(exchange.body, "expected JSON label list for GET /indices")
    if len(labels) > MOST_INDICES:
        raise Refused(f"only 50,000 label indices can be returned at a time, {len(labels)} given")
    pieces = []
    for label in labels:
        index = lm.indices.get(place.version, label)
        content = b""
        if index is not None:
            plain = index.to_proto().SerializeToString()
            content = _STORED.pack(_LZ4, len(plain)) + compress("lz4", plain)
        pieces.append(_LENGTH_AND_LABEL.pack(len(content), label) + content)
    return Answer.binary(b"".join(pieces))


def supervoxel_splits(lm: Labelmap, _exchange: Exchange, place: Place) -> Answer:
    result: list[Any] = []
    for version in lm.repo.ancestry(place.version):
        if version in lm.splits:
            result += [lm.repo.nodes[version].uuid, lm.splits[version]]
    return Answer.json(go_json(result))
