"""What a run has to say besides its numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Notes:
    """What is said once per run."""

    said: set[str] = field(default_factory=set)
    fresh: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.fresh.append(text)

    def take(self) -> tuple[str, ...]:
        fresh, self.fresh = self.fresh, []
        return tuple(fresh)
