"""What the writer of a copied data type asks of `OwnValues`: the same for keys, neurons and elements."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol

from dvidsync_dagster.datatypes.own_values import Both, K, OwnValues


class _Instance(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class OwnItems(Generic[K]):
    """The items of one instance on both sides, for a writer.

    Args:
        values: what is known of the destination.
        source: the instance there.
    """

    values: OwnValues
    source: _Instance

    @property
    def are_told(self) -> bool:
        """Whether anything is known. If not, the destination need not be asked."""
        return self.values.digests is not None

    def written(
        self, version: str, both: Mapping[K, Both], own: Collection[K], refused: Collection[K]
    ) -> None:
        """What became of items."""
        self.values.written(version, self.source.name, both, own=own, refused=refused)
