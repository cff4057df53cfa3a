"""Random histories of a labelmap, followed by the tables of a snapshot in chunks cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.contract import Rows
from dvidsync_dagster.datatypes.labelmap.decoding import decode
from dvidsync_dagster.datatypes.labelmap.effects import SUPERVOXEL, apply
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    Cleave,
    Merge,
    Renumber,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.snapshot.changes import changes
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.errors import Unfit
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from tests.labelmap.arrow_tables import INSTANCE, ArrowTables
from tests.labelmap.crowd import ROOT, TOPIC, WEIGHTS, Crowd
from tests.labelmap.model import CopysView, ModelLabelmap

ONE_BRANCH = {**WEIGHTS, "branch": 0, "split": 1.5, "split_supervoxel": 3}


@dataclass
class SourceView(CopysView):
    """What is asked of a source that a model is, at its end.

    Args:
        asked: how often it was asked for a body's index.
    """

    asked: int = 0

    def sizes(self, version: str, labels: Sequence[int], *, of_supervoxels: bool = False) -> list[int]:
        assert of_supervoxels
        node = self.model.versions[version]
        return [self._length(each) if node.mapping.get(each) else 0 for each in labels]

    def index(self, version: str, label: int) -> LabelIndex:
        self.asked += 1
        node = self.model.versions[version]
        index = LabelIndex(label=label)
        if label in node.bodies:
            index.last_mutid = node.modified[label].mutation_id
            counts = index.blocks.add().value.counts
            for each in node.bodies[label]:
                counts.add(key=each, value=self._length(each))
        return index

    def _length(self, supervoxel: int) -> int:
        return self.model.extents[supervoxel].high - self.model.extents[supervoxel].low


class History:
    """What a crowd did to a model, as events, and the model at its end."""

    def __init__(self, seed: int, operations: int, people: int, *, tells_sizes: bool) -> None:
        self.random = Random(seed)
        self.model = ModelLabelmap.filled(ROOT, 24)
        crowd = Crowd(self.model, self.random, people, ONE_BRANCH, tells_sizes=tells_sizes)
        crowd.work(operations)
        done: dict[Any, BodyEvent] = {}
        for record in sorted(crowd.log, key=lambda record: record.origin):
            if record.topic == TOPIC:
                read = decode(Message.parse(record.origin, record.value or b""), INSTANCE)
                if read is not None and read.done and isinstance(read.event, BodyEvent):
                    done.setdefault(read.event.identity, read.event)
        self.events = list(done.values())

    def tables(self) -> ArrowTables:
        """As they were before."""
        model = ModelLabelmap.filled(ROOT, 24)
        mapping = model.versions[ROOT].mapping
        return ArrowTables.of(mapping, {body: model.voxels(ROOT, body) for body in mapping})

    def chunks(self) -> list[list[BodyEvent]]:
        """Cut anywhere."""
        result, rest = [], list(self.events)
        while rest:
            size = self.random.randint(1, len(rest))
            result.append(rest[:size])
            rest = rest[size:]
        return result

    def voxels(self, mapping: dict[int, int]) -> dict[int, int]:
        """By body."""
        found: dict[int, int] = {}
        for supervoxel, body in mapping.items():
            extent = self.model.extents[supervoxel]
            found[body] = found.get(body, 0) + extent.high - extent.low
        return found

    @property
    def modified(self) -> dict[int, LastMod]:
        """Who changed each body last, in the end."""
        (modified,) = (node.modified for node in self.model.versions.values() if not node.locked)
        return modified


class Reference:
    """The rows that `effects` makes of events. All versions are one here, as each goes on from the last."""

    def __init__(self, mapping: dict[int, int]) -> None:
        self._rows: Rows = {(SUPERVOXEL, INSTANCE, ROOT, each): body for each, body in mapping.items()}

    def apply(self, events: Sequence[BodyEvent]) -> None:
        for event in events:
            apply(replace(event, version=ROOT), self._rows)

    @property
    def mapping(self) -> dict[int, int]:
        return {int(key[3]): body for key, body in self._rows.items()}


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(1, 3))
def test_the_tables_are_what_the_events_did(seed: int, operations: int, people: int) -> None:
    history = History(seed, operations, people, tells_sizes=True)
    tables, source = history.tables(), SourceView(history.model)
    first = tables.mapping
    reference = Reference(first)
    for chunk in history.chunks():
        tables.commit(changes(chunk, tables.tables, cast(Labelmap, source), tables))
        reference.apply(chunk)
        assert tables.mapping == reference.mapping
        assert tables.voxels == history.voxels(tables.mapping)
        tables.assert_counted()
    assert tables.replayed_edits(first) == tables.mapping
    assert source.asked == 0
    last = {
        body: (row["last_mutation"], row["last_user"])
        for body, row in tables.bodies.items()
        if row["last_mutation"] is not None
    }
    changed = {body: mod for body, mod in history.modified.items() if mod.mutation_id > 1}
    assert last == {body: (mod.mutation_id, mod.user or None) for body, mod in changed.items()}


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(1, 3))
def test_voxels_that_messages_do_not_tell_are_asked_for(seed: int, operations: int, people: int) -> None:
    """What is known at some point is right at that point, though the source is at its end; in the end all is
    known."""
    history = History(seed, operations, people, tells_sizes=False)
    tables, source = history.tables(), cast(Labelmap, SourceView(history.model))
    for chunk in history.chunks():
        tables.commit(changes(chunk, tables.tables, source, tables))
        true = history.voxels(tables.mapping)
        assert tables.voxels.keys() == true.keys()
        assert {
            body: voxels for body, voxels in tables.voxels.items() if voxels is not None
        }.items() <= true.items()
    assert tables.voxels == history.voxels(tables.mapping)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_chunks_make_no_difference(seed: int, operations: int) -> None:
    history = History(seed, operations, 2, tells_sizes=True)
    at_once, in_chunks = history.tables(), history.tables()
    source = cast(Labelmap, SourceView(history.model))
    at_once.commit(changes(history.events, at_once.tables, source, at_once) if history.events else {})
    for chunk in history.chunks():
        in_chunks.commit(changes(chunk, in_chunks.tables, source, in_chunks))
    assert at_once.mapping == in_chunks.mapping
    assert at_once.bodies == in_chunks.bodies
    assert at_once.edits == in_chunks.edits


def common(number: int, **more: Any) -> dict[str, Any]:
    origin = Origin(1_790_000_000_123_456_789 + number, "labels", 0, number)
    names = {"version": ROOT, "instance": INSTANCE, "mutation_id": 1000 + number, "user": "amy", "app": ""}
    return {"origin": origin, **names, **more}


class Asked:
    """A source that answers a few things."""

    name = INSTANCE

    def __init__(self, sizes: dict[int, int], bodies: dict[int, int] | None = None) -> None:
        self._sizes, self._bodies = sizes, bodies or {}
        self.blobs = {"five": np.array([[0, 0, 0, 2], [0, 1, 0, 3]], "<i4").tobytes()}

    def sizes(self, _version: str, labels: Sequence[int], *, of_supervoxels: bool) -> list[int]:
        return [self._sizes.get(label, 0) for label in labels]

    def mapping(self, _version: str, supervoxels: Sequence[int]) -> list[int]:
        return [self._bodies.get(each, 0) for each in supervoxels]

    def blob(self, _version: str, reference: str) -> bytes:
        return self.blobs[reference]

    def index(self, _version: str, label: int) -> LabelIndex:
        return LabelIndex(label=label)


def followed(tables: ArrowTables, *events: BodyEvent, source: Asked | None = None) -> ArrowTables:
    tables.commit(changes(events, tables.tables, cast(Labelmap, source or Asked({})), tables))
    return tables


def test_what_a_row_of_edits_says() -> None:
    tables = followed(
        ArrowTables.of({1: 1, 2: 2}, {1: 10, 2: 20}), Merge(**common(7, app="neu3"), target=1, labels=(2,))
    )
    (row,) = tables.edits
    assert row == {
        "log_time": datetime.fromisoformat("2026-09-21T14:13:20.123456+00:00"),
        "mutation_id": 1007,
        "action": "merge",
        "uuid": ROOT,
        "user": "amy",
        "app": "neu3",
        "sv": 2,
        "body_before": 2,
        "body_after": 1,
    }
    assert tables.bodies == {
        1: {
            "voxels": 30,
            "supervoxels": 2,
            "last_mutation": 1007,
            "last_user": "amy",
            "last_time": row["log_time"],
        }
    }


def test_what_becomes_background_is_gone() -> None:
    tables = ArrowTables.of({1: 1, 2: 2, 3: 3, 4: 3}, {1: 10, 2: 20, 3: 30})
    followed(tables, Renumber(**common(1), orig=3, new=0), Merge(**common(2), target=0, labels=(1,)))
    assert tables.mapping == {2: 2}
    assert tables.voxels == {2: 20}
    assert [(row["sv"], row["body_after"]) for row in tables.edits] == [(3, None), (4, None), (1, None)]


def test_what_came_and_went_leaves_no_rows_but_edits() -> None:
    tables = ArrowTables.of({1: 1, 2: 1}, {1: 30})
    cleave = Cleave(**common(1), orig=1, new=9, supervoxels=(2,), cleaved_voxels=10, remaining_voxels=20)
    events = [cleave, Merge(**common(2), target=1, labels=(9,))]
    given = changes(events, tables.tables, cast(Labelmap, Asked({})), tables)
    assert {path: len(change) for path, change in given.items()} == {
        tables.tables.edits.path: 2,
        tables.tables.bodies.path: 1,
    }


def test_a_body_of_nothing_is_there_until_it_is_renumbered() -> None:
    tables = ArrowTables.of({1: 1, 2: 1}, {1: 30})
    nothing = Cleave(**common(1), orig=1, new=9, supervoxels=(), cleaved_voxels=0, remaining_voxels=30)
    assert followed(tables, nothing).voxels == {1: 30, 9: 0}
    assert followed(tables, Renumber(**common(2), orig=9, new=10)).voxels == {1: 30}


def test_supervoxels_without_voxels_never_get_a_row() -> None:
    """DVID maps 21 to a body although a split left it nothing; a cleave may name it all the same."""
    tables = ArrowTables.of({1: 1, 2: 1, 3: 1}, {1: 30})
    split = Split(**common(1), target=1, new=9, parts=((2, 20, 21), (3, 22, 23)), volume="five")
    source = Asked({20: 3, 22: 2, 23: 8}, {21: 1})
    followed(tables, split, source=source)
    assert tables.mapping == {1: 1, 20: 9, 22: 9, 23: 1}
    assert tables.voxels == {1: 25, 9: 5}
    cleave = Cleave(**common(2), orig=1, new=30, supervoxels=(21, 23), cleaved_voxels=8, remaining_voxels=17)
    followed(tables, cleave, source=source)
    assert tables.mapping == {1: 1, 20: 9, 22: 9, 23: 30}
    tables.assert_counted()


def test_a_half_that_was_split_since_had_voxels() -> None:
    tables = ArrowTables.of({1: 1}, {1: 30})
    split = SplitSupervoxel(**common(1), supervoxel=1, body=1, split=5, remain=6, volume="five")
    # 5 is mapped to 0 at the source meanwhile.
    followed(tables, split, source=Asked({6: 10}, {6: 1}))
    assert tables.mapping == {5: 1, 6: 1}
    assert tables.voxels == {1: 30}


def test_a_supervoxel_that_a_lost_message_made_is_taken_up() -> None:
    tables = ArrowTables.of({1: 1}, {1: 30})
    cleave = Cleave(**common(1), orig=1, new=9, supervoxels=(77,), cleaved_voxels=5, remaining_voxels=25)
    followed(tables, cleave, source=Asked({77: 5}))
    assert tables.mapping == {1: 1, 77: 9}
    assert tables.edits[0]["body_before"] is None


def test_voxels_of_a_body_that_a_lost_message_made_are_not_known() -> None:
    tables = ArrowTables.of({1: 1}, {1: 30})
    assert followed(tables, Merge(**common(1), target=1, labels=(50,))).voxels == {1: None}
    assert followed(tables, Merge(**common(2), target=1, labels=(51,))).voxels == {1: None}
    cleave = Cleave(**common(3), orig=1, new=9, supervoxels=(1,), cleaved_voxels=5, remaining_voxels=25)
    assert followed(tables, cleave).voxels == {1: 25, 9: 5}


@pytest.mark.parametrize(
    "event",
    [
        Merge(**common(1), target=2**63, labels=(1,)),
        Renumber(**common(1), orig=1, new=2**64 - 1),
        Cleave(**common(1), orig=1, new=2, supervoxels=(2**63,)),
        SplitSupervoxel(**common(1), supervoxel=1, body=1, split=2**63, remain=3, volume="five"),
        Split(**common(1), target=1, new=3, parts=((1, 4, 2**63),), volume="five"),
    ],
    ids=lambda event: event.action,
)
def test_labels_from_2_to_the_63_up_are_refused(event: BodyEvent) -> None:
    tables = ArrowTables.of({1: 1}, {1: 30})
    with pytest.raises(
        Unfit, match=r"segmentation/mapping: .* has \d+, and the highest number .* is 2\^63 - 1"
    ):
        followed(tables, event)


def test_the_highest_label_that_fits() -> None:
    highest = 2**63 - 1
    tables = followed(ArrowTables.of({1: 1}, {1: 30}), Renumber(**common(1), orig=1, new=highest))
    assert tables.mapping == {1: highest}
    assert tables.voxels == {highest: 30}
