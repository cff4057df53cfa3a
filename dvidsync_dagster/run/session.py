"""A source and a destination, opened for one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.datatypes.registry import ALL
from dvidsync_dagster.datatypes.source_side import SourceSide
from dvidsync_dagster.destinations.kinds import Opener, opened_destination
from dvidsync_dagster.destinations.protocol import Destination
from dvidsync_dagster.destinations.source import Source
from dvidsync_dagster.dvid.opening import open_source
from dvidsync_dagster.run.discovery import Route, check_instances, discover
from dvidsync_dagster.run.log_before import LogBefore
from dvidsync_dagster.run.notes import Notes

_READS_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Session:
    """Both, with what was asked of them.

    Args:
        sources: by data type, what asks the source.
        notes: what the run has to say.
    """

    sources: Mapping[str, SourceSide]
    route: Route
    destination: Destination
    notes: Notes


@contextmanager
def opened_session(
    config: SyncConfig,
    destination: AnyDestination,
    *,
    born_since: int | None,
    still_owner: Callable[[], None],
    is_new: bool = False,
    opener: Opener = opened_destination,
) -> Iterator[Session]:
    """Connect to both and ask what is to be followed.

    Args:
        born_since: as for `check_instances`.
        still_owner: raises OwnershipLost if a newer run owns the destination.
        is_new: nothing is known of the destination yet.
        opener: opens the destination.

    Raises:
        ConfigurationError, ServerError: as `discover`, `check_instances` and the opener.
    """
    with ExitStack() as stack:
        client = stack.enter_context(open_source(config))
        route = discover(config, destination, client)
        notes = Notes()
        pool = stack.enter_context(ThreadPoolExecutor(_READS_AT_A_TIME, thread_name_prefix="source"))
        sources = {
            typename: each.source_side(client, route.clock, route.source.started, pool)
            for typename, each in ALL.items()
        }
        source = Source(
            client=client,
            info=route.source,
            repo=route.repo,
            counters=route.counters,
            followed=lambda name: name not in route.not_followed,
            changed_before=LogBefore(route, route.clock if born_since is None else born_since).changed,
        )
        follower = stack.enter_context(
            opener(config, destination, source, is_new=is_new, still_owner=still_owner, note=notes.say)
        )
        check_instances(destination, route, follower.contents(), born_since)
        yield Session(sources, route, follower, notes)
