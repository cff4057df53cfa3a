"""What must come of it when people change bodies and values of versions that are followed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.own_work.server import Bodies, Done, do

Item = tuple[str, str, str]
"""A version, a kind of values, and the item's name."""


@dataclass(frozen=True)
class Made:
    """A version that the source made."""

    parent: str
    child: str


@dataclass(frozen=True)
class Changed:
    """An item that the source changed."""

    item: Item


Event = Done | Made | Changed


@dataclass
class InVersion:
    """The bodies of the destination in one version.

    Args:
        own: those whose last change is the destination's own.
        alike: of these, those that are as at the source all the same: operations on them can be left out.
        left_out: operations that were left out, by mutation id, and their labels.
    """

    bodies: Bodies
    own: set[int] = field(default_factory=set)
    left_out: dict[int, frozenset[int]] = field(default_factory=dict)
    parent: InVersion | None = None
    alike: set[int] = field(default_factory=set)

    def child(self) -> InVersion:
        return InVersion(dict(self.bodies), set(self.own), parent=self, alike=set(self.alike))

    def as_at_source(self, bodies: Bodies) -> None:
        """That a body is as at the source does not tell who made it so."""
        self.alike = {each for each in self.own | self.alike if self.bodies.get(each) == bodies.get(each)}
        self.bodies = dict(bodies)
        self.own.clear()
        self.left_out.clear()

    @property
    def behind(self) -> set[int]:
        """What was left out in the versions that it comes from too, whenever that was."""
        inherited = self.parent.behind if self.parent is not None else set()
        return inherited.union(*self.left_out.values())

    def is_apart(self, done: Done) -> bool:
        """Whether an operation must be left out."""
        own = self.own & self.bodies.keys()
        in_own = frozenset().union(*(self.bodies[body] for body in own))
        return (
            any(body not in self.bodies for body in done.named)
            or not own.isdisjoint(done.touched | done.given)
            or not self.behind.isdisjoint(done.touched)
            or not in_own.isdisjoint(done.given)
        )

    def leave_out(self, done: Done) -> None:
        self.left_out[done.number] = frozenset(done.touched)

    def try_again(self, done: Done, *, is_left_out: bool) -> None:
        was_left_out = self.left_out.pop(done.number, None) is not None
        if is_left_out:
            self.leave_out(done)
        elif was_left_out:
            # What was in its way is gone, and the checkpoint does not know of it.
            self.do(done)

    def do(self, done: Done) -> None:
        for body, parts in done.before.items():
            assert self.bodies[body] == parts, f"{done} finds another body"
        do(self.bodies, done)
        self.own -= done.touched
        self.alike -= done.touched


@dataclass
class Value:
    """An item at the destination.

    Args:
        there: what it holds.
        from_source: what it may hold if nobody there changed it.
    """

    there: Any = None
    from_source: set[Any] = field(default_factory=lambda: {None})


@dataclass
class Destination:
    """All that is expected of it.

    Args:
        pending: what is to come, in order.
        again: of these, operations that may have been done before.
        unsure: items that a run which died may have brought.
    """

    versions: dict[str, InVersion] = field(default_factory=dict)
    values: dict[Item, Value] = field(default_factory=dict)
    pending: list[Event] = field(default_factory=list)
    again: set[int] = field(default_factory=set)
    unsure: set[Item] = field(default_factory=set)

    def own_labels(self, done: Done) -> None:
        there = self.versions[done.version]
        do(there.bodies, done)
        there.own |= done.touched

    def own_value(self, item: Item, value: Any) -> None:
        self.values[item].there = value

    def followed(
        self,
        rows: Collection[tuple[str, int]],
        items: Collection[Item],
        now: Mapping[Item, Any],
        same: Mapping[str, Bodies],
    ) -> None:
        """A run went through all that was to come.

        Args:
            rows: operations that it left out, by version and mutation id.
            items: values that it left out.
            now: what the source has, by item.
            same: the bodies of versions in which people have done what the source did.
        """
        expected: set[tuple[str, int]] = set()
        perhaps: set[tuple[str, int]] = set()
        left_out: set[Item] = set()
        for event in self.pending:
            if isinstance(event, Made):
                if event.parent in same:
                    self.versions[event.parent].as_at_source(same[event.parent])
                self._make(event)
            elif isinstance(event, Changed):
                left_out |= self._changed(event.item, items, now)
            else:
                name = (event.version, event.number)
                there = self.versions[event.version]
                if event.version in same:
                    continue
                if event.number in self.again:
                    # Of what people have touched since nothing tells that it was done.
                    if not (there.own | there.behind).isdisjoint(event.touched):
                        perhaps.add(name)
                    there.try_again(event, is_left_out=name in rows)
                elif there.is_apart(event):
                    expected.add(name)
                    there.leave_out(event)
                elif name in rows and not there.alike.isdisjoint(event.touched | event.given):
                    perhaps.add(name)
                    there.leave_out(event)
                else:
                    there.do(event)
        assert expected <= set(rows) <= expected | perhaps, (
            f"missing {expected - set(rows)}, not expected {set(rows) - expected - perhaps}"
        )
        assert set(items) == left_out, f"values: {set(items)}, not {left_out}"
        for version, bodies in same.items():
            self.versions[version].as_at_source(bodies)
        self.pending.clear()
        self.again.clear()
        self.unsure.clear()

    def _make(self, made: Made) -> None:
        if made.child in self.versions:
            return
        self.versions[made.child] = self.versions[made.parent].child()
        for (version, kind, name), value in list(self.values.items()):
            if version == made.parent:
                self.values[made.child, kind, name] = Value(value.there, set(value.from_source))

    def _changed(self, item: Item, items: Collection[Item], now: Mapping[Item, Any]) -> set[Item]:
        """The item, if it was to be left out."""
        value, here = self.values[item], now[item]
        differs = value.there != here
        known = value.there in value.from_source
        unsure = differs and known and item in self.unsure and item in items
        is_left_out = (differs and not known) or unsure
        if not is_left_out:
            value.there = here
        value.from_source = {here}
        return {item} if is_left_out else set()

    def as_at_source(self, versions: Mapping[str, Bodies], now: Mapping[Item, Any]) -> None:
        """A repair has brought everything over."""
        self.pending.clear()
        for version, bodies in versions.items():
            self.versions.setdefault(version, InVersion({})).as_at_source(bodies)
        self.values = {item: Value(value, {value}) for item, value in now.items()}
