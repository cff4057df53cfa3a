"""Messages that never reached the log: their mutation ids are missing."""

from __future__ import annotations

import numpy as np
import pytest

from dvidsync_dagster.orchestration.checks import RunEnd, check_log_complete
from dvidsync_dagster.run.report import ChunkReport, UnexplainedIds
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.datatypes.test_unfinished import LABELS, relay, sync
from tests.relay import Relay, Row

__all__ = ["relay"]


@pytest.fixture(autouse=True)
def given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvidsync_dagster.log.heard_ids.PATIENCE_NS", 0)


def lose_one(scene: SourceAndDestination, relay: Relay) -> list[Row]:
    """Three merges; the messages of the second get lost."""
    for body in (1, 3, 5):
        scene.post(f"{LABELS}/merge", json=[body, body + 1])
    rows = relay.fresh(6)
    assert rows[2].mutation_id == rows[3].mutation_id
    relay.publish(rows[:2] + rows[4:])
    return rows


def unexplained(reports: list[ChunkReport]) -> UnexplainedIds | None:
    (found,) = {report.unexplained for report in reports}
    return found


def test_an_operation_that_the_sources_own_list_has(scene: SourceAndDestination, relay: Relay) -> None:
    rows = lose_one(scene, relay)
    reports = sync(scene, relay)
    assert unexplained(reports) == UnexplainedIds(1, True, rows[0].key, rows[4].key, (scene.root,))
    # Who runs it without Dagster's checks sees it too.
    (note,) = [note for report in reports for note in report.notes if "messages were lost" in note]
    assert "1 label operation that" in note
    end = RunEnd()
    end.add(reports[-1])
    result = check_log_complete(end)
    assert result is not None
    assert not result.passed
    assert result.severity.value == "WARN"
    assert "1 label operation that" in (result.description or "")
    assert scene.root in (result.description or "")
    # It is said once.
    assert unexplained(sync(scene, relay)) is None


def test_ids_of_voxels_and_refused_merges_are_no_lost_messages_where_the_source_keeps_a_list(
    scene: SourceAndDestination, relay: Relay
) -> None:
    others(scene)
    relay.publish(relay.fresh(4))
    assert unexplained(sync(scene, relay)) is None


def others(scene: SourceAndDestination) -> None:
    scene.post(f"{LABELS}/merge", json=[1, 2])
    volume = np.full((64, 64, 64), 500, dtype="<u8")
    scene.post(f"{LABELS}/raw/0_1_2/64_64_64/64_0_0", body=volume.tobytes())
    assert scene.request("POST", f"{LABELS}/merge", json=[1, 2]).status_code == 400
    scene.post(f"{LABELS}/merge", json=[5, 6])


def test_a_hint_where_the_source_keeps_no_list(
    scene: SourceAndDestination, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvidsync_dagster.dvid.labelmap.Labelmap.mutation_ids", lambda *_: frozenset())
    others(scene)
    relay.publish(relay.fresh(4))
    found = unexplained(sync(scene, relay))
    assert found is not None
    assert (found.count, found.are_operations) == (2, False)


def test_a_gap_lives_on_in_the_checkpoint_until_it_is_closed(
    scene: SourceAndDestination, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvidsync_dagster.log.heard_ids.PATIENCE_NS", 10**15)
    rows = lose_one(scene, relay)
    sync(scene, relay)
    assert scene.checkpoint is not None
    (gap,) = scene.checkpoint.ids.gaps
    assert (gap.first, gap.last) == (rows[2].mutation_id, rows[2].mutation_id)
    relay.publish(rows[2:4])
    sync(scene, relay)
    assert scene.checkpoint.ids.gaps == ()
    scene.assert_same()
