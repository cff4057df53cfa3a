"""Items of two sides, in any order and any pages."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.differences.digest import Numbers, Page, Wanted, named, numbered
from dvidsync_dagster.differences.items import Pair, find
from dvidsync_dagster.differences.sides import Kind

Items = dict[int, int]
ITEMS = st.dictionaries(st.integers(0, 50), st.integers(0, 3), max_size=30)


KIND = Kind("items", "others", lambda _side, _wanted: iter(()))
ASKED = Kind("items", "others", lambda _side, _wanted: iter(()), values=lambda _side, _keys: np.array([]))


class Listed:
    """A side that is no server: what it lists, one reading after the other. The last one stays.

    Args:
        unlisted: is there all the same, if it is asked for.
    """

    version = "v"

    def __init__(
        self, name: str, *readings: Items, text: bool = False, unlisted: Items | None = None
    ) -> None:
        self.name = name
        self.readings = list(readings)
        self.text = text
        self.unlisted = unlisted or {}

    def pages(self, kind: Kind, _wanted: Wanted | None) -> Iterator[Page]:
        assert kind.name == "items"
        items = list((self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]).items())
        random.Random(self.name).shuffle(items)
        for start in range(0, len(items), 7):
            keys, values = zip(*items[start : start + 7], strict=True)
            if self.text:
                texts = [str(key) for key in keys]
                yield named(texts, (key.encode() for key in texts), values)
            else:
                yield numbered(np.array(keys, np.uint64), np.array(values, np.uint64))

    def values(self, kind: Kind, keys: Sequence[Any]) -> Numbers:
        assert kind.name == "items"
        return np.array([(self.readings[-1] | self.unlisted).get(key, 0) for key in keys], np.uint64)

    def records(self, kind: Kind) -> Iterator[tuple[Any, Any]]:
        raise AssertionError(f"{kind.name} have no records")


def found(
    source: Listed, destination: Listed, *, kind: Kind = KIND, settled: bool = True
) -> dict[int, tuple[int | None, int | None]]:
    differing, count = find(kind, Pair(source, destination, settled))
    assert count <= 50
    if differing is None:
        return {}
    return {
        int(key): (int(here) if at_source else None, int(there) if at_destination else None)
        for key, here, there, at_source, at_destination in zip(
            differing.keys,
            differing.source,
            differing.destination,
            differing.at_source,
            differing.at_destination,
            strict=True,
        )
    }


@pytest.mark.parametrize("text", [False, True])
@given(source=ITEMS, destination=ITEMS)
def test_exactly_what_differs_is_found(text: bool, source: Items, destination: Items) -> None:
    expected = {
        key: (source.get(key), destination.get(key))
        for key in source.keys() | destination.keys()
        if source.get(key) != destination.get(key)
    }
    here, there = Listed("source", source, text=text), Listed("destination", destination, text=text)
    assert found(here, there) == expected


def test_what_is_written_while_it_is_read_is_no_difference() -> None:
    one, other = {1: 1, 2: 2}, {1: 1, 2: 5}

    def seen(*readings: Items, settled: bool) -> dict[int, tuple[int | None, int | None]]:
        return found(Listed("source", *readings), Listed("destination", other), settled=settled)

    # The second reading agrees; in an open version the third one counts, too.
    assert seen(one, other, settled=True) == {}
    assert seen(one, one, other, settled=False) == {}
    assert seen(one, one, {1: 1, 2: 7}, settled=False) == {}
    assert seen(one, settled=False) == {2: (2, 5)}


def test_what_is_not_listed_is_asked_for() -> None:
    here = Listed("source", {1: 10, 2: 20, 3: 30})
    there = Listed("destination", {1: 11}, unlisted={2: 20})
    assert found(here, there, kind=ASKED) == {1: (10, 11), 3: (30, None)}
