"""Random histories of a labelmap: a destination in memory and the planner of a server end alike."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.contract import Rows
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.destinations.memory import MemoryDestination
from dvidsync_dagster.destinations.protocol import Destination, Standing
from dvidsync_dagster.dvid.repo import RepoInfo
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.run.at_hand import AtHand
from tests.labelmap.crowd import ROOT, TOPICS, WEIGHTS, Crowd
from tests.labelmap.follower import Follower, cut
from tests.labelmap.model import ModelLabelmap
from tests.labelmap.test_following import COUNTER_SET, OPERATIONS, PEOPLE, PIECES, SEEDS, SILENT, scene
from tests.places import ALL_FAILED, UNJUDGED

PATIENCE = 10_000_000_000


def memory_of(model: ModelLabelmap) -> MemoryDestination:
    """A destination with the bodies of a model."""
    return MemoryDestination(rows_of(model), lambda: RepoInfo(ROOT, {}, {}, 0))


def rows_of(model: ModelLabelmap) -> Rows:
    return {
        ("supervoxel", "segmentation", version, supervoxel): body
        for version, node in model.versions.items()
        for supervoxel, body in node.mapping.items()
        if body
    }


def bring(destination: Destination, chunks: Sequence[Sequence[Record]], source: ModelLabelmap) -> None:
    """As a run does."""
    at_hand, eras = AtHand(ALL_FAILED), EraClock()
    for number, records in enumerate(chunks):
        last = number == len(chunks) - 1
        horizon = max((record.origin.key_ns for record in records), default=0)
        later = [record for chunk in chunks[number + 1 :] for record in chunk]
        at_hand.take_in(
            decode_records(records, TOPICS, {}, eras, UNJUDGED),
            decode_records(later, TOPICS, {}, EraClock(), UNJUDGED).announcements,
            ended_before=2**63 if last else horizon - PATIENCE,
            counters={"segmentation": source.following},
        )
        brought = destination.bring(Batch(at_hand.events(), at_hand.awaited()))
        destination.keep(Checkpoint(epoch=1, key_ns=horizon), Standing.UNDER_WAY)
        at_hand.next_chunk(brought)


def bodies(rows: Rows) -> Rows:
    return {key: body for key, body in rows.items() if key[0] == "supervoxel"}


@settings(max_examples=100)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES, st.sampled_from([WEIGHTS, COUNTER_SET, SILENT]))
def test_any_cut_of_the_plain_log_ends_as_the_source(
    seed: int, operations: int, people: int, pieces: int, weights: dict[str, float]
) -> None:
    this = scene(seed, operations, people, weights)
    memory = memory_of(this.destination)
    bring(memory, cut(this.log, this.random, pieces), this.source)
    assert bodies(memory.rows) == rows_of(this.source)


@settings(max_examples=50)
@given(SEEDS, OPERATIONS, PEOPLE, PIECES)
def test_any_plan_of_a_server_ends_in_the_state_of_the_plain_log(
    seed: int, operations: int, people: int, pieces: int
) -> None:
    this = scene(seed, operations, people)
    chunks = cut(this.log, this.random, pieces)
    memory = memory_of(this.destination)
    bring(memory, chunks, this.source)
    this.follower().follow(chunks, looking=False)
    assert rows_of(this.destination) == bodies(memory.rows)


@settings(max_examples=30)
@given(SEEDS, st.integers(2, 60), PEOPLE, st.integers(2, 5))
def test_what_a_run_that_died_had_not_kept_is_brought_again(
    seed: int, operations: int, people: int, pieces: int
) -> None:
    this = scene(seed, operations, people)
    memory = memory_of(this.destination)
    chunks = cut(this.log, this.random, pieces)
    before = dict(memory.rows)
    memory.bring(Batch(Follower(this.source, this.destination, this.contact, Random(0)).read(chunks[0])))
    assert memory.rows == before
    assert memory.meet(None) is None
    bring(memory, chunks, this.source)
    assert bodies(memory.rows) == rows_of(this.source)
    known = memory.checkpoint
    assert memory.meet(Checkpoint(epoch=7)) is known


def test_no_more_than_one_history_of_one_person_is_needed_to_fail() -> None:
    """What this file compares is not empty."""
    source = ModelLabelmap.filled(ROOT, 24)
    before = rows_of(source)
    Crowd(source, Random(3), 1).work(20)
    assert rows_of(source) != before
