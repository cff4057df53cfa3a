"""How the batched data types fit between versions, labels and chunks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from dvidsync_dagster.datatypes.annotation.commands import CopyElements
from dvidsync_dagster.datatypes.annotation.events import PostElements
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.datatypes.keyvalue.events import PostKey
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.server.commands import MergeBodies
from dvidsync_dagster.datatypes.labelmap.server.side import LabelmapSide
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.datatypes.repo.commands import CommitVersion
from dvidsync_dagster.datatypes.server_side import Presence, Servers, Unit
from dvidsync_dagster.destinations.dvid_server.planner import Plan, Sides, make_plan
from dvidsync_dagster.destinations.protocol import Brought
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.repo import Instance, RepoInfo
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.plan.order import Ordering
from dvidsync_dagster.run.at_hand import AtHand
from tests.places import ALL_FAILED, UNJUDGED

TOPICS: Mapping[str, Instance | None] = {
    "repo": None,
    "seg": Instance(name="seg", typename="labelmap", data_uuid="1"),
    "kv": Instance(name="kv", typename="keyvalue", data_uuid="2"),
    "syn": Instance(name="syn", typename="annotation", data_uuid="3", syncs=("seg",)),
    "roi": Instance(name="roi", typename="roi", data_uuid="4"),
}


class NothingYet(LabelmapSide):
    """Of a destination that has nothing yet."""

    def counter_state(self, instance: str) -> CounterState:
        return CounterState(next_label=1000, was_set=False)

    def find_present(self, units: Sequence[Unit], ordering: Ordering, left_out: Collection[int]) -> Presence:
        raise AssertionError("nobody looks")


NO_CLIENT = cast(DvidClient, None)


def sides() -> Sides:
    servers = Servers(
        source=NO_CLIENT,
        destination=NO_CLIENT,
        root="v1",
        repo=RepoInfo("v1", {}, {}, 0),
        counters={},
        followed=lambda _: True,
        skips=False,
        history="by_user",
        pool=ThreadPoolExecutor(1),
        note=lambda _: None,
    )
    made = {typename: each.server_side(servers) for typename, each in ALL.items()}
    return {**made, "labelmap": NothingYet(servers)}


def planned(at_hand: AtHand) -> Plan:
    return make_plan(Batch(at_hand.events(), at_hand.awaited()), sides(), looking=False)


def records(*messages: tuple[str, dict[str, Any]]) -> list[Record]:
    return [
        Record(1000 + number, topic, 0, number, json.dumps(fields).encode())
        for number, (topic, fields) in enumerate(messages)
    ]


def batch(listed: list[Record], *, ended_before: int = 0) -> AtHand:
    made = AtHand(ALL_FAILED)
    decoded = decode_records(listed, TOPICS, {"roi": "roi roi"}, EraClock(), UNJUDGED)
    assert not decoded.undecodable
    made.take_in(decoded, [], ended_before=ended_before)
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
    plan = planned(made)
    assert [m.version for m in plan.applied if isinstance(m, PostKey)] == ["v1"]
    assert [m.version for m in plan.held if isinstance(m, PostKey)] == ["v2"]
    # Held records stay unapplied in the checkpoint, and are in the next chunk.
    brought = Brought(applied=plan.applied, held=plan.held)
    assert 4 in [origin.offset for origin in made.unapplied(brought)]
    made.next_chunk(brought)
    made.take_in(decode_records([], TOPICS, {}, EraClock(), UNJUDGED), [], ended_before=0)
    keys = [event for event in made.events() if isinstance(event, PostKey)]
    assert [(event.version, event.origin.offset) for event in keys] == [("v2", 4)]


def test_a_commit_waits_for_keys_and_elements() -> None:
    made = batch(
        records(
            COMMIT,
            ("kv", {"Action": "delete", "Key": "a", "UUID": "v1"}),
            ("syn", {"Action": "element-post", "DataRef": "x", "UUID": "v1", "User": "amy"}),
        )
    )
    steps = planned(made).steps
    (commit,) = (step for step in steps if isinstance(step.command, CommitVersion))
    assert {steps[before].command.version for before in commit.waits_for} == {"v1"}
    assert len(commit.waits_for) == 2


def test_elements_come_before_the_labels_that_sort_them() -> None:
    made = batch(
        records(
            merge(1, done=True),
            merge(2, done=True, version="v2"),
            ("syn", {"Action": "element-post", "DataRef": "x", "UUID": "v1", "User": "amy"}),
        )
    )
    steps = planned(made).steps
    (elements,) = (index for index, step in enumerate(steps) if isinstance(step.command, CopyElements))
    waiting = {
        step.command.version: elements in step.waits_for
        for step in steps
        if isinstance(step.command, MergeBodies)
    }
    assert waiting == {"v1": True, "v2": False}
    assert [type(event) for event in steps[elements].events] == [PostElements]


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
    assert planned(made).steps == []
