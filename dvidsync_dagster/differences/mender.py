"""What a repair asks of a destination, of whatever kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dvidsync_dagster.differences.findings import Difference


class Mender(Protocol):
    """Brings one destination to its source's state, piece by piece, and notes what it does and cannot do.

    The repair goes through everything in this order: `instances`, then for each version after its parents
    `version`, `items` and `finish_version`, then `counters`. A destination that has no instances or counters
    of its own has nothing to do there. All methods raise ServerError, OwnershipLost.
    """

    def versions(self) -> list[str]:
        """The versions to go through, parents before children, as UUIDs."""
        ...

    def instances(self) -> None:
        """Make the instances that are missing and set what each follows; note what stays as it is."""
        ...

    def version(self, version: str) -> bool:
        """Make a version if it is missing. True if it is there now."""
        ...

    def items(self, version: str) -> None:
        """Bring all items of a version to the source's state."""
        ...

    def finish_version(self, version: str) -> None:
        """Note, log and state of a version whose items are repaired."""
        ...

    def counters(self) -> None:
        """Bring what all versions share to the source's state, once each of them is."""
        ...

    def left(self, rows: Sequence[Difference]) -> bool:
        """Mend what the comparison at the end shows, as far as more can be done. True if something was
        changed, so that it takes one more comparison."""
        ...

    def why_left(self, row: Difference) -> str | None:
        """Why a difference that is there at the end is not repaired; None if nothing is known of that."""
        ...
