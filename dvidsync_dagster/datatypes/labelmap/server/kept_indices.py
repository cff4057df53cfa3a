"""Does a server keep the indices of bodies in memory?

With `[cache.labelmap]` in its configuration it does, and then goes on with the old ones after new ones were
posted (docs/dvid.md, "Copying states"). No request but an administrator's tells the configuration. So it is
tried on one body: its index is posted as it is, but for the time of its last change, and asked for before and
after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex

_BODIES = 500
"""Are looked at, at the most."""
_AT_ONCE = 50
_FEW_BLOCKS = 100
_OTHER_TIMES = ("2000-01-01T00:00:00Z", "2000-01-01T00:00:01Z")


def keeps_indices(labelmap: Labelmap, versions: Iterable[str], labels: Sequence[int]) -> bool | None:
    """None if none of the bodies is in one of the versions, so that nothing can be tried.

    Args:
        versions: open ones.
        labels: of bodies that may be there.
    """
    for version in versions:
        index = _small(labelmap, version, labels)
        if index is not None:
            return _keeps(labelmap, version, index)
    return None


def _small(labelmap: Labelmap, version: str, labels: Sequence[int]) -> LabelIndex | None:
    """A small index, as a server does not keep a large one; else the smallest of some."""
    smallest: LabelIndex | None = None
    for start in range(0, min(len(labels), _BODIES), _AT_ONCE):
        for _, index in labelmap.indices(version, labels[start : start + _AT_ONCE]):
            if index.blocks and (smallest is None or len(index.blocks) < len(smallest.blocks)):
                smallest = index
        if smallest is not None and len(smallest.blocks) <= _FEW_BLOCKS:
            break
    return smallest


def _keeps(labelmap: Labelmap, version: str, index: LabelIndex) -> bool:
    other = LabelIndex()
    other.CopyFrom(index)
    other.last_mod_time = next(time for time in _OTHER_TIMES if time != index.last_mod_time)
    labelmap.last_mod(version, index.label)
    labelmap.put_indices(version, [other])
    try:
        last = labelmap.last_mod(version, index.label)
        return last is not None and last.time != other.last_mod_time
    finally:
        labelmap.put_index_and_kept(version, index)
