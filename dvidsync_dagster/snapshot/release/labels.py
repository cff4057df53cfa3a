"""The files of a labelmap, and which body a supervoxel belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.outgoing_text import counted
from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.release.feather import in_batches, write

Labels = npt.NDArray[np.int64]

_MAPPING = pa.schema([("sv", pa.uint64()), ("body", pa.uint64())])
_SIZES = pa.schema([("body", pa.int64()), ("size", pa.int64())])
_MANY = 1 << 22


def write_mapping(dataset: Dataset, labelmap: str, path: Path) -> None:
    """Supervoxels with their bodies, by supervoxel; a supervoxel that is its own body alone is left out.

    Holds some 40 bytes a row of the file in memory.
    """
    bodies = _with_others(dataset, labelmap)
    kept: list[tuple[Labels, Labels]] = []
    for supervoxels, body in _mapping(dataset, labelmap):
        rows = (supervoxels != body) | _among(body, bodies)
        kept.append((supervoxels[rows], body[rows]))
    supervoxels, body = _joined(kept)
    order = np.argsort(supervoxels)
    write(path, _MAPPING, in_batches(_MAPPING, {"sv": supervoxels, "body": body}, order))


def write_sizes(dataset: Dataset, labelmap: str, notes: list[str], path: Path) -> None:
    """Bodies with their voxels, by body. Holds some 40 bytes a body in memory.

    Args:
        notes: is told of bodies whose voxels are unknown: they are left out.
    """
    found, unknown = [], 0
    for batch in dataset.batches(f"{labelmap}/bodies", ["body", "voxels"]):
        known = batch.filter(batch["voxels"].is_valid())
        unknown += len(batch) - len(known)
        found.append((_numbers(known, "body"), _numbers(known, "voxels")))
    if unknown:
        notes.append(
            f"{labelmap}: left out the sizes of {counted(unknown, 'body', 'bodies')}, which are not known"
        )
    body, voxels = _joined(found)
    write(path, _SIZES, in_batches(_SIZES, {"body": body, "size": voxels}, np.argsort(body)))


def bodies_of(dataset: Dataset, labelmap: str, supervoxels: Labels) -> Labels:
    """The bodies of supervoxels, which ascend and are each there once. One that is not mapped is its own."""
    bodies = supervoxels.copy()
    for mapped, body in _mapping(dataset, labelmap):
        place = np.minimum(np.searchsorted(supervoxels, mapped), len(supervoxels) - 1)
        asked = supervoxels[place] == mapped if len(supervoxels) else np.zeros(len(mapped), bool)
        bodies[place[asked]] = body[asked]
    return bodies


def _with_others(dataset: Dataset, labelmap: str) -> Labels:
    """Bodies that have a supervoxel with another label, ascending."""
    found, waiting, rows = np.empty(0, np.int64), [], 0
    for supervoxels, body in _mapping(dataset, labelmap):
        waiting.append(np.unique(body[supervoxels != body]))
        rows += len(waiting[-1])
        if rows > _MANY:
            found, waiting, rows = np.unique(np.concatenate([found, *waiting])), [], 0
    return np.unique(np.concatenate([found, *waiting]))


def _mapping(dataset: Dataset, labelmap: str) -> Iterator[tuple[Labels, Labels]]:
    for batch in dataset.batches(f"{labelmap}/mapping", ["sv", "body"]):
        yield _numbers(batch, "sv"), _numbers(batch, "body")


def _numbers(batch: pa.RecordBatch, column: str) -> Labels:
    numbers: Labels = batch[column].to_numpy(zero_copy_only=False)
    return numbers


def _among(values: Labels, ascending: Labels) -> npt.NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: npt.NDArray[np.bool_] = ascending[place] == values
    return found


def _joined(parts: list[tuple[Labels, Labels]]) -> tuple[Labels, Labels]:
    """Columns from parts. Their memory is given back when a column is made of them."""
    columns = []
    split: list[list[Labels]] = [[part[column] for part in parts] for column in (0, 1)]
    parts.clear()
    while split:
        columns.append(np.concatenate([np.empty(0, np.int64), *split.pop(0)]))
    return columns[0], columns[1]
