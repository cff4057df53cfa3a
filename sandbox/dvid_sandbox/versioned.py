"""Values by key and version: a version sees what its ancestors hold unless it says otherwise itself."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Ancestry = Callable[[int], list[int]]


class Gone:
    """Marks a key that a version deleted."""


GONE = Gone()


class VersionedStore(Generic[Key, Value]):
    """A dict per version, read through to the ancestors.

    Args:
        ancestry: gives a version and its ancestors, nearest first.
    """

    def __init__(self, ancestry: Ancestry) -> None:
        self._ancestry = ancestry
        self._layers: dict[int, dict[Key, Value | Gone]] = {}

    def get(self, version: int, key: Key) -> Value | None:
        """The value, or None: values that are None do not occur."""
        for ancestor in self._ancestry(version):
            layer = self._layers.get(ancestor)
            if layer is not None:
                value = layer.get(key)
                if value is not None:
                    return None if isinstance(value, Gone) else value
        return None

    def own(self, version: int, key: Key) -> Value | None:
        """What this version itself holds, which nobody else sees unless through it."""
        value = self._layers.get(version, {}).get(key)
        return None if isinstance(value, Gone) else value

    def knows_itself(self, version: int, key: Key) -> bool:
        """Whether this version itself said anything about the key, a deletion included."""
        return key in self._layers.get(version, {})

    def knows(self, version: int, key: Key) -> bool:
        """Whether the version or an ancestor ever said anything about the key, a deletion included."""
        return any(key in self._layers.get(ancestor, {}) for ancestor in self._ancestry(version))

    def put(self, version: int, key: Key, value: Value) -> None:
        self._layers.setdefault(version, {})[key] = value

    def delete(self, version: int, key: Key) -> None:
        self._layers.setdefault(version, {})[key] = GONE

    def said(self, version: int) -> dict[Key, Value | Gone]:
        """All keys that the version or an ancestor said something about, deletions as `GONE`."""
        merged: dict[Key, Value | Gone] = {}
        for ancestor in reversed(self._ancestry(version)):
            merged.update(self._layers.get(ancestor, {}))
        return merged

    def items(self, version: int) -> dict[Key, Value]:
        """All live keys and values, unordered."""
        return {key: value for key, value in self.said(version).items() if not isinstance(value, Gone)}
