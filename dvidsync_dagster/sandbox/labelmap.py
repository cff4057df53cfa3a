"""Labelmap instances: their state and what can be read of it. Operations on labels are in `mutations`."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from dvidsync_dagster.sandbox import mutations, splits, wire
from dvidsync_dagster.sandbox.counters import HIGHEST_POSTED_MAXLABEL, LabelCounters
from dvidsync_dagster.sandbox.exchange import Answer, Exchange, Refused
from dvidsync_dagster.sandbox.golang import go_json, go_quote
from dvidsync_dagster.sandbox.indices import IndexStore, LabelIndex
from dvidsync_dagster.sandbox.instance import Instance, Place, Settings, read_labels, read_uint
from dvidsync_dagster.sandbox.repo import Repo
from dvidsync_dagster.sandbox.versioned import VersionedStore
from dvidsync_dagster.sandbox.volume_writes import post_raw
from dvidsync_dagster.sandbox.voxels import EDGE, BlockPoint, Volume, decode_block, runs_of, zyx

MOST_LISTED = 10_000_000
MOST_INDICES = 50_000
PROTECTED = "Label 0 is protected background value and cannot be queried as body.\n"


class Labelmap(Instance):
    """State: voxels, indices, mapping (label by supervoxel, only where it was ever set), counters."""

    type_name: ClassVar[str] = "labelmap"
    compression: ClassVar[str] = "gzip compression, level -1"

    def __init__(
        self, repo: Repo, name: str, data_uuid: str, born_in: str, config: dict[str, str], settings: Settings
    ) -> None:
        config.setdefault("blocksize", "64,64,64")
        config.setdefault("compression", "gzip")
        if config["blocksize"] != "64,64,64":
            raise Refused(f"the sandbox has blocks of 64,64,64 voxels only, not {config['blocksize']}")
        super().__init__(repo, name, data_uuid, born_in, config, settings)
        self.voxel_size = [float(each) for each in config.get("voxelsize", "8,8,8").split(",")]
        self.volume = Volume(repo.ancestry)
        self.indices = IndexStore(repo.ancestry)
        self.mapping: VersionedStore[int, int] = VersionedStore(repo.ancestry)
        self.splits: dict[int, list[tuple[int, int, int, int]]] = {}
        self.counters = LabelCounters(name, repo.ancestry)
        self.extents: tuple[BlockPoint, BlockPoint] | None = None

    def serve(self, exchange: Exchange, place: Place) -> Answer:
        endpoint = exchange.parts[3]
        if exchange.method == "HEAD" and endpoint != "sparsevol":
            raise Refused(f"Unable to handle HTTP action HEAD on {endpoint} endpoint")
        handler = _ENDPOINTS.get(endpoint)
        if handler is None:
            return self.serve_common(exchange)
        return handler(self, exchange, place)

    def put_index(self, version: int, index: LabelIndex) -> None:
        self.indices.put(version, index)
        self.counters.raise_max(version, index.label)

    def body_of(self, version: int, supervoxel: int) -> int:
        """The label that a supervoxel is mapped to; itself if nothing else was said.

        Raises:
            Refused: the supervoxel was split.
        """
        mapped = self.mapping.get(version, supervoxel)
        if mapped == 0:
            raise Refused(
                f"cannot get label for supervoxel {supervoxel}, "
                "which has been split and doesn't exist anymore"
            )
        return supervoxel if mapped is None else mapped

    def label_at(self, version: int, point: BlockPoint) -> int:
        """The body at a voxel (x, y, z)."""
        supervoxel = self.volume.label_at(version, point)
        mapped = self.mapping.get(version, supervoxel)
        return supervoxel if mapped is None else mapped

    def index_for(self, version: int, label: int, is_supervoxel: bool) -> LabelIndex | None:
        return self.indices.get(version, self.body_of(version, label) if is_supervoxel else label)

    def widen(self, low: BlockPoint, high: BlockPoint) -> None:
        """Extents in voxels, both ends included."""
        if self.extents is not None:
            (lx, ly, lz), (hx, hy, hz) = self.extents
            low = min(low[0], lx), min(low[1], ly), min(low[2], lz)
            high = max(high[0], hx), max(high[1], hy), max(high[2], hz)
        self.extents = low, high

    def info(self, names: dict[str, str]) -> dict[str, Any]:
        low, high = self.extents if self.extents is not None else (None, None)
        result = super().info(names)
        result["Extended"] = {
            "Values": [{"DataType": "uint64", "Label": "labelmap"}],
            "Interpolable": False,
            "BlockSize": [EDGE] * 3,
            "VoxelSize": [int(each) if each.is_integer() else each for each in self.voxel_size],
            "VoxelUnits": ["nanometers"] * 3,
            "MinPoint": low,
            "MaxPoint": high,
            "MinIndex": None if low is None else [each // EDGE for each in low],
            "MaxIndex": None if high is None else [each // EDGE for each in high],
            "Background": 0,
            "GridStore": "",
            "ScaleLevel": 0,
            "MaxLabel": {
                str(version): label
                for version, label in sorted(self.counters.max_label.items(), key=lambda item: str(item[0]))
            },
            "MaxRepoLabel": self.counters.max_repo_label,
            "NextLabel": self.counters.next_label,
            "IndexedLabels": True,
            "MaxDownresLevel": int(self.config.get("maxdownreslevel", "0")),
        }
        result["Extents"] = {"MinPoint": low, "MaxPoint": high}
        return result


def _label(exchange: Exchange, complaint: str = PROTECTED) -> int:
    if len(exchange.parts) < 5:
        raise Refused(f"DVID requires label to follow '{exchange.parts[3]}' command")
    label = read_uint(exchange.parts[4])
    if label == 0:
        raise Refused(complaint)
    return label


def _numbers(values: Any) -> bytes:
    return b"[" + b",".join(b"%d" % each for each in values) + b"]"


def _mapping(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    supervoxels = read_labels(exchange.body, "Bad mapping request JSON")
    version = place.version
    result = []
    for supervoxel in supervoxels:
        mapped = lm.mapping.get(version, supervoxel)
        if mapped is None:
            index = lm.indices.get(version, supervoxel) if supervoxel else None
            mapped = supervoxel if index is not None and supervoxel in index.supervoxels else 0
        result.append(mapped)
    return Answer.json(_numbers(result))


def _mappings(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
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


def _lastmod(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    index = lm.indices.get(place.version, _label(exchange))
    if index is None or not index.supervoxels:
        return Answer.missing()
    modified = index.modified
    return Answer.json(
        f'{{"mutation id": {modified.mutation_id}, "last mod user": {go_quote(modified.user)}, '
        f'"last mod app": {go_quote(modified.app)}, "last mod time": {go_quote(modified.time)} }}'
    )


def _supervoxels(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    index = lm.indices.get(place.version, _label(exchange))
    if index is None or not index.supervoxels:
        return Answer.missing()
    return Answer.json(_numbers(index.supervoxels))


def _supervoxel_sizes(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    index = lm.indices.get(place.version, _label(exchange))
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


def _size(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    label = _label(exchange)
    try:
        size = _size_of(lm, place.version, label, exchange.flag("supervoxels"))
    except Refused as error:
        raise Refused(f"unable to get label {label} size: {error}") from None
    return Answer.json(f'{{"voxels": {size}}}') if size else Answer.missing()


def _sizes(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
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


def _existing_labels(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:  # noqa: ARG001
    labels, _ = lm.indices.sizes(place.version)
    return Answer.json(go_json(labels.tolist()))


def _listlabels(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
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


def _index(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    label = _label(exchange, "there is no index for protected label 0")
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


def _indices(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
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


def _sparsevol(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method not in ("GET", "HEAD"):
        raise Refused("POST of sparsevol not currently implemented\n")
    label = _label(exchange, "Label 0 is protected background value and cannot be used as sparse volume.\n")
    if exchange.query.get("format", "rles") != "rles":
        raise Refused(f"the sandbox has no sparsevol format {exchange.query['format']!r}, only rles")
    is_supervoxel = exchange.flag("supervoxels")
    index = lm.index_for(place.version, label, is_supervoxel)
    found = index is not None and bool(index.supervoxels)
    if exchange.method == "HEAD":
        return Answer(200 if found else 204, "text/html")
    if index is None or not found or (is_supervoxel and label not in index.supervoxels):
        return Answer.missing()
    supervoxels = {label} if is_supervoxel else set(index.supervoxels)
    numbers = {block for each in supervoxels for block in index.supervoxels[each]}
    runs = [np.empty((0, 4), np.int32)]
    for point in sorted((decode_block(each) for each in numbers), key=zyx):
        block = lm.volume.get(place.version, point)
        if block is not None:
            runs.append(runs_of(block, point, supervoxels))
    body = wire.write_runs(np.concatenate(runs))
    if exchange.query.get("compression") == "gzip":
        body = zlib.compress(body, wbits=31)
    return Answer.binary(body)


def _raw(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    size, offset = _box(exchange)
    if exchange.method == "POST":
        post_raw(lm, exchange, place, size, offset)
        return Answer()
    labels = lm.volume.read(place.version, size, offset)
    if not exchange.flag("supervoxels"):
        ids, inverse = np.unique(labels, return_inverse=True)
        bodies = [lm.mapping.get(place.version, each) for each in ids.tolist()]
        mapped = [own if body is None else body for own, body in zip(ids.tolist(), bodies, strict=True)]
        labels = np.array(mapped, np.uint64)[inverse]
    return Answer.binary(labels.astype("<u8").tobytes())


def _box(exchange: Exchange) -> tuple[BlockPoint, BlockPoint]:
    if len(exchange.parts) < 7:
        raise Refused(f"'{exchange.parts[3]}' must be followed by shape/size/offset")
    if exchange.parts[4] != "0_1_2":
        raise Refused("DVID currently supports shapes of only 2 and 3 dimensions")
    if exchange.query.get("compression", "") not in ("", "gzip"):
        raise Refused(f"unknown compression type {go_quote(exchange.query['compression'])}")
    return read_point(exchange.parts[5]), read_point(exchange.parts[6])


def read_point(text: str) -> BlockPoint:
    """``x_y_z`` in a path."""
    try:
        x, y, z = (int(each) for each in text.split("_"))
    except ValueError:
        raise Refused(f'String "{text}" cannot be converted to a 3d point') from None
    return x, y, z


def _label_at(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    point = read_point(exchange.parts[4])
    at = lm.volume.label_at if exchange.flag("supervoxels") else lm.label_at
    return Answer.json(f'{{"Label": {at(place.version, point)}}}')


def _supervoxel_splits(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:  # noqa: ARG001
    result: list[Any] = []
    for version in lm.repo.ancestry(place.version):
        if version in lm.splits:
            result += [lm.repo.nodes[version].uuid, lm.splits[version]]
    return Answer.json(go_json(result))


def _maxlabel(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method == "GET":
        highest = lm.counters.effective_max(place.version)
        if highest is None:
            raise Refused(f"No maximum label found for {lm.name} version {place.version}\n")
        return Answer.json(f'{{"maxlabel": {highest}}}')
    if not exchange.admin:
        raise Refused("POST /maxlabel requires admin privileges (admintoken or DSG admin)")
    label = _label(exchange, "Label 0 is protected background value and cannot be used as max label.\n")
    if label > HIGHEST_POSTED_MAXLABEL:
        raise Refused(f"Posted max label {label} exceeds allowed cap {HIGHEST_POSTED_MAXLABEL}")
    if lm.counters.raise_max(place.version, label):
        lm.publish(exchange, _told(exchange, place, {"Action": "post-maxlabel", "MaxLabel": label}))
    return Answer()


def _nextlabel(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method == "GET":
        return Answer.json(f'{{"nextlabel": {lm.counters.following}}}')
    if len(exchange.parts) < 5:
        raise Refused("DVID requires number of requested labels to follow POST /nextlabel")
    start, end = lm.counters.take(place.version, read_uint(exchange.parts[4]))
    message = {"Action": "post-nextlabel", "Start Label": start, "End Label": end}
    lm.publish(exchange, _told(exchange, place, message))
    return Answer.json(f'{{"start": {start}, "end": {end}}}')


def _set_nextlabel(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if exchange.method != "POST":
        raise Refused(f'Unknown action "{exchange.method}" requested for {exchange.path}\n')
    if not exchange.admin:
        raise Refused("POST /set-nextlabel requires admin privileges (admintoken or DSG admin)")
    if len(exchange.parts) < 5:
        raise Refused("DVID requires a label ID to follow POST /set-nextlabel")
    label = read_uint(exchange.parts[4])
    ceiling = read_uint(exchange.query["ceiling"]) if exchange.query.get("ceiling") else None
    lm.counters.set_next(label, ceiling)
    message: dict[str, Any] = {"Action": "setnextlabel", "Next Label": label}
    if ceiling is not None:
        message["Ceiling"] = ceiling
    lm.publish(exchange, _told(exchange, place, message))
    return Answer()


def _told(exchange: Exchange, place: Place, message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "UUID": place.uuid, "Timestamp": exchange.moment.go_time()}


def _kept_mutations(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    return lm.mutations(exchange, place)


_ENDPOINTS: dict[str, Callable[[Labelmap, Exchange, Place], Answer]] = {
    "cleave": mutations.cleave,
    "existing-labels": _existing_labels,
    "index": _index,
    "indices": _indices,
    "label": _label_at,
    "lastmod": _lastmod,
    "listlabels": _listlabels,
    "mapping": _mapping,
    "mappings": _mappings,
    "maxlabel": _maxlabel,
    "merge": mutations.merge,
    "mutations": _kept_mutations,
    "nextlabel": _nextlabel,
    "raw": _raw,
    "renumber": mutations.renumber,
    "set-nextlabel": _set_nextlabel,
    "size": _size,
    "sizes": _sizes,
    "sparsevol": _sparsevol,
    "split": splits.split,
    "split-supervoxel": splits.split_supervoxel,
    "supervoxel-sizes": _supervoxel_sizes,
    "supervoxel-splits": _supervoxel_splits,
    "supervoxels": _supervoxels,
}
