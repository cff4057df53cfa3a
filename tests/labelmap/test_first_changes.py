"""The first change of a version goes alone, after a read of the mapping."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

import pytest

from dvidsync_dagster.datatypes.labelmap.server.first_changes import FirstChanges
from dvidsync_dagster.dvid.labelmap import Labelmap
from tests.labelmap.crowd import ROOT
from tests.labelmap.model import CopysView, ModelLabelmap

SOON = 0.1
"""Seconds in which who need not wait is long done."""


class Told(CopysView):
    """Tells of which versions the mapping was read."""

    def __init__(self) -> None:
        model = ModelLabelmap.filled(ROOT, 4)
        model.versions["child"] = model.versions[ROOT]
        super().__init__(model)
        self.read: list[str] = []

    def mapping(self, version: str, supervoxels: Sequence[int]) -> list[int]:
        self.read.append(version)
        return super().mapping(version, supervoxels)


@pytest.fixture
def server() -> Told:
    return Told()


@pytest.fixture
def changes(server: Told) -> FirstChanges:
    return FirstChanges(lambda _: cast(Labelmap, server))


def change(changes: FirstChanges, version: str = ROOT, *, refused: bool = False) -> None:
    with changes.turn("segmentation", version) as turn:
        turn.done |= not refused


def test_the_mapping_is_read_before_the_first_change_of_each_version(
    server: Told, changes: FirstChanges
) -> None:
    with changes.turn("segmentation", ROOT) as turn:
        assert server.read == [ROOT]
        turn.done = True
    change(changes)
    assert server.read == [ROOT]
    change(changes, "child")
    assert server.read == [ROOT, "child"]


def test_what_was_refused_was_no_first_change(server: Told, changes: FirstChanges) -> None:
    change(changes, refused=True)
    change(changes)
    assert server.read == [ROOT, ROOT]
    change(changes)
    assert server.read == [ROOT, ROOT]


def test_what_breaks_off_lets_the_next_one_in(server: Told, changes: FirstChanges) -> None:
    with pytest.raises(ConnectionError), changes.turn("segmentation", ROOT):
        raise ConnectionError
    change(changes)
    assert server.read == [ROOT, ROOT]


def test_of_a_server_that_was_started_again_the_next_one_is_the_first(
    server: Told, changes: FirstChanges
) -> None:
    change(changes)
    changes.forget()
    change(changes)
    assert server.read == [ROOT, ROOT]


@pytest.mark.parametrize("first_one_made", [False, True])
def test_others_wait_for_the_first_change_and_for_no_later_one(
    server: Told, changes: FirstChanges, first_one_made: bool
) -> None:
    if first_one_made:
        change(changes)
    ends: list[str] = []

    def make_another() -> None:
        change(changes)
        ends.append("another")

    another = threading.Thread(target=make_another)
    with changes.turn("segmentation", ROOT) as turn:
        another.start()
        another.join(None if first_one_made else SOON)
        ends.append("this")
        turn.done = True
    another.join()
    assert ends == (["another", "this"] if first_one_made else ["this", "another"])
    assert server.read == [ROOT]


def test_versions_do_not_wait_for_each_other(changes: FirstChanges) -> None:
    with changes.turn("segmentation", ROOT):
        other = threading.Thread(target=change, args=(changes, "child"))
        other.start()
        other.join()
