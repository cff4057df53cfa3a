"""What a message leaves to a blob at the source: long lists of supervoxels, and the voxels of splits.

See docs/dvid.md, "Messages that point to a blob".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import ServerFailed

if TYPE_CHECKING:
    from dvidsync_dagster.dvid import sparsevol


class Cleaved(Protocol):
    """A cleave, or the command that repeats it."""

    @property
    def version(self) -> str: ...
    @property
    def orig(self) -> int: ...
    @property
    def supervoxels(self) -> tuple[int, ...] | None: ...
    @property
    def data_ref(self) -> str: ...


def cleaved_supervoxels(cleave: Cleaved, source: Labelmap) -> tuple[int, ...]:
    """Raises ServerFailed if the blob is none of a cleave."""
    if cleave.supervoxels is not None:
        return cleave.supervoxels
    where = f"blob {cleave.data_ref} of {source.name} (cleave of body {cleave.orig})"
    try:
        found = orjson.loads(source.blob(cleave.version, cleave.data_ref))["CleavedSupervoxels"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ServerFailed(where, f"is no announcement of a cleave: {error!r}") from error
    if not isinstance(found, list) or not all(type(item) is int and 0 < item < 2**64 for item in found):
        raise ServerFailed(where, "holds something else than supervoxels")
    return tuple(found)


def split_volume(version: str, body: int, reference: str, source: Labelmap) -> sparsevol.Runs:
    """The voxels that are split off a body. Raises ServerFailed if the blob holds no runs."""
    from dvidsync_dagster.dvid import sparsevol  # few runs split, and its arrays take time to load

    where = f"blob {reference} of {source.name} (split of body {body})"
    return sparsevol.parse_runs(source.blob(version, reference), where, header=False)
