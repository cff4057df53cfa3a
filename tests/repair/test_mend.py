"""A repair of a destination that is no DVID server: it brings its own mender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dvidsync_dagster.differences.findings import Difference, DifferenceKind
from dvidsync_dagster.repair.repairing import mend

Values = dict[str, str]


@dataclass
class Shelf:
    """Keeps values by version, in memory; parents come first.

    Args:
        closed: versions that it cannot make.
    """

    source: dict[str, Values]
    held: dict[str, Values]
    closed: frozenset[str] = frozenset()
    done: list[str] = field(default_factory=list)

    def versions(self) -> list[str]:
        return list(self.source)

    def instances(self) -> None:
        self.done.append("instances")

    def version(self, version: str) -> bool:
        if version not in self.held and version not in self.closed:
            self.held[version] = {}
        return version in self.held

    def items(self, version: str) -> None:
        self.held[version] = dict(self.source[version])

    def finish_version(self, version: str) -> None:
        assert self.held[version] == self.source[version], "finished before its items"
        self.done.append(version)

    def counters(self) -> None:
        self.done.append("counters")

    def left(self, rows: Sequence[Difference]) -> bool:
        return False

    def why_left(self, row: Difference) -> str | None:
        return "no room" if row.kind is DifferenceKind.VERSION_ONLY_AT_SOURCE else None


def test_each_version_after_its_parents_and_what_all_share_last() -> None:
    source = {"a": {"k": "1"}, "b": {"k": "2"}}
    shelf = Shelf(source, {"a": {"k": "0", "other": "1"}})
    said: list[str] = []
    mend(shelf, said.append)
    assert shelf.held == source
    assert shelf.done == ["instances", "a", "b", "counters"]
    assert said == ["a: done", "b: done"]


def test_a_version_that_cannot_be_made_is_left_out() -> None:
    source = {"a": {"k": "1"}, "b": {"k": "2"}}
    shelf = Shelf(source, {}, closed=frozenset("b"))
    said: list[str] = []
    mend(shelf, said.append)
    assert shelf.held == {"a": {"k": "1"}}
    assert shelf.done == ["instances", "a", "counters"]
    assert said == ["a: done"]
