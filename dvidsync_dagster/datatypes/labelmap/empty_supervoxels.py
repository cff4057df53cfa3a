"""Supervoxels without voxels, which DVID maps to a body all the same.

See docs/dvid.md, "Supervoxels without voxels". A snapshot leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence

from dvidsync_dagster.dvid.labelmap import Labelmap


def empty_among(version: str, supervoxels: Sequence[int], source: Labelmap) -> set[int]:
    """Those of these supervoxels that have no voxels and are mapped to a body; none that was split since.

    Raises:
        ServerError: the source does not answer.
    """
    if not supervoxels:
        return set()
    sizes = source.sizes(version, supervoxels, of_supervoxels=True)
    empty = [each for each, voxels in zip(supervoxels, sizes, strict=True) if not voxels]
    bodies = source.mapping(version, empty)
    return {each for each, body in zip(empty, bodies, strict=True) if body}
