"""Random histories of a labelmap, brought in bulk to a model of a copy: it ends as one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.datatypes.labelmap.server import bulk, held_indices
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.datatypes.labelmap.server.tags import tagged
from dvidsync_dagster.datatypes.server_side import Apply
from dvidsync_dagster.dvid.labelmap import LastMod
from tests.labelmap.crowd import ROOT, WEIGHTS, Crowd
from tests.labelmap.follower import Follower, Killed, cut
from tests.labelmap.model import ModelLabelmap
from tests.labelmap.test_following import (
    COUNTER_SET,
    NO_SPLITS,
    OPERATIONS,
    PEOPLE,
    PIECES,
    SEEDS,
    SILENT,
    FollowedCrowd,
    completed,
    identities,
    scene,
)

USUAL = bulk.BODIES_AT_ONCE
AT_ONCE = st.sampled_from([1, 4, USUAL])

ONE_BY_ONE = {"merge", "cleave", "renumber"}


@contextlib.contextmanager
def few_at_once(bodies: int) -> Iterator[None]:
    """The mapping is written in small pieces, each before the indices of its bodies; and indices are read
    some at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "BODIES_AT_ONCE", bodies)
        if bodies < USUAL:
            patch.setattr(held_indices, "BLOCKS_HELD", bodies)
            patch.setattr(held_indices, "_FIRST", bodies)
        yield


def in_bulk(this: FollowedCrowd, apply: Apply = "state") -> Follower:
    """With `auto` it repeats one by one here."""
    return Follower(this.source, this.destination, this.contact, this.random, apply_as=apply)


@settings(max_examples=100)
@given(
    SEEDS, OPERATIONS, PEOPLE, PIECES, st.sampled_from([WEIGHTS, NO_SPLITS, SILENT]), st.booleans(), AT_ONCE
)
def test_any_cut_ends_as_the_source(
    seed: int,
    operations: int,
    people: int,
    pieces: int,
    weights: dict[str, float],
    looking: bool,
    at_once: int,
) -> None:
    this = scene(seed, operations, people, weights)
    run = in_bulk(this)
    with few_at_once(at_once):
        run.follow(cut(this.log, this.random, pieces), looking=looking)
    assert run.refusals == []
    this.assert_same()
    assert set(identities(run.applied)) == completed(this.log)


@settings(max_examples=100)
@given(SEEDS, OPERATIONS, PEOPLE)
def test_no_operation_costs_a_request(seed: int, operations: int, people: int) -> None:
    this = scene(seed, operations, people, {**NO_SPLITS, "split_supervoxel": 0})
    in_bulk(this).follow([sorted(this.log, key=lambda record: record.origin)], looking=False)
    assert not ONE_BY_ONE & {what for what, _ in this.destination.requests}
    versions = len(this.source.versions)
    assert this.asked("indices") <= versions
    assert this.asked("mappings") <= versions


@settings(max_examples=100)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES, st.sampled_from([NO_SPLITS, COUNTER_SET]))
def test_the_counter_is_exact(
    seed: int, operations: int, people: int, pieces: int, weights: dict[str, float]
) -> None:
    this = scene(seed, operations, people, weights)
    in_bulk(this).follow(cut(this.log, this.random, pieces), looking=False)
    assert this.destination.following == this.source.following


@settings(max_examples=100)
@given(
    SEEDS,
    OPERATIONS,
    PEOPLE,
    st.integers(1, 3),
    st.sampled_from([0, 30]),
    st.sampled_from([WEIGHTS, COUNTER_SET]),
    st.booleans(),
    AT_ONCE,
)
def test_killed_runs_with_other_cuts_each_time_end_as_the_source(
    seed: int,
    operations: int,
    people: int,
    kills: int,
    before: int,
    weights: dict[str, float],
    changes_its_way: bool,
    at_once: int,
) -> None:
    """Also where some of the runs repeat one by one, with `apply: auto`."""
    this = scene(seed, operations, people, weights, before=before)
    for _ in range(kills):
        one_by_one = changes_its_way and this.random.random() < 0.5
        run = in_bulk(this, "auto" if one_by_one else "state")
        kill_before_request(this, this.random.randint(0, 12))
        with contextlib.suppress(Killed), few_at_once(at_once):
            run.follow(cut(this.log, this.random, this.random.randint(1, 5)), looking=True)
        this.destination.dies_after = None
        assert run.refusals == []
    last = in_bulk(this)
    last.follow(cut(this.log, this.random, this.random.randint(1, 5)), looking=True)
    assert last.refusals == []
    this.assert_same()
    if weights is COUNTER_SET:
        assert this.destination.following == this.source.following


def kill_before_request(this: FollowedCrowd, requests: int) -> None:
    this.destination.dies_after = requests


@settings(max_examples=100)
@given(SEEDS, st.integers(20, 80), PEOPLE, st.integers(1, 12), AT_ONCE)
def test_beside_own_edits_each_supervoxel_is_in_one_body(
    seed: int, operations: int, people: int, edits: int, at_once: int
) -> None:
    this = scene(seed, operations, people, NO_SPLITS)
    merged = edit(this, Random(seed), edits)
    run = in_bulk(this)
    with few_at_once(at_once):
        run.follow([sorted(this.log, key=lambda record: record.origin)], looking=True)
    for node in this.destination.versions.values():
        homes = {each: label for label, parts in node.bodies.items() for each in parts}
        assert len(homes) == sum(map(len, node.bodies.values()))
        assert homes == {each: body for each, body in node.mapping.items() if body}
    touched = {
        label for event in run.read(this.log) if isinstance(event, BodyEvent) for label in event.bodies
    }
    root = this.destination.versions[ROOT]
    for target, label in merged:
        if not {target, label} & touched:
            assert root.mapping[label] == target


def edit(this: FollowedCrowd, random: Random, edits: int) -> list[tuple[int, int]]:
    """People work at the destination, too: bodies of one supervoxel each are merged."""
    model, merged = this.destination, []
    labels = random.sample(sorted(model.versions[ROOT].bodies), 2 * edits)
    for target, label in zip(labels[::2], labels[1::2], strict=True):
        mod = LastMod(model.new_mutation_id(), "own", "own", "")
        model.do_merge(ROOT, target, [label], mod)
        merged.append((target, label))
    return merged


def test_an_own_edit_is_a_conflict_and_never_overwritten() -> None:
    source = ModelLabelmap.filled(ROOT, 24)
    crowd = Crowd(source, Random(0), 1, partitions=1)
    copy = source.copy()
    this = FollowedCrowd(crowd, source, copy, Contact(copy.mutation_id + 1), Random(0))
    copy.do_merge(ROOT, 7, [1], LastMod(copy.new_mutation_id(), "own", "own", ""))
    bodies = {label: set(parts) for label, parts in copy.versions[ROOT].bodies.items()}
    for target, label in ((3, 1), (5, 6)):
        for _ in crowd.operation(
            "merge",
            ROOT,
            partial(dict[str, Any], Target=target, Labels=[label]),
            partial(source.do_merge, ROOT, target, [label]),
            lambda: None,
        ):
            pass
    bodies[5] |= bodies.pop(6)
    for looking in (False, True):
        run = in_bulk(this)
        run.follow([crowd.log], looking=looking)
        if looking:
            assert [refusal.found for _, refusal in run.refusals] == ["can't merge non-existent label 1"]
        assert copy.versions[ROOT].bodies == bodies


@pytest.mark.parametrize("apply", ["state", "auto"])
def test_a_cleave_whose_body_has_no_right_label_yet_is_finished(apply: Apply) -> None:
    """A run that repeated one by one was killed before it gave the body its label."""
    source = ModelLabelmap.filled(ROOT, 24)
    crowd = Crowd(source, Random(0), 1, partitions=1)
    source.do_merge(ROOT, 3, [1, 2], LastMod(source.new_mutation_id(), "", "", ""))
    copy = source.copy()
    this = FollowedCrowd(crowd, source, copy, Contact(copy.mutation_id + 1), Random(0))
    new, _ = source.take()
    for _ in crowd.operation(
        "cleave",
        ROOT,
        partial(dict[str, Any], OrigLabel=3, CleavedLabel=new, CleavedSupervoxels=[1]),
        partial(source.do_cleave, ROOT, 3, [1], new),
        lambda: None,
    ):
        pass
    (cleave,) = (event for event in this.follower().read(this.log) if isinstance(event, BodyEvent))
    copy.take(5)
    got, _ = copy.take()
    app = tagged(cleave.app, cleave.rank)
    copy.do_cleave(ROOT, 3, [1], got, LastMod(copy.new_mutation_id(), cleave.user, app, ""))
    run = in_bulk(this, apply)
    run.follow([crowd.log], looking=True)
    assert run.refusals == []
    this.assert_same()
