"""What differs, put apart: what records explain that the destination has not followed yet, and the rest."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.touched import Touched


def apart(
    found: Found, pair: Pair, comparison: DataComparison, touched: Touched, versions: Collection[str]
) -> tuple[Found, Found]:
    """The items that differ though nothing that is still to come touches them, and those that it does. See
    `pending_among`."""
    pending = pending_among(found, pair, comparison, touched, versions)
    return found.only(~pending), found.only(pending)


def pending_among(
    found: Found, pair: Pair, comparison: DataComparison, touched: Touched, versions: Collection[str]
) -> npt.NDArray[np.bool_]:
    """Which of the items that differ are touched by what is still to come.

    Args:
        comparison: that of the items' data type.
        versions: that of the items and its ancestors.
    """
    pending = touched.among(found, pair.source.name, versions)
    if not pending.all():
        pending |= comparison.tied(found, pair, touched, versions)
    return pending
