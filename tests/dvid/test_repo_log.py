"""When instances were made, as the repo's log tells it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvid_sandbox.golang import go_quote
from dvidsync_dagster.dvid.repo_log import births, born

SECOND = 1_000_000_000
NAMES = st.text(max_size=8) | st.sampled_from(['"', "\\", "a b", "é", "\u2028", 'x" to "y', "a\n"])


def made(name: str, second: int) -> str:
    return f'1970-01-01T00:00:{second:02d}Z  New data instance {go_quote(name)} of type "keyvalue" with x'


def renamed(old: str, new: str) -> str:
    return f"1970-01-01T00:00:00Z  Renamed data instance {go_quote(old)} to {go_quote(new)}"


@given(st.lists(st.tuples(NAMES, st.integers(1, 59)), max_size=5))
def test_whatever_a_name_holds(instances: list[tuple[str, int]]) -> None:
    log = [made(name, second) for name, second in instances]
    for name, _ in instances:
        assert births(log, name) == [second * SECOND for each, second in instances if each == name]
    assert born(log) == {name: second * SECOND for name, second in instances}


def test_an_instance_keeps_its_birth_when_it_gets_another_name() -> None:
    log = [made("a", 1), made("b", 2), renamed("a", "c"), renamed("b", "a"), renamed("c", "b")]
    assert born(log) == {"a": 2 * SECOND, "b": 1 * SECOND}
    log += ["1970-01-01T00:00:09Z  Delete data instance 'a' of type 'keyvalue'", made("a", 10)]
    assert born(log) == {"a": 10 * SECOND, "b": 1 * SECOND}
    assert births(log, "a") == [1 * SECOND, 10 * SECOND]
    assert "x" not in born([*log, renamed("x", "y")])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "New data instance",
        'now  New data instance "a" of type "keyvalue"',
        '9999999-01-01T00:00:00Z  New data instance "a" of type "keyvalue"',
        '1970-01-01T00:00:00Z  New data instance "a of type',
        '1970-01-01T00:00:00Z  New data instance "a\\',
        "1970-01-01T00:00:00Z  " + '\\"' * 10_000,
    ],
)
def test_what_people_wrote_does_no_harm(line: str) -> None:
    assert born([line]) == {}
    assert births([line], "a") == []


def test_times_have_zones_and_letters_can_be_written_by_their_numbers() -> None:
    log = [r'1970-01-01T01:00:05+01:00  New data instance "\u00e9\x41\U0001f600\q\t" of type']
    assert born(log) == {"éA😀q\t": 5 * SECOND}
