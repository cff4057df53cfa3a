"""JSON keeps what it says: numbers all their digits, however deep it is nested."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.dvid.exact_json import (
    DEPTH,
    JsonText,
    canonical,
    end_of_value,
    fields_of,
    is_json,
    json_text,
    value_of,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)

numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.booleans(), st.none() | st.integers(0, 2))
def test_fields_are_what_python_reads(fields: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(fields, ensure_ascii=ascii_only, indent=indent)
    assert fields_of(text) == fields
    assert end_of_value(text + ", 1") == len(text)
    # Also where something in it must stay text.
    for odd in ("1e999", deep(DEPTH + 1), "9" * 5000):
        with_odd = text.rstrip()[:-1] + (", " if fields else "") + f'"odd\\u0021" : {odd} }}'
        assert fields_of(with_odd) == {**fields, "odd!": JsonText(odd)}


@given(numbers)
def test_no_number_is_another_one(digits: str) -> None:
    value = value_of(digits)
    if isinstance(value, JsonText):
        assert value.text == digits
    else:
        assert Decimal(repr(value)) == Decimal(digits)
    assert Decimal(json_text(value)) == Decimal(digits)


@pytest.mark.parametrize(
    "kept",
    [
        "1e999",
        "-1e999",
        "1e-999",
        "9007199254740993.0",
        "0.1234567890123456789",
        "[1e999]",
        '{"a":1e999}',
        "1e99999999999999999999",
        "1" * 5000,
        deep(DEPTH + 1),
        deep(50_000),
    ],
)
def test_what_would_change_stays_text(kept: str) -> None:
    assert value_of(f" {kept}\n") == JsonText(kept)
    assert json_text(JsonText(kept)) == kept
    assert is_json(kept)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e23", 1e23), ("1E5", 1e5), ("1.50", 1.5), ("0.1", 0.1), ("0.00", 0.0), (str(2**70), 2**70)],
)
def test_what_does_not_change_is_pythons(text: str, value: float) -> None:
    assert value_of(text) == value


def test_half_a_pair_stays_an_escape() -> None:
    fields = fields_of('{"a":"\\ud800","b":"\\ud83d\\ude00"}')
    assert fields == {"a": "\ud800", "b": "\U0001f600"}
    assert json_text(["\ud800"]) == '["\\ud800"]'
    assert json_text(fields["b"]) == '"\U0001f600"'
    canonical(fields).decode()


def test_the_last_of_a_name_counts() -> None:
    assert fields_of('{"a":1,"a":2}') == {"a": 2}
    assert fields_of('{"a":1e999,"a":2}') == {"a": 2}
    assert fields_of('{"a":1,"a":1e999}') == {"a": JsonText("1e999")}


NO_JSON = [
    "",
    "[",
    "]",
    "[1,]",
    "[1 2]",
    '{"a":1,}',
    '{"a" 1}',
    '{"a":}',
    "{1:2}",
    "NaN",
    "-Infinity",
    '{"a":NaN}',
    "01",
    "1.",
    "-",
    "+1",
    "tru",
    '"\\x"',
    '"a\nb"',
    '"a',
    "1 2",
    "\ufeff1",
    "[}",
    "'a'",
]


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json(text: str) -> None:
    assert not is_json(text)
    # Nor within something that is gone through token by token.
    assert not is_json(deep(DEPTH + 1)[:-1] + f",{text}]")


@pytest.mark.parametrize("text", ["[]", "1", "null", '"a"', deep(DEPTH + 1)])
def test_what_is_no_object(text: str) -> None:
    with pytest.raises(ValueError, match="no object"):
        fields_of(text)


@given(VALUES, st.data())
def test_what_is_cut_off_is_no_json(value: Any, data: st.DataObject) -> None:
    text = json.dumps([value])
    part = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(ValueError, match="no JSON"):
        end_of_value(part, whole=True)


@given(st.text(alphabet='[]{}:,"\\ 01e.-tnul', max_size=12))
def test_the_grammar_is_pythons(text: str) -> None:
    try:
        json.loads(text)
        known = True
    except ValueError:
        known = False
    try:
        end_of_value(text, whole=True)
        found = True
    except ValueError:
        found = False
    assert found == known
