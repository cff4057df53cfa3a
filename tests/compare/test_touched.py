"""What events explain, by the kind of what differs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from dvidsync_dagster.differences.digest import Page, Wanted, numbered
from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.differences.items import Found, differing
from dvidsync_dagster.differences.sides import DvidSide, Kind
from dvidsync_dagster.differences.touched import Touched


def nothing(_side: DvidSide, _wanted: Wanted | None) -> Iterator[Page]:
    return iter(())


def found(kind: Kind) -> Found:
    """Items 1 to 3, with values 11 to 13 at the source and 21 to 23 at the destination."""
    keys = np.array([1, 2, 3], np.uint64)
    return differing(kind, numbered(keys, keys + np.uint64(10)), numbered(keys, keys + np.uint64(20)))


@pytest.mark.parametrize(
    ("version", "instance", "kind", "explained"),
    [
        ("v", "", DifferenceKind.NOTE, True),
        ("w", "", DifferenceKind.NOTE, False),
        ("", "made", DifferenceKind.INSTANCE_ONLY_AT_SOURCE, True),
        ("", "counted", DifferenceKind.INSTANCE_ONLY_AT_SOURCE, False),
        ("", "counted", DifferenceKind.COUNTER, True),
        ("w", "counted", DifferenceKind.HIGHEST_ID, True),
        ("", "made", DifferenceKind.COUNTER, False),
    ],
)
def test_rows(version: str, instance: str, kind: DifferenceKind, explained: bool) -> None:
    touched = Touched(versions={"v"}, instances={"made"}, counters={"counted"})
    # What it says does not count.
    for what in ("label", "instance", "anything"):
        assert touched.explains(Difference(version, instance, what, 1, (), kind)) is explained


def test_items_by_their_keys_in_a_version_or_its_ancestors() -> None:
    touched = Touched()
    touched.add_items("labels", "parent", [1, 12, 23])
    kind = Kind("items", "others", nothing)
    assert touched.among(found(kind), "labels", ["child", "parent"]).tolist() == [True, False, False]
    assert not touched.among(found(kind), "labels", ["child"]).any()
    assert not touched.among(found(kind), "others", ["parent"]).any()


def test_items_by_what_their_value_names() -> None:
    touched = Touched()
    touched.add_items("labels", "v", [1, 12, 23])
    kind = Kind("items", "others", nothing, touched_by_value=True)
    assert touched.among(found(kind), "labels", ["v"]).all()


def test_items_that_follow_from_others() -> None:
    touched = Touched(derived={("labels", "v")})
    assert touched.among(found(Kind("blocks", "others", nothing, is_derived=True)), "labels", ["v"]).all()
    assert not touched.among(found(Kind("items", "others", nothing)), "labels", ["v"]).any()


def test_everything_where_it_cannot_be_told_what_is_touched() -> None:
    touched = Touched(whole={("labels", "v")})
    assert touched.among(found(Kind("items", "others", nothing)), "labels", ["v"]).all()


def test_rows_of_items_tell_of_which_kind_they_are() -> None:
    rows = list(found(Kind("items", "others", nothing)).rows("v", "labels"))
    assert [(row.kind, row.items, row.count) for row in rows] == [(DifferenceKind.ITEMS, "items", 3)]
    assert set(rows[0].as_json()) == {"version", "instance", "what", "count", "examples"}
