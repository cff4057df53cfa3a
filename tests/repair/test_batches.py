"""What a repair asks for at a time, and what it says of that which was refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.datatypes.commands import Step
from dvidsync_dagster.datatypes.keyvalue.batches import MAX_BYTES, MAX_KEYS, fitting
from dvidsync_dagster.datatypes.keyvalue.commands import CopyKeys
from dvidsync_dagster.datatypes.keyvalue.repair import KeyvalueRepair
from dvidsync_dagster.differences.items import ServerPair
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.differences.work import Work
from dvidsync_dagster.dvid.opening import open_destination, open_source
from dvidsync_dagster.dvid.writing import SourcesVersions
from dvidsync_dagster.plan.outcome import Outcome, Refusal
from tests.two_servers import KEYS, TwoServers, two_sandboxes

MIB = 2**20


@given(st.lists(st.integers(0, 2 * MAX_BYTES), max_size=30))
def test_everything_goes_once_and_fits(sizes: list[int]) -> None:
    together = [sizes[some] for some in fitting(sizes)]
    assert [size for some in together for size in some] == sizes
    assert all(len(some) == 1 or sum(some) <= MAX_BYTES for some in together)


def test_many_small_ones() -> None:
    assert [some.stop - some.start for some in fitting([0] * (MAX_KEYS + 1))] == [MAX_KEYS, 1]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[TwoServers]:
    with two_sandboxes(tmp_path) as servers:
        yield servers


def repaired_by(servers: TwoServers, outcome: Outcome) -> tuple[list[CopyKeys], Work]:
    """The commands of a repair of the keys, each answered by `outcome`."""
    config = servers.config(admin=False)
    asked: list[CopyKeys] = []

    def carry_out(steps: Sequence[Step]) -> list[Outcome]:
        asked.extend(step.command for step in steps if isinstance(step.command, CopyKeys))
        return [outcome for _ in steps]

    work = Work(dry_run=False)
    with (
        open_source(config) as source,
        open_destination(config.servers[0], writes=SourcesVersions(source, config.repo)) as destination,
    ):
        here, there = (DvidSide(client, servers.root, KEYS) for client in (source, destination))
        KeyvalueRepair().version(ServerPair(here, there, settled=True), work, carry_out)
    return asked, work


def test_large_values_go_alone(servers: TwoServers) -> None:
    """Else a command would hold all of them in memory."""
    servers.source.put(v=bytes(5 * MIB), w=bytes(5 * MIB), x=bytes(9 * MIB), y=b"1", z=b"2")
    asked, _ = repaired_by(servers, Outcome())
    assert [(command.keys, command.largest) for command in asked] == [
        (("v",), 5 * MIB),
        (("w",), 5 * MIB),
        (("x",), 9 * MIB),
        (("y", "z"), 1),
    ]


def test_only_what_was_refused_is_left(servers: TwoServers) -> None:
    servers.source.put(x=b"1", y=b"2", z=b"3")
    _, work = repaired_by(servers, Outcome(refusals=(Refusal(1, "no room"),)))
    assert [(row.count, row.examples, row.why) for row in work.not_repaired] == [(1, ("y",), "no room")]
    assert [(row.count, row.examples) for row in work.changes] == [(2, ("x", "z"))]


def test_what_was_refused_is_no_change(servers: TwoServers) -> None:
    servers.source.put(x=b"1")
    _, work = repaired_by(servers, Outcome(refusals=(Refusal(0, "no room"),)))
    assert (len(work.not_repaired), work.changes) == (1, [])
