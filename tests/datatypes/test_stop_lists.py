"""A run that stops lists what one that leaves it out would list of the same chunk: what depends on it, and
what people changed further on, in versions that it did not make."""

from __future__ import annotations

from typing import Any

import pytest

from dvidsync_dagster.destinations.protocol import ConflictRow, StoppedAt
from tests.datatypes.own_values import Elements, Keys, Neurons
from tests.datatypes.source_and_destination import SourceAndDestination


class Both:
    """People at work at both servers."""

    def __init__(self, scene: SourceAndDestination) -> None:
        self.scene = scene
        self.own = [kind(scene, scene.destination, "trainee") for kind in (Keys, Neurons, Elements)]
        self.source = [kind(scene, scene.source, "amy") for kind in (Keys, Neurons, Elements)]

    def merge(self, *labels: int, version: str | None = None, own: bool = False) -> None:
        server = self.scene.destination if own else None
        self.scene.post("segmentation/merge", json=list(labels), version=version, server=server)

    def put(self, item: int, number: int, version: str, *, own: bool = False) -> None:
        for worker in self.own if own else self.source:
            name = worker.items[item]
            worker.put(name, worker.value(number), version)

    def stopped(self) -> list[ConflictRow]:
        with pytest.raises(StoppedAt) as stopped:
            self.scene.sync(changed={"on_conflict": "stop"})
        return list(stopped.value.rows)

    def left_out(self) -> list[ConflictRow]:
        reports = self.scene.sync(changed={"on_conflict": "skip"})
        return [row for report in reports for row in report.conflicts]


@pytest.fixture
def both(scene: SourceAndDestination) -> Both:
    this = Both(scene)
    this.merge(1, 2)
    this.put(0, 1, scene.root)
    this.put(1, 2, scene.root)
    scene.sync(changed={"on_conflict": "stop"})
    return this


def same(rows: list[ConflictRow]) -> list[tuple[Any, ...]]:
    # That a body is not there DVID says in its own words, where it is asked.
    found = [
        (row.name, row.where, row.items, row.cause, "" if "41" in row.items else row.found) for row in rows
    ]
    assert len(found) == len(set(found))
    return sorted(found)


def test_what_depends_on_it_in_a_version_that_is_not_made(both: Both) -> None:
    root = both.scene.root
    both.merge(1, 10, own=True)
    both.merge(11, 10)
    both.merge(12, 11)
    both.merge(20, 21)
    child = both.scene.new_version()
    both.merge(13, 12, version=child)
    both.merge(30, 31, version=child)
    grandchild = both.scene.new_version(child)
    both.merge(14, 13, version=grandchild)
    rows = both.stopped()
    assert [row.items for row in rows] == [("11", "10"), ("12", "11"), ("13", "12"), ("14", "13")]
    assert [row.cause for row in rows[1:]] == [row.where for row in rows[:3]]
    assert same(both.stopped()) == same(rows) == same(both.left_out())
    assert root != grandchild


def test_what_people_changed_that_only_later_versions_touch(both: Both) -> None:
    root = both.scene.root
    both.merge(1, 10, own=True)
    both.merge(40, 41, own=True)
    both.put(0, 5, root, own=True)
    both.merge(11, 10)
    both.put(1, 6, root)
    child = both.scene.new_version()
    both.merge(42, 41, version=child)
    both.merge(50, 51, version=child)
    both.put(0, 7, child)
    both.put(1, 8, child)
    both.put(2, 9, child)
    grandchild = both.scene.new_version(child)
    both.merge(43, 42, version=grandchild)
    both.put(0, 10, grandchild)
    both.put(1, 11, grandchild)
    both.put(2, 12, grandchild)
    rows = both.stopped()
    assert len(rows) == 3 + 3 * 2
    assert same(both.stopped()) == same(rows) == same(both.left_out())


def test_a_version_that_cannot_be_made_takes_all_in_it_along(both: Both) -> None:
    """People made a child of the same version: the source's cannot be made."""
    root = both.scene.root
    child = both.scene.new_version()
    both.merge(20, 21, version=child)
    both.put(0, 7, child)
    grandchild = both.scene.new_version(child)
    both.merge(30, 31, version=grandchild)
    both.scene.request("POST", "commit", json={"note": "own"}, server=both.scene.destination)
    own = {"note": "own", "uuid": grandchild}
    both.scene.post("branch", json={**own, "branch": "own"}, version=root, server=both.scene.destination)
    rows = both.stopped()
    assert same(both.stopped()) == same(rows) == same(both.left_out())
