"""The files of a connectome: points, partners, weights and bodies, as flyem-snapshot writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.snapshot.release.feather import BATCH_ROWS, in_batches, write
from dvidsync_dagster.snapshot.release.labels import Labels
from dvidsync_dagster.snapshot.release.neuprint import STATUSES
from dvidsync_dagster.snapshot.release.synapses import KINDS, Synapses, coordinates

_POINTS = pa.schema(
    [
        ("x", pa.int32()),
        ("y", pa.int32()),
        ("z", pa.int32()),
        ("kind", pa.dictionary(pa.int8(), pa.string())),
        ("conf", pa.float32()),
        ("sv", pa.int64()),
        ("body", pa.int64()),
        ("point_id", pa.uint64()),
    ]
)
_SIDE = (
    ("x", pa.int32()),
    ("y", pa.int32()),
    ("z", pa.int32()),
    ("body", pa.int64()),
    ("conf", pa.float32()),
)
_PARTNERS = pa.schema(
    [
        *((f"{name}_{side}", kind) for side in ("pre", "post") for name, kind in _SIDE),
        ("pre_id", pa.uint64()),
        ("post_id", pa.uint64()),
    ]
)
_WEIGHTS = pa.schema([("body_pre", pa.int64()), ("body_post", pa.int64()), ("weight", pa.int64())])


def write_points(synapses: Synapses, path: Path) -> None:
    """A row a point. pandas has `point_id` as index."""
    write(path, _POINTS.with_metadata(_indexed_by("point_id")), _point_batches(synapses))


def write_partners(synapses: Synapses, path: Path) -> None:
    """A row a pair. `pre_id` and `post_id`, which stand last, are what flyem-snapshot takes in."""
    write(path, _PARTNERS, _partner_batches(synapses))


def write_weights(synapses: Synapses, path: Path) -> None:
    """A row a pair of bodies with how many pairs of points they have, the strongest first."""
    bodies, place = np.unique(synapses.bodies, return_inverse=True)
    pairs, weight = np.unique(
        place[synapses.pre].astype(np.int64) * len(bodies) + place[synapses.post], return_counts=True
    )
    columns = {
        "body_pre": bodies[pairs // len(bodies)],
        "body_post": bodies[pairs % len(bodies)],
        "weight": weight,
    }
    write(path, _WEIGHTS, in_batches(_WEIGHTS, columns, np.argsort(-weight, kind="stable")))


def write_stats(synapses: Synapses, neurons: pa.Table | None, path: Path) -> None:
    """A row a body with its synapses, those with most of them first.

    Args:
        neurons: `body` and what else is shown of bodies, by body; `status` is called `status_fine`.
    """
    bodies, place = np.unique(synapses.bodies, return_inverse=True)
    pre = _count(place[~synapses.is_post], bodies)
    post = _count(place[synapses.is_post], bodies)
    downstream = _count(place[synapses.pre], bodies)
    weight = downstream + post
    order = np.argsort(-weight, kind="stable")
    columns = {"body": pa.array(bodies), "pre": pa.array(pre, pa.int32()), "post": pa.array(post, pa.int32())}
    columns |= _shown(bodies, neurons)
    columns |= {"downstream": pa.array(downstream), "synweight": pa.array(weight)}
    schema = pa.schema([*((name, column.type) for name, column in columns.items()), ("rank", pa.int64())])
    rank = np.empty(len(bodies), np.int64)
    rank[order] = np.arange(1, len(bodies) + 1)
    write(path, schema, in_batches(schema, {**columns, "rank": rank}, order))


def _shown(bodies: Labels, neurons: pa.Table | None) -> dict[str, pa.Array]:
    if neurons is None:
        return {}
    known = neurons["body"].to_numpy()
    place = np.searchsorted(known, bodies)
    there = np.zeros(len(bodies), bool)
    inside = place < len(known)
    there[inside] = known[place[inside]] == bodies[inside]
    rows = pa.array(place, mask=~there)
    return {
        {"status": "status_fine"}.get(name, name): _filled(neurons[name].combine_chunks().take(rows))
        for name in neurons.column_names
        if name != "body"
    }


def _filled(shown: pa.Array) -> pa.Array:
    """A body that is no neuron has the empty status, as in flyem-snapshot."""
    if not pa.types.is_dictionary(shown.type):
        return shown
    places = shown.indices.fill_null(STATUSES.index(""))
    return pa.DictionaryArray.from_arrays(places, pa.array(STATUSES), ordered=True)


def _count(places: npt.NDArray[np.int64], bodies: Labels) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = np.bincount(places, minlength=len(bodies)).astype(np.int64)
    return counts


def _point_batches(synapses: Synapses) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(synapses.ids), BATCH_ROWS):
        rows = slice(first, first + BATCH_ROWS)
        kind = pa.DictionaryArray.from_arrays(synapses.is_post[rows].astype(np.int8), pa.array(KINDS))
        columns = {
            **coordinates(synapses.ids[rows]),
            "kind": kind,
            "conf": synapses.confidence[rows],
            "sv": synapses.supervoxels[rows],
            "body": synapses.bodies[rows],
            "point_id": synapses.ids[rows],
        }
        yield pa.record_batch([columns[name] for name in _POINTS.names], _POINTS)


def _partner_batches(synapses: Synapses) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(synapses.pre), BATCH_ROWS):
        columns: dict[str, npt.NDArray[Any]] = {}
        for side, places in (("pre", synapses.pre), ("post", synapses.post)):
            points = places[first : first + BATCH_ROWS]
            ids = synapses.ids[points]
            columns |= {f"{axis}_{side}": values for axis, values in coordinates(ids).items()}
            columns |= {
                f"body_{side}": synapses.bodies[points],
                f"conf_{side}": synapses.confidence[points],
                f"{side}_id": ids,
            }
        yield pa.record_batch([columns[name] for name in _PARTNERS.names], _PARTNERS)


def _indexed_by(name: str) -> dict[bytes, bytes]:
    """What pandas notes in a file of the schema of points that has this index."""
    frame = _POINTS.empty_table().to_pandas().set_index(name)
    return dict(pa.Schema.from_pandas(frame).metadata)
