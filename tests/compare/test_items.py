"""Items of two servers, in any order and any pages."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.differences.digest import Page, Wanted, named, numbered
from dvidsync_dagster.differences.items import Kind, Pair, Side, find
from dvidsync_dagster.dvid.http import DvidClient

Items = dict[int, int]
ITEMS = st.dictionaries(st.integers(0, 50), st.integers(0, 3), max_size=30)


class Script:
    """What two servers list, one reading after the other. The last one stays."""

    def __init__(self, source: Sequence[Items], copy: Sequence[Items], *, text: bool = False) -> None:
        self.readings = {"source": list(source), "copy": list(copy)}
        self.text = text

    def pages(self, side: Side, _wanted: Wanted | None) -> Iterator[Page]:
        readings = self.readings[side.name]
        items = list((readings.pop(0) if len(readings) > 1 else readings[0]).items())
        random.Random(side.name).shuffle(items)
        for start in range(0, len(items), 7):
            keys, values = zip(*items[start : start + 7], strict=True)
            if self.text:
                texts = [str(key) for key in keys]
                yield named(texts, (key.encode() for key in texts), values)
            else:
                yield numbered(np.array(keys, np.uint64), np.array(values, np.uint64))


def found(script: Script, *, settled: bool = True) -> dict[int, tuple[int | None, int | None]]:
    with DvidClient("http://127.0.0.1:1") as nobody:
        pair = Pair(Side(nobody, "v", "source"), Side(nobody, "v", "copy"), settled)
        differing, count = find(Kind("items", "others", script.pages), pair)
    assert count <= 50
    if differing is None:
        return {}
    return {
        int(key): (int(here) if at_source else None, int(there) if at_copy else None)
        for key, here, there, at_source, at_copy in zip(
            differing.keys,
            differing.source,
            differing.copy,
            differing.at_source,
            differing.at_copy,
            strict=True,
        )
    }


@pytest.mark.parametrize("text", [False, True])
@given(source=ITEMS, copy=ITEMS)
def test_exactly_what_differs_is_found(text: bool, source: Items, copy: Items) -> None:
    expected = {
        key: (source.get(key), copy.get(key))
        for key in source.keys() | copy.keys()
        if source.get(key) != copy.get(key)
    }
    assert found(Script([source], [copy], text=text)) == expected


def test_what_is_written_while_it_is_read_is_no_difference() -> None:
    one, other = {1: 1, 2: 2}, {1: 1, 2: 5}
    # The second reading agrees; in an open version the third one counts, too.
    assert found(Script([one, other], [other])) == {}
    assert found(Script([one, one, other], [other]), settled=False) == {}
    assert found(Script([one, one, {1: 1, 2: 7}], [other]), settled=False) == {}
    assert found(Script([one], [other]), settled=False) == {2: (2, 5)}
