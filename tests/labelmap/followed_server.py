"""A server on whose labelmap people work, and tables that follow its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from dvid_sandbox.launcher import DvidServer
from dvid_sandbox.proofreaders import Proofreaders, make_repo
from dvid_sandbox.proofreaders.crowd import LABEL_KINDS, WEIGHTS
from dvidsync_dagster.datatypes.labelmap.claims import claims_of
from dvidsync_dagster.datatypes.labelmap.comparison import LabelmapComparison
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState
from dvidsync_dagster.datatypes.labelmap.events import BodyEvent
from dvidsync_dagster.destinations.bucket.compared import BucketSide
from dvidsync_dagster.differences.items import Pair
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.events.event import Event
from dvidsync_dagster.plan.order import order
from tests.datatypes.source_log import SourceLog
from tests.labelmap.arrow_tables import INSTANCE, ArrowTables

EVERY_KIND = {
    **{kind: WEIGHTS.get(kind, 1) for kind in LABEL_KINDS - {"set_nextlabel"}},
    "merge": 40,
    "cleave": 20,
    "split": 6,
    "split_supervoxel": 6,
    "split_whole": 3,
    "commit": 2,
}
"""What people do to labels, odd requests included, in one version after the other."""

Found = tuple[dict[int, int], dict[int, dict[str, Any]]]
"""Bodies by supervoxel, and what is known of each body, without times."""


class FollowedServer:
    """One repo of a server that logs, and the tables of its labelmap as they were read at first.

    Args:
        log: of the server.
        people: who work on it.
        random: cuts the log.
    """

    def __init__(self, log: SourceLog, people: Proofreaders, random: Random) -> None:
        self.log = log
        self.people = people
        self.tables = ArrowTables()
        self.first = self.read(log.root)
        self.tables.held = dict(self.first.held)
        self._random = random

    def read(self, version: str) -> ArrowTables:
        """All of a version, from the server."""
        tables = ArrowTables()
        for table, batches in self.log.side(INSTANCE).whole(version):
            tables.create(table, batches)
        tables.assert_counted()
        return tables

    def work(self, count: int) -> None:
        """Some of it is refused: a body without voxels cannot be merged."""
        self.people.work(count)

    def follow(self) -> list[str]:
        """Bring what is new in the log into the tables, in chunks cut anywhere; after each version that was
        left, they must be as that version is at the server. Those versions."""
        side = self.log.side(INSTANCE)
        compared = []
        for version, events in self._by_version(self.log.new_events()):
            while events:
                size = self._random.choice([1, 10, len(events)])
                self.tables.commit(side.changes(events[:size], version, self.tables))
                events = events[size:]
            self.assert_same(version)
            compared.append(version)
        return compared

    def assert_same(self, version: str) -> None:
        """The tables are what the version is read as, and hold the same as the edits since the first time."""
        read = self.read(version)
        assert content(self.tables) == content(read)
        assert self.tables.replayed_edits(self.first.mapping) == read.mapping
        self.tables.assert_counted()
        assert self.differences(version) == []
        for body, row in read.bodies.items():
            # DVID keeps when an operation began, and the log tells when it was done.
            told = self.tables.bodies[body]["last_time"]
            assert (row["last_time"] is None) == (told is None)
            assert told is None or row["last_time"] <= told

    def differences(self, version: str) -> list[str]:
        """What a comparison finds between the server and the tables."""
        here = DvidSide(self.log.client, version, INSTANCE)
        there = BucketSide(version, INSTANCE, self.log.side(INSTANCE), self.tables)
        found, _ = LabelmapComparison().items(Pair(here, there, settled=True), lower_scales=False)
        return [row.what for each in found for row in each.rows(version, INSTANCE)]

    def _by_version(self, events: Sequence[Event]) -> Iterator[tuple[str, list[Event]]]:
        """The labelmap's events, in an order in which they can be applied, version by version."""
        found: dict[str, list[BodyEvent]] = {}
        for event in events:
            if isinstance(event, BodyEvent) and event.instance == INSTANCE:
                found.setdefault(event.version, []).append(event)
        for version, own in found.items():
            ordering = order(claims_of(list(own), lambda _: CounterState(next_label=1, was_set=False)))
            yield version, [own[index] for index in ordering.sequence]


def content(tables: ArrowTables) -> Found:
    bodies = {
        body: {name: value for name, value in row.items() if name != "last_time"}
        for body, row in tables.bodies.items()
    }
    return tables.mapping, bodies


@contextmanager
def followed_server(
    server: DvidServer, seed: int, people: int, *, before: int = 0, **weights: float
) -> Iterator[FollowedServer]:
    """A new repo. The split endpoint of the server is on.

    Args:
        before: how much was done when the tables were read at first.
    """
    repo = make_repo(server.url, server.admin_token, size=64, cube=8)
    with Proofreaders(
        server.url,
        repo.root,
        seed=seed,
        people=people,
        weights={**EVERY_KIND, "commit": 0, "cleave_nothing": 0},
        admin_token=server.admin_token,
    ) as early:
        early.work(before)
    log = SourceLog(server, repo.root)
    log.new_events()
    with Proofreaders(
        server.url,
        repo.root,
        seed=seed + 1,
        people=people,
        weights={**EVERY_KIND, **weights},
        admin_token=server.admin_token,
        max_versions=4,
    ) as crowd:
        yield FollowedServer(log, crowd, Random(seed))
