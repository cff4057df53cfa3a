"""What differs, put apart: what records explain that the destination has not followed yet, and the rest."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.compare.annotation import ELEMENTS, related
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.touched import Touched


def apart(found: Found, pair: Pair, touched: Touched, versions: Collection[str]) -> tuple[Found, Found]:
    """The items that differ though nothing that is still to come touches them, and those that it does.

    Args:
        versions: that of the items and its ancestors.
    """
    pending = touched.among(found, pair.source.name, versions)
    if found.kind is ELEMENTS and not pending.all():
        pending |= _lost_relations(found, pair, touched, versions)
    return found.only(~pending), found.only(pending)


def _lost_relations(
    found: Found, pair: Pair, touched: Touched, versions: Collection[str]
) -> npt.NDArray[np.bool_]:
    """Elements that differ in their relations to one that was deleted or moved."""
    ends = touched.ends_of_relations(pair.source.name, versions)
    keys = found.keys.tolist()
    tied = related(pair, set(keys), ends) if ends else set()
    return np.fromiter((key in tied for key in keys), bool, len(keys))
