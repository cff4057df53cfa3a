"""Decoding: whatever goes wrong while one record is decoded is that record's fault and nobody else's."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.decode import Decoded, decode_records
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.events.message import shown
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from tests.places import UNJUDGED

ROOT = "0" * 32
TYPES = ("labelmap", "keyvalue", "neuronjson", "annotation")
TOPICS: dict[str, Instance | None] = {name: Instance(name, name, "1" * 32) for name in TYPES}
TOPICS["repo"] = None
GOOD = orjson.dumps(
    {"Action": "merge-complete", "UUID": ROOT, "MutationID": 5, "Target": 1, "Labels": [2], "User": "amy"}
)

ACTIONS = [
    "merge",
    "merge-complete",
    "cleave-complete",
    "renumber-complete",
    "split-complete",
    "split-supervoxel-complete",
    "post-nextlabel",
    "post-maxlabel",
    "setnextlabel",
    "postkv",
    "delete",
    "postneuronjson",
    "element-post",
    "blocks-post",
    "element-delete",
    "element-move",
    "commit",
    "newversion",
    "branch",
    "tag",
    "nodenote",
    "nodelog",
    "newinstance",
]
FIELDS = [
    "Action",
    "UUID",
    "MutationID",
    "Target",
    "Labels",
    "OrigLabel",
    "NewLabel",
    "CleavedLabel",
    "CleavedSupervoxels",
    "DataRef",
    "Split",
    "SVSplits",
    "Supervoxel",
    "Body",
    "SplitSupervoxel",
    "RemainSupervoxel",
    "User",
    "App",
    "Timestamp",
    "Key",
    "Bytes",
    "Point",
    "From",
    "To",
    "Parent",
    "Child",
    "Note",
    "Log",
    "Branch",
    "Tag",
    "Dataname",
    "Typename",
    "MaxLabel",
    "Ceiling",
]


def decode(topic: str, *values: bytes) -> Decoded:
    records = [Record(1000 + n, topic, 0, n, value) for n, value in enumerate(values)]
    return decode_records(records, TOPICS, {}, EraClock(), UNJUDGED)


def jsons() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9)
    leaves |= st.sampled_from([ROOT, "9" * 5000, "a\nb", "\u0661", "1", "../x"])
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))


@given(st.sampled_from(sorted(TOPICS)), st.binary())
def test_no_bytes_raise(topic: str, value: bytes) -> None:
    decode(topic, value, GOOD)


@given(
    st.sampled_from(sorted(TOPICS)),
    st.sampled_from(ACTIONS),
    st.dictionaries(st.sampled_from(FIELDS), jsons()),
)
def test_no_fields_raise_and_the_next_record_is_decoded(
    topic: str, action: str, fields: dict[str, Any]
) -> None:
    value = orjson.dumps({"UUID": ROOT, "MutationID": 1, "Action": action, **fields})
    decoded = decode(topic, value)
    told = len(decoded.undecodable) + len(decoded.announcements)
    told += sum(decoded.not_followed.values()) + sum(decoded.unknown_actions.values())
    assert told == 1
    assert len(decode("labelmap", value, GOOD).announcements) >= 1


@pytest.mark.parametrize("depth", [500, 1000, 1020, 10_000, 400_000])
@pytest.mark.parametrize("around", [b"%s", b'{"Action": %s}', b'{"Action": "merge-complete", "UUID": %s}'])
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_json_is_one_records_fault(depth: int, around: bytes, pair: tuple[bytes, bytes]) -> None:
    decoded = decode("labelmap", around % (pair[0] * depth + b"1" + pair[1] * depth), GOOD)
    ((record, found),) = decoded.undecodable
    assert record.origin.offset == 0
    assert len(found) < 200
    assert len(decoded.announcements) == 1


@pytest.mark.parametrize("digits", [20, 5000, 100_000])
def test_long_numbers_are_one_records_fault(digits: int) -> None:
    long = b"9" * digits
    number = GOOD.replace(b'"Target":1', b'"Target":' + long)
    split = orjson.dumps(
        {
            "Action": "split-complete",
            "UUID": ROOT,
            "MutationID": 6,
            "Target": 5,
            "NewLabel": 9,
            "Split": "ref",
        }
        | {"SVSplits": {long.decode(): {"Split": 1, "Remain": 2}}}
    )
    decoded = decode("labelmap", number, split, GOOD)
    assert len(decoded.undecodable) == 2
    assert all(len(found) < 300 for _, found in decoded.undecodable)
    assert len(decoded.announcements) == 1


@given(jsons())
def test_what_is_shown_of_a_value_is_short(value: Any) -> None:
    assert len(shown(value)) < 500


def test_unknown_actions_are_counted_under_few_short_names() -> None:
    """What a record calls an action ends in the event log."""
    records = [orjson.dumps({"Action": f"{n}-{'x' * 900_000}"[:900_000]}) for n in range(3)]
    records += [orjson.dumps({"Action": f"odd {n}"}) for n in range(200)]
    counted = decode("labelmap", *records).unknown_actions
    assert sum(counted.values()) == 203
    assert len(counted) <= 60
    assert max(map(len, counted)) < 100


def test_what_a_record_calls_an_action_is_shown_as_one_line() -> None:
    counted = decode("labelmap", orjson.dumps({"Action": "a\n\x1b[31mERROR fake\u202e"})).unknown_actions
    assert list(counted) == [r"labelmap a\n\x1b[31mERROR fake\u202e"]
