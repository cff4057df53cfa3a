"""On a real server and a real Kafka: tables of values are the same by the log as from scratch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.datatypes.repo.snapshot import PATH, VersionsSnapshot
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.neuronjson import Neuronjson
from dvidsync_dagster.errors import Unfit
from tests.datatypes.edits import edit_elements, edit_keys, edit_neurons, in_pieces, split_some
from tests.datatypes.following import follow_new
from tests.datatypes.memory_tables import MemoryTables, Rows, filled
from tests.datatypes.source_log import KEYS, LABELS, NEURONS, SYNAPSES, SourceLog, element
from tests.datatypes.test_snapshot_neuronjson import assert_columns_hold_the_fields, texts
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]


@pytest.fixture
def log(tmp_path: Path, real_kafka: RealKafka) -> Iterator[SourceLog]:
    prefix = f"snapshot-{time.time_ns()}-"
    with RealServer.start(tmp_path / "source", kafka=real_kafka.address, topic_prefix=prefix) as server:
        root = make_repo(server.url, server.admin_token, size=64, cube=16, synced=True).root
        yield SourceLog(server, root)


def followed(
    log: SourceLog, instance: str, edit: Callable[[SourceLog, Random, int], None], seed: int
) -> tuple[MemoryTables, MemoryTables]:
    """Random work in two versions: the tables by the log, and from scratch."""
    random = Random(seed)
    edit(log, random, 30)
    log.new_events()
    tables = filled(log.side(instance), log.version)
    for _ in range(2):
        edit(log, random, 30)
        follow_new(instance, log, tables, random)
        log.new_version()
    return tables, filled(log.side(instance), log.version)


@pytest.mark.parametrize("seed", range(2))
def test_keys(log: SourceLog, seed: int) -> None:
    tables, scratch = followed(log, KEYS, edit_keys, seed)
    assert tables.rows(KEYS) == scratch.rows(KEYS)
    assert len(scratch.rows(KEYS)) > 10


@pytest.mark.parametrize("seed", range(2))
def test_neurons(log: SourceLog, seed: int) -> None:
    tables, scratch = followed(log, NEURONS, edit_neurons, seed)
    assert texts(tables) == texts(scratch)
    assert len(texts(scratch)) > 5
    for each in (tables, scratch):
        assert_columns_hold_the_fields(each)


def edit_both(log: SourceLog, random: Random, count: int) -> None:
    edit_elements(log, random, count)
    split_some(log, random, 2)


@pytest.mark.parametrize("seed", range(3))
def test_elements(log: SourceLog, seed: int) -> None:
    tables, scratch = followed(log, SYNAPSES, edit_both, seed)
    rows: Rows = scratch.rows(SYNAPSES)
    assert tables.rows(SYNAPSES) == rows
    assert len(rows) > 10
    assert len({row["sv"] for row in rows.values()}) > 3


def test_versions(log: SourceLog) -> None:
    log.post("commit", {"note": "first", "log": ["one"]})
    log.new_events()
    side = VersionsSnapshot(log.client, log.root, "master")
    tables = filled(side, log.root)
    log.version = str(log.post("newversion", {"note": "next"})["child"])
    log.post("note", {"note": "noted"})
    log.post("log", {"log": ["two"]})
    log.post("commit", {"note": "done", "log": []})
    for piece in in_pieces(log.new_events(), Random(1)):
        tables.follow(side, piece, log.version)
    assert tables.rows(PATH) == filled(side, log.version).rows(PATH)
    assert len(tables.rows(PATH)) == 2


def test_supervoxels_under_points(log: SourceLog) -> None:
    """Outside of the volume there is none; bodies play no part."""
    log.post(f"{LABELS}/merge", [1, 2])
    points = [(5, 5, 5), (20, 5, 5), (-5, 5, 5), (10**9, 5, 5), (-(2**31), 2**31 - 1, 0)]
    labels = Labelmap(log.client, LABELS)
    assert labels.supervoxels_at(log.version, points) == [1, 2, 0, 0, 0]
    assert labels.supervoxels_at(log.version, points * 50) == [1, 2, 0, 0, 0] * 50
    assert labels.supervoxels_at(log.version, []) == []


def test_elements_in_a_block_that_is_not_theirs(log: SourceLog) -> None:
    log.post(f"{SYNAPSES}/blocks", {"1,0,0": [element(2)]})
    assert log.get(f"{SYNAPSES}/elements/64_64_64/0_0_0") is None
    with pytest.raises(AssertionError, match="Did not find element"):
        log.delete(f"{SYNAPSES}/element/2_5_5")
    with pytest.raises(Unfit, match="to which it does not belong"):
        filled(log.side(SYNAPSES), log.version)


def test_a_neuron_without_any_field(log: SourceLog) -> None:
    log.put_neuron(5)
    assert log.get(f"{NEURONS}/all", show="all") == []
    assert Neuronjson(log.client, NEURONS).records(log.version, [5]) == {5: b'{"bodyid":5}'}
    tables = filled(log.side(NEURONS), log.version)
    log.put_neuron(5)
    tables.follow(log.side(NEURONS), log.new_events(), log.version)
    assert tables.rows(NEURONS) == {}
