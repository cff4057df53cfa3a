"""What is asked of a keyvalue instance at a DVID server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dvidsync_dagster.datatypes.commands import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyKeys(Command):
    """Bring keys to the source's state: write what the source has, delete what it does not have.

    Args:
        keys: each once. A key is one part of the command.
        stays: those of the keys that are left as they are where the source does not have them.
        largest: bytes of the largest value, as far as is known.
    """

    typename: ClassVar[str] = "keyvalue"

    keys: tuple[str, ...]
    stays: frozenset[str] = frozenset()
    largest: int = 0
