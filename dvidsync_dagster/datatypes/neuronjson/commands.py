"""What is asked of a neuronjson instance at a DVID server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from dvidsync_dagster.datatypes.commands import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyNeurons(Command):
    """Bring records and schemas to the source's state: write what it has, delete what it does not have.

    Args:
        bodies, schemas: each once. First the bodies, then the schemas are the parts of the command.
        times: by body or schema when the changes were that are repeated (ns since 1970), the first one first.
    """

    typename: ClassVar[str] = "neuronjson"

    bodies: tuple[int, ...] = ()
    schemas: tuple[str, ...] = ()
    times: Mapping[int | str, Sequence[int]] = field(default_factory=dict)
