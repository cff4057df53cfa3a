"""All bodies of a version, read from the source into arrays."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.datatypes.labelmap.snapshot.tables import TIME, unfit
from dvidsync_dagster.dvid.label_lists import indices, size_pairs
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.times import line_time
from dvidsync_dagster.snapshot.table import HIGHEST

INDICES_AT_ONCE = 4_000
"""Labels in one request: some megabytes, unless many large bodies come together."""

_REQUESTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class AllBodies:
    """Arrays of one length, sorted by `labels`.

    Args:
        holds_itself: the body has the supervoxel of its own label in its first block. The others can have it
            all the same.
        changed: `last_mutation`, `last_user` and `last_time`, as the table has them.
    """

    labels: npt.NDArray[np.int64]
    voxels: npt.NDArray[np.int64]
    holds_itself: npt.NDArray[np.bool_]
    changed: pa.Table

    def __len__(self) -> int:
        return len(self.labels)

    def places(self, labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Where these labels are, and which of them are bodies: the places of the others mean nothing."""
        places = np.searchsorted(self.labels, labels)
        places[places == len(self.labels)] = 0
        there = self.labels[places] == labels if len(self.labels) else np.zeros(len(labels), np.bool_)
        return places, there


def read_bodies(source: Labelmap, version: str, table: str) -> AllBodies:
    """Sizes from one list, and at the same time the bodies' indices for what changed them last.

    Args:
        table: its path, for messages.

    Raises:
        Unfit: a number from 2^63 up.
        ServerError: the source does not answer.
    """
    pages: list[npt.NDArray[np.int64]] = []
    changes: list[Future[_Changed]] = []
    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        try:
            for pairs in size_pairs(source.client, version, source.name):
                # Label 0 is the background, which a renumber can give an index.
                page = pairs[pairs[:, 0] != 0]
                if len(page) and page.max() > HIGHEST:
                    raise unfit(table, int(page.max()), f"the list of bodies of version {version}")
                pages.append(page.astype(np.int64))
                labels = page[:, 0].tolist()
                for start in range(0, len(labels), INDICES_AT_ONCE):
                    some = labels[start : start + INDICES_AT_ONCE]
                    changes.append(pool.submit(_read_changed, source, version, some, table))
            parts = [change.result() for change in changes]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    every = np.concatenate(pages) if pages else np.empty((0, 2), np.int64)
    return AllBodies(
        np.ascontiguousarray(every[:, 0]),
        np.ascontiguousarray(every[:, 1]),
        np.concatenate([part.holds_itself for part in parts] or [np.empty(0, np.bool_)]),
        pa.Table.from_batches([part.rows for part in parts], _CHANGED),
    )


_CHANGED = pa.schema(
    [
        ("last_mutation", pa.int64()),
        ("last_user", pa.dictionary(pa.int32(), pa.string())),
        ("last_time", TIME),
    ]
)


@dataclass(frozen=True, slots=True)
class _Changed:
    holds_itself: npt.NDArray[np.bool_]
    rows: pa.RecordBatch


def _read_changed(source: Labelmap, version: str, labels: Sequence[int], table: str) -> _Changed:
    holds_itself, mutations, users, times = [], [], [], []
    for label, index in indices(source.client, version, source.name, labels):
        holds_itself.append(_holds_itself(index, label))
        if index.last_mutid > HIGHEST:
            raise unfit(table, index.last_mutid, f"the last mutation of body {label} in version {version}")
        mutations.append(index.last_mutid or None)
        users.append(index.last_mod_user or None)
        times.append(microseconds(index.last_mod_time))
    columns = [
        pa.array(mutations, pa.int64()),
        pa.array(users, pa.string()).dictionary_encode(),
        pa.array(times, pa.int64()).cast(TIME),
    ]
    return _Changed(np.array(holds_itself, np.bool_), pa.record_batch(columns, _CHANGED))


def _holds_itself(index: LabelIndex, label: int) -> bool:
    """Whether the first block of an index has the supervoxel of the body's own label."""
    return any(count.key == label for block in index.blocks[:1] for count in block.value.counts)


@lru_cache(maxsize=1024)
def microseconds(text: str) -> int | None:
    """Since 1970; None for what is no time with its zone."""
    return line_time(text) // 1000 or None
