"""What a message leaves to a blob at the source: long lists of supervoxels, and the voxels of splits.

See docs/dvid.md, "Messages that point to a blob".
"""

from __future__ import annotations

import orjson

from dvidsync_dagster.datatypes.labelmap.server.commands import CleaveBody, SplitSupervoxels
from dvidsync_dagster.dvid import sparsevol
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import ServerFailed


def cleaved_supervoxels(cleave: CleaveBody, source: Labelmap) -> tuple[int, ...]:
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


def split_volume(split: SplitSupervoxels, source: Labelmap) -> sparsevol.Runs:
    """The voxels that are split off. Raises ServerFailed if the blob holds no runs."""
    where = f"blob {split.volume} of {source.name} (split of body {split.body})"
    return sparsevol.parse_runs(source.blob(split.version, split.volume), where, header=False)
