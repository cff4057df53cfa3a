"""Whatever a neuron's field holds, its column holds it exactly."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.snapshot.release.fields import Kinds, column

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
VALUES = st.one_of(
    st.none(), SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(), SCALARS, max_size=2)
)
ALIKE = st.sampled_from(
    [st.booleans(), st.integers(-9, 9), st.integers(2**60, 2**62), st.floats(0, 1), st.text(), st.none()]
).flatmap(lambda kind: st.lists(st.one_of(st.none(), kind, st.lists(kind, max_size=2))))


def type_for(values: list[Any]) -> pa.DataType | None:
    kinds = Kinds()
    for value in values:
        kinds.add(value)
    return kinds.type


@given(st.one_of(st.lists(VALUES), ALIKE))
def test_a_column_holds_each_value_exactly(values: list[Any]) -> None:
    kind = type_for(values)
    if kind is None:
        assert all(value is None for value in values)
        return
    for value, found in zip(values, column(values, kind).to_pylist(), strict=True):
        if value is None or not pa.types.is_string(kind) or isinstance(value, str):
            assert same(found, value)
        else:
            assert same(orjson.loads(found), value)


def same(found: Any, value: Any) -> bool:
    if isinstance(value, list):
        return len(found) == len(value) and all(map(same, found, value))
    if isinstance(value, float) or isinstance(found, float):
        return math.isclose(found, value, rel_tol=0) and float(found) == float(value)
    return type(found) is type(value) and bool(found == value)


def test_what_is_alike_has_a_type_of_its_own() -> None:
    cases: list[tuple[list[Any], pa.DataType]] = [
        ([True, None], pa.bool_()),
        ([1, 2**62], pa.int64()),
        ([1, 0.5], pa.float64()),
        ([2**62, 0.5], pa.string()),
        ([2**63], pa.string()),
        (["a", 1], pa.string()),
        ([{"a": 1}], pa.string()),
        ([[1, 2], []], pa.list_(pa.int64())),
        ([[1, 0.5]], pa.list_(pa.float64())),
        ([["a"], [1]], pa.string()),
        ([[1], 1], pa.string()),
        ([[[1]]], pa.string()),
        ([[]], pa.list_(pa.string())),
    ]
    for values, wanted in cases:
        assert type_for(values) == wanted, values
