"""A new data type is a package and a line in the registry: it is decoded, ordered, brought and told of."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.datatypes import registry
from dvidsync_dagster.datatypes.decode import decode_records
from dvidsync_dagster.destinations.memory import MemoryDestination
from dvidsync_dagster.destinations.protocol import Standing
from dvidsync_dagster.dvid.repo import Instance, RepoInfo
from dvidsync_dagster.errors import Conflict
from dvidsync_dagster.events.batch import Batch
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.eras import EraClock
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.run.at_hand import AtHand
from dvidsync_dagster.run.session import opened_session
from tests.datatypes.source_and_destination import TOKEN, SourceAndDestination
from tests.datatypes.tally import TallyType
from tests.places import ALL_FAILED, UNJUDGED

TOPICS = {"votes": Instance(name="votes", typename="tally", data_uuid="1")}


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> TallyType:
    """The line in the registry."""
    added = TallyType()
    monkeypatch.setitem(registry.FOLLOWED, added.typename, added)
    monkeypatch.setitem(registry.ALL, added.typename, added)
    return added


def batch(version: str, *counts: tuple[str, int]) -> Batch:
    records = [
        Record(
            1000 + number,
            "votes",
            0,
            number,
            orjson.dumps({"Action": "count", "UUID": version, "Name": name, "By": by}),
        )
        for number, (name, by) in enumerate(counts)
    ]
    decoded = decode_records(records, TOPICS, {}, EraClock(), UNJUDGED)
    assert decoded.undecodable == []
    at_hand = AtHand(ALL_FAILED)
    at_hand.take_in(decoded, [], ended_before=2**63)
    return Batch(at_hand.events(), at_hand.awaited(), records=len(records))


@pytest.mark.usefixtures("tally")
def test_in_memory() -> None:
    memory = MemoryDestination({}, lambda: RepoInfo("v", {}, {}, 0))
    brought = memory.bring(batch("v", ("a", 1), ("b", 2), ("a", 3)))
    assert [event.action for event in brought.applied] == ["count"] * 3
    memory.bring(batch("v", ("a", 10)))
    memory.keep(Checkpoint(epoch=1), Standing.AT_CUT)
    assert memory.rows == {("tally", "votes", "v", "a"): 14, ("tally", "votes", "v", "b"): 2}


def test_at_a_server(
    tally: TallyType, scene: SourceAndDestination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SyncConfig.model_validate(
        {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "destinations": [scene.destination_fields()],
            "quarantine": str(tmp_path),
        }
    )
    monkeypatch.setenv(TOKEN, scene.destination.admin_token)
    with opened_session(config, config.destinations[0], born_since=0, still_owner=lambda: None) as session:
        session.destination.begin_pass(None, again=False)
        brought = session.destination.bring(batch(scene.root, ("a", 1), ("b", 2), ("a", 3)))
        assert (len(brought.applied), tally.numbers) == (3, {"a": 4, "b": 2})
        with pytest.raises(Conflict, match=r"count at votes partition 0 offset 0 .*a name begins with a dot"):
            session.destination.bring(batch(scene.root, (".a", 1)))


@pytest.mark.usefixtures("tally")
def test_an_action_that_it_does_not_know_is_counted() -> None:
    record = Record(1, "votes", 0, 0, b'{"Action": "recount", "UUID": "v"}')
    decoded = decode_records([record], TOPICS, {}, EraClock(), UNJUDGED)
    assert decoded.unknown_actions == {"tally recount": 1}
