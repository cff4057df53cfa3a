"""The label counters of one labelmap instance.

Until `set_next` is first used, new labels follow the highest label of the repo; from then on they follow a
number of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dvid_sandbox.exchange import Refused
from dvid_sandbox.versioned import Ancestry

MAX_UINT64 = 2**64 - 1
HIGHEST_POSTED_MAXLABEL = 1 << 48


@dataclass
class LabelCounters:
    """`max_label` is by version, `max_repo_label` and `next_label` are the instance's; 0 means unset."""

    name: str
    ancestry: Ancestry
    max_label: dict[int, int] = field(default_factory=dict)
    max_repo_label: int = 0
    next_label: int = 0
    ceiling: int = 0

    @property
    def following(self) -> int:
        """The label that the next cleave gets."""
        return (self.next_label or self.max_repo_label) + 1

    def effective_max(self, version: int) -> int | None:
        """The highest label of a version and its ancestors; None if none was ever noted."""
        known = [self.max_label[each] for each in self.ancestry(version) if each in self.max_label]
        return max(known) if known else None

    def raise_max(self, version: int, label: int) -> bool:
        """Notes a label; says whether that changed anything."""
        current = self.max_label.get(version)
        if current is not None and current >= label:
            return False
        inherited = self.effective_max(version)
        if inherited is not None and inherited > label:
            label = inherited
            if current is not None and current >= label:
                return False
        self.max_label[version] = label
        self.max_repo_label = max(self.max_repo_label, label)
        return True

    def take(self, version: int, count: int) -> tuple[int, int]:
        """The next `count` labels, as first and last.

        Raises:
            Refused: they would exceed the ceiling, or what 64 bits hold.
        """
        if count == 0:
            raise Refused("cannot request 0 new labels, must be 1 or more")
        if self.next_label:
            if count >= MAX_UINT64 - self.next_label:
                raise Refused(
                    f'allocating {count} new labels for data "{self.name}" would overflow uint64 label space '
                    f"(next label {self.next_label})"
                )
            first, last = self.next_label + 1, self.next_label + count
            if self.ceiling and last > self.ceiling:
                raise Refused(
                    f'allocating {count} new labels for data "{self.name}" would exceed configured next '
                    f"label ceiling {self.ceiling}"
                )
            self.next_label = last
            self._track(version, last)
            return first, last
        if count >= MAX_UINT64 - self.max_repo_label:
            raise Refused(
                f'allocating {count} new labels for data "{self.name}" would overflow uint64 label space '
                f"(repo max {self.max_repo_label})"
            )
        first, last = self.max_repo_label + 1, self.max_repo_label + count
        self.max_repo_label = self.max_label[version] = last
        return first, last

    def new_label(self, version: int) -> int:
        if self.next_label and self.ceiling and self.next_label + 1 > self.ceiling:
            raise Refused(
                f'new label for data "{self.name}" would exceed configured next label ceiling {self.ceiling}'
            )
        if (self.next_label or self.max_repo_label) >= MAX_UINT64 - 1:
            at = f"next label {self.next_label}" if self.next_label else f"repo max {self.max_repo_label}"
            raise Refused(f'new label for data "{self.name}" would overflow uint64 label space ({at})')
        return self.take(version, 1)[0]

    def set_next(self, label: int, ceiling: int | None) -> None:
        if label == 0:
            raise Refused("label 0 is protected background value and cannot be used as next label")
        if label == MAX_UINT64:
            raise Refused(f"next label start {label} is reserved and would overflow uint64 label space")
        effective = self.ceiling if ceiling is None else ceiling
        if effective and label > effective:
            raise Refused(f"next label start {label} would exceed next label ceiling {effective}")
        self.next_label = label
        self.ceiling = effective

    def _track(self, version: int, label: int) -> None:
        inherited = self.effective_max(version)
        label = max(label, inherited or 0)
        if label > self.max_label.get(version, -1):
            self.max_label[version] = label
