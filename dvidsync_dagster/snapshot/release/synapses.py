"""Synapses from an instance of annotations: its points, and which belongs to which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.release.labels import Labels, bodies_of

_COLUMNS = ("x", "y", "z", "ordinal", "kind", "prop", "rels", "sv")
POST = "PostSyn"
KINDS = ("PreSyn", POST)

_BITS = 21
_LIMIT = 1 << (_BITS - 1)
"""Of a coordinate in the id of a point."""

Ids = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Synapses:
    """Points in the order of their ids, and their pairs by places in it.

    Args:
        ids: of the points; they hold z, y and x.
        is_post: whether a point is a PostSyn, else it is a PreSyn.
        confidence: 0 where none is given.
        supervoxels, bodies: under the points.
        pre, post: of each pair, in order.
        notes: what was left out, in sentences.
    """

    ids: Ids
    is_post: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float32]
    supervoxels: Labels
    bodies: Labels
    pre: Places
    post: Places
    notes: tuple[str, ...]


def read_synapses(dataset: Dataset, annotation: str, labelmap: str) -> Synapses | None:
    """The synapses of an instance; None if it has none.

    As in flyem-snapshot, points on body 0 are left out, pairs with a point that is not there, and then points
    that are in no pair. Of several at one point the first counts.
    """
    parts = _Parts()
    for batch in dataset.batches(annotation, _COLUMNS):
        _add(parts, batch)
    ids = parts.joined("ids")
    if not len(ids):
        return None
    order = np.lexsort((parts.joined("ordinal"), ids))
    first = np.append(True, np.diff(ids[order]) != 0)
    order = order[first]
    ids = ids[order]
    pre, post, lost = _pairs(ids, parts.joined("pre"), parts.joined("post"))
    supervoxels = parts.joined("supervoxels")[order]
    asked, place = np.unique(supervoxels, return_inverse=True)
    bodies = bodies_of(dataset, labelmap, asked)[place]
    del asked, place
    there = bodies != 0
    both = there[pre] & there[post]
    pre, post = pre[both], post[both]
    used = np.zeros(len(ids), bool)
    used[pre] = used[post] = True
    new_place = np.cumsum(used) - 1
    left_out = {
        "points or relations far off, which have no id": int(parts.joined("far_off").sum()),
        "others at the same point": np.count_nonzero(~first),
        "points on body 0": np.count_nonzero(~there),
        "relations to points that are not there": lost,
        "points with no partner": np.count_nonzero(there & ~used),
        "confidences that are no numbers (0 in the files)": int(parts.joined("no_number").sum()),
    }
    return Synapses(
        ids=ids[used],
        is_post=parts.joined("is_post")[order][used],
        confidence=parts.joined("confidence")[order][used],
        supervoxels=supervoxels[used],
        bodies=bodies[used],
        pre=new_place[pre],
        post=new_place[post],
        notes=tuple(f"{annotation}: left out {count:,} {what}" for what, count in left_out.items() if count),
    )


def coordinates(ids: Ids) -> dict[str, npt.NDArray[np.int32]]:
    """x, y and z of points."""
    return {axis: _coordinate(ids >> np.uint64(_BITS * number)) for number, axis in enumerate("xyz")}


def _coordinate(bits: Ids) -> npt.NDArray[np.int32]:
    number = (bits & np.uint64(2 * _LIMIT - 1)).astype(np.int64)
    return np.where(number >= _LIMIT, number - 2 * _LIMIT, number).astype(np.int32)


class _Parts:
    """Columns as they come, in parts. Their memory is given back when a column is joined."""

    def __init__(self) -> None:
        self._parts: dict[str, list[npt.NDArray[Any]]] = {}

    def add(self, **columns: npt.NDArray[Any]) -> None:
        for name, part in columns.items():
            self._parts.setdefault(name, []).append(part)

    def joined(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate(self._parts.pop(name, [np.empty(0, np.int64)]))


def _add(parts: _Parts, batch: pa.RecordBatch) -> None:
    """The synapses of a batch, and the pairs that they name."""
    synapses = batch.filter(pc.is_in(batch["kind"], pa.array(KINDS)))
    points = synapses.filter(_near(synapses))
    ids = _ids(points)
    is_post = pc.equal(points["kind"], POST).to_numpy(zero_copy_only=False)
    own, targets = _relations(points, is_post)
    near = _near(targets)
    own, other = own[near.to_numpy(zero_copy_only=False)], _ids(targets.filter(near))
    confidence, no_number = _confidences(points["prop"])
    parts.add(
        ids=ids,
        is_post=is_post,
        confidence=confidence,
        no_number=np.array([no_number]),
        far_off=np.array([len(synapses) - len(points) + len(targets) - len(other)]),
        ordinal=points["ordinal"].to_numpy(),
        supervoxels=points["sv"].fill_null(0).to_numpy(),
        pre=np.where(is_post[own], other, ids[own]),
        post=np.where(is_post[own], ids[own], other),
    )


def _relations(points: pa.RecordBatch, is_post: npt.NDArray[np.bool_]) -> tuple[Places, pa.RecordBatch]:
    """Those between a PreSyn and a PostSyn: the place of the point that names it, and the other point."""
    relations = points["rels"]
    own = np.repeat(np.arange(len(points)), relations.value_lengths().fill_null(0).to_numpy())
    targets = pa.RecordBatch.from_struct_array(relations.flatten())
    names = pa.array(np.where(is_post[own], "PostSynTo", "PreSynTo"), pa.string())
    named = pc.equal(targets["rel"], names).fill_null(False)
    return own[named.to_numpy(zero_copy_only=False)], targets.filter(named)


def _near(points: pa.RecordBatch) -> pa.Array:
    """Whether a point has an id: each coordinate has 21 bits in it."""
    places = np.array([points[axis].to_numpy() for axis in "xyz"]).reshape(3, len(points))
    return pa.array(((places >= -_LIMIT) & (places < _LIMIT)).all(axis=0))


def _ids(points: pa.RecordBatch) -> Ids:
    """As neuclease's `encode_coords_to_uint64` makes them."""
    found = np.zeros(len(points), np.uint64)
    for axis in "zyx":
        bits = points[axis].to_numpy().astype(np.int64) & (2 * _LIMIT - 1)
        found = (found << np.uint64(_BITS)) | bits.astype(np.uint64)
    return found


def _pairs(ids: Ids, pre: Ids, post: Ids) -> tuple[Places, Places, int]:
    """Each pair once, by places among the ids, in order; and how many name a point that is not there."""
    pre_place, post_place = np.searchsorted(ids, pre), np.searchsorted(ids, post)
    last = len(ids) - 1
    there = (ids[np.minimum(pre_place, last)] == pre) & (ids[np.minimum(post_place, last)] == post)
    pairs = pre_place[there].astype(np.int64) * len(ids) + post_place[there]
    del pre, post, pre_place, post_place
    # numpy's own `unique` takes several times the memory and the time.
    pairs.sort()
    pairs = pairs[np.append(pairs[:-1] != pairs[1:], True)] if len(pairs) else pairs
    return pairs // len(ids), pairs % len(ids), int(np.count_nonzero(~there))


def _confidences(properties: pa.MapArray) -> tuple[npt.NDArray[np.float32], int]:
    """Of each point; and how many have one that is no number."""
    texts = pc.map_lookup(properties, "conf", "first").fill_null("0")
    try:
        return texts.cast(pa.float32()).to_numpy(zero_copy_only=False), 0
    except pa.ArrowInvalid:
        numbers = [_number(text) for text in texts.to_pylist()]
    return np.array([each or 0.0 for each in numbers], np.float32), numbers.count(None)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
