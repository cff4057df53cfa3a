"""What a comparison tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of the table.

    Args:
        version: UUID; "" for what is the whole repo's.
        instance: name at the source (or at the destination, if only that has it); "" for versions.
        what: what differs, such as "bodies only at the source".
        count: how many.
        examples: the first of them, with their ids and what either side says.
    """

    version: str
    instance: str
    what: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A destination beside its source.

    Args:
        differences: none if they agree.
        read: how many items were read at the source, by version and instance those that were compared.
        remembered: how many pairs of version and instance were not read, as they agreed before.
        notes: what is good to know: what was left out and why, highest labels.
        agreed: ids of all pairs that are committed on both sides and agree; to be given to the next one.
        seconds: how long it took.
    """

    differences: tuple[Difference, ...]
    read: int
    compared: int
    remembered: int
    notes: tuple[str, ...]
    agreed: frozenset[str]
    seconds: float

    @property
    def agree(self) -> bool:
        return not self.differences

    def summary(self) -> str:
        found = f"{len(self.differences)} kinds of differences" if self.differences else "they agree"
        return (
            f"{found}: {self.compared:,} instances in versions read ({self.read:,} items, "
            f"{self.seconds:.1f} s), {self.remembered:,} committed ones agreed before"
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "agree": self.agree,
            "differences": [asdict(row) for row in self.differences],
            "items_read": self.read,
            "compared": self.compared,
            "agreed_before": self.remembered,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }
