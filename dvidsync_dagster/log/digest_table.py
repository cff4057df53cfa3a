"""Digests as tables, which `kept_digests` writes as Parquet.

A row is about one item of one version and instance:

========== ==========================================================================================
column     what it holds
========== ==========================================================================================
``item``   what tells the item apart; `_ALL_ITEMS`: of this place all items are known
``now``    what the item has, or will have
``before`` what it had, where it is not known whether the write was done; else null
``until``  only where ``now`` is what the source had when the destination was met: its changes up to
           then (ns since 1970) are in it; else null
========== ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvidsync_dagster.log.columns import few_texts, few_texts_of, numbers, numbers_of
from dvidsync_dagster.log.digests import NOTHING, Place, Possible

SCHEMA = pa.schema(
    {
        "version": pa.dictionary(pa.int32(), pa.string()),
        "instance": pa.dictionary(pa.int32(), pa.string()),
        "item": pa.uint64(),
        "now": pa.uint64(),
        "before": pa.uint64(),
        "until": pa.uint64(),
    }
)

LATER = ("until",)
"""Files of older releases lack it."""

_ALL_ITEMS = 0

Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ReadRows:
    """What a table tells of one place.

    Args:
        is_complete: all items of the place are known.
        items, digests: what is sure: items, and the digest of each.
        unsure: by item, the two digests of which it has one.
        as_met: by item, what the source had when the destination was met.
        met_until: the source's changes up to then are in `as_met`; None if that is empty.
    """

    place: Place
    is_complete: bool
    items: Numbers
    digests: Numbers
    unsure: Mapping[int, Possible]
    as_met: Mapping[int, int]
    met_until: int | None


def read_rows(table: pa.Table) -> Iterator[ReadRows]:
    """What a table tells, place by place."""
    versions, version_of = few_texts_of(table["version"])
    instances, instance_of = few_texts_of(table["instance"])
    (all_items, _), (all_now, _), (all_before, all_unsure), (all_until, all_as_met) = (
        numbers_of(table[name], np.uint64) for name in ("item", "now", "before", "until")
    )
    place_of = version_of * len(instances) + instance_of
    for number in np.unique(place_of).tolist():
        rows = place_of == number
        items, now, before, until = all_items[rows], all_now[rows], all_before[rows], all_until[rows]
        unsure, as_met = all_unsure[rows], all_as_met[rows]
        sure = ~unsure & ~as_met & (items != _ALL_ITEMS)
        pairs = zip(before[unsure].tolist(), now[unsure].tolist(), strict=True)
        yield ReadRows(
            place=(versions[number // len(instances)], instances[number % len(instances)]),
            is_complete=bool((items == _ALL_ITEMS).any()),
            items=items[sure],
            digests=now[sure],
            unsure=dict(zip(items[unsure].tolist(), pairs, strict=True)),
            as_met=dict(zip(items[as_met].tolist(), now[as_met].tolist(), strict=True)),
            met_until=int(until[as_met][0]) if as_met.any() else None,
        )


def complete(places: Iterable[Place]) -> list[pa.Table]:
    """That all items of these places are known."""
    return [changed(place, {_ALL_ITEMS: (NOTHING,)}) for place in places]


def changed(place: Place, items: Mapping[int, Possible]) -> pa.Table:
    """What is or will be there, and what was there where that is not known to be over."""
    count = len(items)
    now = np.fromiter((each[-1] for each in items.values()), np.uint64, count)
    before = np.fromiter((each[0] for each in items.values()), np.uint64, count)
    unsure = np.fromiter((len(each) > 1 for each in items.values()), np.bool_, count)
    valid = np.packbits(unsure, bitorder="little")
    item = np.fromiter(items, np.uint64, count)
    return _table(place, item, now, before=numbers(pa.uint64(), before, valid))


def sure(place: Place, items: Numbers, digests: Numbers) -> pa.Table:
    """What is there."""
    return _table(place, items, digests)


def as_met(place: Place, digests: Mapping[int, int], until: int) -> pa.Table:
    """What the source had when the destination was met; its changes up to `until` are in it."""
    items, now = arrays(digests)
    return _table(place, items, now, until=numbers(pa.uint64(), np.full(len(items), until, np.uint64)))


def arrays(digests: Mapping[int, int]) -> tuple[Numbers, Numbers]:
    """Items, and the digest of each."""
    count = len(digests)
    return np.fromiter(digests, np.uint64, count), np.fromiter(digests.values(), np.uint64, count)


def _table(
    place: Place,
    items: Numbers,
    now: Numbers,
    *,
    before: pa.Array | None = None,
    until: pa.Array | None = None,
) -> pa.Table:
    none = pa.nulls(len(items), pa.uint64())
    columns = [
        *(few_texts([name], np.zeros(len(items), np.int32)) for name in place),
        numbers(pa.uint64(), items),
        numbers(pa.uint64(), now),
        none if before is None else before,
        none if until is None else until,
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
