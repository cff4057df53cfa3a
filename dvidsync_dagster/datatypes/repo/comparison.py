"""What events of the repo itself touch. What differs there is compared with the repo, not by data type."""

from __future__ import annotations

from dvidsync_dagster.datatypes.contract import DataComparison
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.touched import Touched
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.events.repo import NewInstance, NewVersion


class RepoComparison(DataComparison):
    """Versions and instances."""

    def items(self, pair: Pair, *, lower_scales: bool) -> tuple[list[Found], int]:
        """No instance is of this type."""
        return [], 0

    def touch(self, event: Event, touched: Touched, source: Transport) -> None:
        touched.versions.add(event.version)
        if isinstance(event, NewVersion):
            touched.versions.add(event.child)
        elif isinstance(event, NewInstance):
            touched.instances.add(event.name)
