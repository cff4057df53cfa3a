"""The two sides of a comparison: what each must be able to list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dvidsync_dagster.dvid.transport import Transport

if TYPE_CHECKING:
    from dvidsync_dagster.differences.digest import Numbers, Page, Wanted


@dataclass(frozen=True, slots=True)
class Kind:
    """Items of one kind: what they are called, and how a DVID server lists them.

    Args:
        name: many of them, such as "bodies". It stays the same from release to release: what is not a DVID
            server lists its own items by it.
        differing: many of them that are on both sides but differ, such as "bodies of another size".
        pages: lists them; with `Wanted` only those (others can be left in).
        values: what the listing can leave out is asked for by key: 0 for what is not there. None if the
            listing leaves nothing out.
        records: lists them with all that they hold, by key; None if nobody needs that.
        show: one of them with its value, for examples; without, its key alone is shown.
        touched_by_value: what changes the item that the value names changes these, too: a supervoxel's body.
        is_derived: they follow from other items: any change there (`Touched.derived`) can change them all.
    """

    name: str
    differing: str
    pages: Callable[[DvidSide, Wanted | None], Iterator[Page]]
    values: Callable[[DvidSide, Sequence[Any]], Numbers] | None = None
    records: Callable[[DvidSide], Iterator[tuple[Any, Any]]] | None = None
    show: Callable[[Any, int], str] | None = None
    touched_by_value: bool = False
    is_derived: bool = False


class Side(Protocol):
    """One instance in one version, as one side of a comparison. All methods can raise ServerError."""

    @property
    def version(self) -> str:
        """UUID."""
        ...

    @property
    def name(self) -> str:
        """Of the instance, on this side."""
        ...

    def pages(self, kind: Kind, wanted: Wanted | None) -> Iterator[Page]:
        """All items of a kind, in any order; with `wanted` only those (others can be left in)."""
        ...

    def values(self, kind: Kind, keys: Sequence[Any]) -> Numbers:
        """The values of these keys, 0 for what is not there. Asked only of kinds whose listing leaves some
        out."""
        ...

    def records(self, kind: Kind) -> Iterator[tuple[Any, Any]]:
        """All items of a kind by key, with all that they hold. Asked only of kinds that have records."""
        ...


@dataclass(frozen=True, slots=True)
class DvidSide:
    """A DVID server as a side."""

    client: Transport
    version: str
    name: str

    def pages(self, kind: Kind, wanted: Wanted | None) -> Iterator[Page]:
        return kind.pages(self, wanted)

    def values(self, kind: Kind, keys: Sequence[Any]) -> Numbers:
        if kind.values is None:
            raise ValueError(f"the listing of {kind.name} leaves nothing out")
        return kind.values(self, keys)

    def records(self, kind: Kind) -> Iterator[tuple[Any, Any]]:
        if kind.records is None:
            raise ValueError(f"{kind.name} have no records")
        return kind.records(self)
