"""What differs, put apart: what records explain that the destination has not followed yet, and the rest."""

from __future__ import annotations

from collections.abc import Collection

from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.touched import Touched


def apart(
    found: Found, pair: Pair, comparison: DataComparison, touched: Touched, versions: Collection[str]
) -> tuple[Found, Found]:
    """The items that differ though nothing that is still to come touches them, and those that it does.

    Args:
        comparison: that of the items' data type.
        versions: that of the items and its ancestors.
    """
    pending = touched.among(found, pair.source.name, versions)
    if not pending.all():
        pending |= comparison.tied(found, pair, touched, versions)
    return found.only(~pending), found.only(pending)
