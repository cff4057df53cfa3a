"""All bodies of a version, read from the source into arrays, some at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dvidsync_dagster.datatypes.labelmap.snapshot.tables import TIME, unfit
from dvidsync_dagster.dvid.label_lists import existing_labels, told_by_indices
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.times import line_time
from dvidsync_dagster.snapshot.table import HIGHEST

INDICES_AT_ONCE = 16_000
"""Labels in one request: some megabytes, unless many large bodies come together."""
_REQUESTS_AT_ONCE = 3


_CHANGED = pa.schema(
    [
        ("last_mutation", pa.int64()),
        ("last_user", pa.dictionary(pa.int32(), pa.string())),
        ("last_time", TIME),
    ]
)


@dataclass(frozen=True, slots=True)
class SomeBodies:
    """Arrays of one length, sorted by `labels`.

    Args:
        holds_itself: the body has the supervoxel of its own label.
        changed: `last_mutation`, `last_user` and `last_time`, as the table has them.
    """

    labels: npt.NDArray[np.int64]
    voxels: npt.NDArray[np.int64]
    holds_itself: npt.NDArray[np.bool_]
    changed: pa.RecordBatch


def places_in(
    ids: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Where some ids are in an ascending array, and which of them: the places of the others mean nothing."""
    if (wanted[1:] >= wanted[:-1]).all():
        places = np.searchsorted(ids, wanted)
    else:
        # Looked up in their order, millions take a fifth of the time.
        order = np.argsort(wanted)
        places = np.empty(len(wanted), np.intp)
        places[order] = np.searchsorted(ids, wanted[order])
    places[places == len(ids)] = 0
    return places, ids[places] == wanted if len(ids) else np.zeros(len(wanted), np.bool_)


@contextmanager
def reading_bodies(source: Labelmap, version: str, table: str) -> Iterator[Iterator[SomeBodies]]:
    """All bodies, in the order of their labels. The list of them is read first; while it comes, and as long
    as the context lasts, their indices are read ahead: all that a body has is told by its index.

    Args:
        table: its path, for messages.

    Raises:
        Unfit: a number from 2^63 up.
        ServerError: the source does not answer.
    """
    reading: deque[Future[SomeBodies]] = deque()
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        try:
            for listed in existing_labels(source.client, version, source.name):
                # Label 0 is the background, which a renumber can give an index.
                page = listed[listed != 0]
                if len(page) and page.max() > HIGHEST:
                    raise unfit(table, int(page.max()), f"the list of bodies of version {version}")
                for start in range(0, len(page), INDICES_AT_ONCE):
                    some = page[start : start + INDICES_AT_ONCE].astype(np.int64)
                    reading.append(pool.submit(_read_some, source, version, some, table))
            yield (reading.popleft().result() for _ in range(len(reading)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read_some(source: Labelmap, version: str, labels: npt.NDArray[np.int64], table: str) -> SomeBodies:
    told = told_by_indices(source.client, version, source.name, labels.tolist())
    mutations = told.last_mutation
    if mutations.max(initial=0) > HIGHEST:
        place = int(mutations.argmax())
        label, mutation = int(labels[place]), int(mutations[place])
        raise unfit(table, mutation, f"the last mutation of body {label} in version {version}")
    times = told.last_time.dictionary_encode()
    known = pa.array([microseconds(text) for text in times.dictionary.to_pylist()], pa.int64())
    columns = [
        pa.array(mutations.astype(np.int64), mask=mutations == 0),
        pc.if_else(pc.equal(told.last_user, ""), None, told.last_user).dictionary_encode(),
        known.take(times.indices).cast(TIME),
    ]
    return SomeBodies(labels, told.voxels, told.holds_itself, pa.record_batch(columns, _CHANGED))


@lru_cache(maxsize=1024)
def microseconds(text: str) -> int | None:
    """Since 1970; None for what is no time with its zone."""
    return line_time(text) // 1000 or None
