"""How the batched data types fit between versions, labels and chunks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dvidsync_dagster.batch import Batch, make_plan
from dvidsync_dagster.datatypes.annotation.events import PostElements
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.datatypes.keyvalue import PostKey
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import Merge
from dvidsync_dagster.datatypes.labelmap.presence import Presence
from dvidsync_dagster.datatypes.operation import Operation
from dvidsync_dagster.datatypes.registry import Event
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.plan.order import Ordering
from tests.places import UNJUDGED, all_failed

TOPICS: Mapping[str, Instance | None] = {
    "repo": None,
    "seg": Instance(name="seg", typename="labelmap", data_uuid="1"),
    "kv": Instance(name="kv", typename="keyvalue", data_uuid="2"),
    "syn": Instance(name="syn", typename="annotation", data_uuid="3", syncs=("seg",)),
    "roi": Instance(name="roi", typename="roi", data_uuid="4"),
}


class Nowhere:
    """A destination that has nothing yet."""

    def counter_state(self, _instance: str) -> CounterState:
        return CounterState(next_label=1000, was_set=False)

    def find_present(self, _mutations: Sequence[Event], _ordering: Ordering) -> Presence:
        raise AssertionError("nobody looks")


def records(*messages: tuple[str, dict[str, Any]]) -> list[Record]:
    return [
        Record(1000 + number, topic, 0, number, json.dumps(fields).encode())
        for number, (topic, fields) in enumerate(messages)
    ]


def batch(listed: list[Record], *, ended_before: int = 0) -> Batch:
    made = Batch()
    decoded = decode_records(listed, TOPICS, {"roi": "roi roi"}, EraClock(), UNJUDGED)
    assert not decoded.undecodable
    nothing = decode_records([], TOPICS, {}, EraClock(), UNJUDGED)
    made.take_in(decoded, nothing, ended_before=ended_before, ask=all_failed, versions=None)
    return made


def merge(mutation_id: int, *, done: bool, version: str = "v1") -> tuple[str, dict[str, Any]]:
    action = "merge-complete" if done else "merge"
    return "seg", {"Action": action, "MutationID": mutation_id, "Target": 1, "Labels": [2], "UUID": version}


COMMIT = ("repo", {"Action": "commit", "UUID": "v1", "Note": "", "Log": []})
CHILD = ("repo", {"Action": "newversion", "Parent": "v1", "Child": "v2", "Note": ""})


def test_keys_of_a_version_that_cannot_be_made_yet_are_held() -> None:
    key = {"Action": "postkv", "Key": "a", "Bytes": 1}
    made = batch(
        records(
            merge(1, done=False), COMMIT, CHILD, ("kv", {**key, "UUID": "v1"}), ("kv", {**key, "UUID": "v2"})
        )
    )
    plan = make_plan(made, Nowhere(), looking=False)
    assert [m.version for m in plan.applied if isinstance(m, PostKey)] == ["v1"]
    assert [m.version for m in plan.held if isinstance(m, PostKey)] == ["v2"]
    # Held records stay unapplied in the checkpoint, and are in the next chunk.
    assert 4 in [origin.offset for origin in made.unapplied(plan)]
    made.next_chunk(plan)
    assert [(event.version, event.origin.offset) for event in made.data] == [("v2", 4)]


def test_a_commit_waits_for_keys_and_elements() -> None:
    made = batch(
        records(
            COMMIT,
            ("kv", {"Action": "delete", "Key": "a", "UUID": "v1"}),
            ("syn", {"Action": "element-post", "DataRef": "x", "UUID": "v1", "User": "amy"}),
        )
    )
    steps = make_plan(made, Nowhere(), looking=False).steps
    (commit,) = (step for step in steps if step.request.action == "commit")
    assert {steps[before].request.version for before in commit.waits_for} == {"v1"}
    assert len(commit.waits_for) == 2


def test_elements_come_before_the_labels_that_sort_them() -> None:
    made = batch(
        records(
            merge(1, done=True),
            merge(2, done=True, version="v2"),
            ("syn", {"Action": "element-post", "DataRef": "x", "UUID": "v1", "User": "amy"}),
        )
    )
    steps = make_plan(made, Nowhere(), looking=False).steps
    (elements,) = (index for index, step in enumerate(steps) if isinstance(step.request, Operation))
    waiting = {
        step.request.version: elements in step.waits_for for step in steps if isinstance(step.request, Merge)
    }
    assert waiting == {"v1": True, "v2": False}
    assert [type(member) for member in steps[elements].members] == [PostElements]


def test_what_is_not_followed_and_what_is_derived_is_counted() -> None:
    made = batch(
        records(
            ("roi", {"Action": "whatever"}),
            ("syn", {"Action": "merge", "MutationID": 1, "Delta": {}, "UUID": "v1"}),
            ("syn", {"Action": "cleave", "DataRef": "x", "UUID": "v1"}),
            ("syn", {"Action": "new in a later DVID", "UUID": "v1"}),
        )
    )
    assert made.not_followed == Counter({"roi roi": 1, "derived messages of annotation syn": 2})
    assert made.unknown_actions == Counter({"annotation new in a later DVID": 1})
    assert make_plan(made, Nowhere(), looking=False).steps == []
