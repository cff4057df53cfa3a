"""JSON answers cut anywhere come out whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.dvid.json_stream import list_items, list_texts, object_fields
from dvidsync_dagster.errors import ServerFailed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def cut(content: bytes, length: int) -> Iterator[bytes]:
    return (content[start : start + length] for start in range(0, len(content), length))


@given(values=st.lists(VALUES, max_size=5), length=st.integers(1, 20), indent=st.none() | st.integers(0, 2))
def test_lists(values: list[Any], length: int, indent: int | None) -> None:
    content = json.dumps(values, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert list(list_items(cut(content, length), "GET x")) == json.loads(content.decode("utf-8", "replace"))


@given(values=st.dictionaries(st.text(max_size=3), VALUES, max_size=5), length=st.integers(1, 20))
def test_objects(values: dict[str, Any], length: int) -> None:
    content = json.dumps(values).encode()
    assert dict(object_fields(cut(content, length), "GET x")) == values


@pytest.mark.parametrize("nothing", [b"", b"null", b"null\n", b"[]", b" [ ] "])
def test_nothing(nothing: bytes) -> None:
    assert list(list_items(iter([nothing]), "GET x")) == []


@pytest.mark.parametrize(
    "broken",
    [b"[1, 2", b'["a', b"[1 2]", b"{}", b"[1]error: out of disk", b"[1,]", b"12", b"[NaN]", b"[-Infinity]"],
)
def test_what_is_broken_is_an_error(broken: bytes) -> None:
    with pytest.raises(ServerFailed, match="GET x: is not the JSON that it should be"):
        list(list_items(iter([broken]), "GET x"))


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 - 1, -(2**63)])
def test_whole_numbers_stay_exact(number: int) -> None:
    assert list(list_items(iter([b"[%d, 0.5]" % number]), "GET x")) == [number, 0.5]


@given(values=st.lists(VALUES, min_size=1, max_size=5), length=st.integers(1, 20), data=st.data())
def test_what_breaks_off_is_an_error(values: list[Any], length: int, data: st.DataObject) -> None:
    content = json.dumps(values).encode()
    part = content[: data.draw(st.integers(1, len(content) - 1))]
    with pytest.raises(ServerFailed, match="is not the JSON that it should be"):
        list(list_items(cut(part, length), "GET x"))


ODD = st.sampled_from(["1e999", "9" * 5000, "[" * 3000 + "]" * 3000, '{"a":1,"a":2}', '"\\ud800"', "1.50"])


@given(values=st.lists(VALUES.map(json.dumps) | ODD, max_size=4), length=st.integers(1, 5000))
@settings(deadline=None)
def test_texts_are_as_they_are_written(values: list[str], length: int) -> None:
    content = f"[ {' , '.join(values)} ]".encode()
    assert list(list_texts(cut(content, length), "GET x")) == values


@pytest.mark.parametrize("length", [1000, 10**6])
def test_too_deep_is_an_error(length: int) -> None:
    content = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(ServerFailed, match="is not the JSON that it should be"):
        list(list_items(cut(content, length), "GET x"))


@pytest.mark.parametrize("broken", [b"[NaN]", b'[{"a":Infinity}]', b"[" * 3000, b"[1e999", b"[01]", b'["a'])
def test_texts_that_are_broken_are_an_error(broken: bytes) -> None:
    with pytest.raises(ServerFailed, match="is not the JSON that it should be"):
        list(list_texts(iter([broken]), "GET x"))
