"""What is asked of a keyvalue instance at a DVID server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from dvidsync_dagster.datatypes.commands import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyKeys(Command):
    """Bring keys to the source's state: write what the source has, delete what it does not have.

    Args:
        keys: each once. A key is one part of the command.
        stays: those of the keys that are left as they are where the source does not have them.
        largest: bytes of the largest value, as far as is known.
        times: by key when the changes were that are repeated (ns since 1970), the first one first.
    """

    typename: ClassVar[str] = "keyvalue"

    keys: tuple[str, ...]
    stays: frozenset[str] = frozenset()
    largest: int = 0
    times: Mapping[str, Sequence[int]] = field(default_factory=dict)
