"""Bodies that are made in bulk at a real server: `apply: state`."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.report import ChunkReport
from tests.one_run import followed
from tests.real.harness import Stage
from tests.real.test_follow import COUNTERS, LABELS, TOKEN, on_stage
from tests.real_kafka import RealKafka
from tests.state import contradictions

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

INSTANCE = "segmentation"


def run(
    scene: Stage,
    checkpoint: Checkpoint | None = None,
    *,
    apply: str = "state",
    epoch: int = 1,
    chunk: int = 300,
) -> list[ChunkReport]:
    """One sync of all that the log holds of the labelmap."""
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
    config = SyncConfig.model_validate(
        {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "settle_seconds": 0,
            "chunk_records": chunk,
            "instances": [INSTANCE],
            "destinations": [
                {
                    "name": "copy",
                    "url": scene.destination.url,
                    "admin_token_env": TOKEN,
                    "start": {"time": start},
                    "apply": apply,
                }
            ],
        }
    )
    return followed(config, checkpoint=checkpoint, epoch=epoch)


@pytest.mark.parametrize(
    ("seed", "people", "shared", "weights"),
    [
        pytest.param(21, 6, False, LABELS, id="six people"),
        pytest.param(22, 4, True, {**LABELS, "split": 0}, id="shared bodies"),
        pytest.param(23, 6, False, COUNTERS, id="counters at once"),
    ],
)
def test_the_copy_ends_as_the_source_also_after_a_start_of_the_server(
    tmp_path: Path,
    real_kafka: RealKafka,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    people: int,
    shared: bool,
    weights: Mapping[str, float],
) -> None:
    with on_stage(
        tmp_path, real_kafka, monkeypatch, weights, seed=seed, people=people, shared=shared
    ) as scene:
        scene.work(300)
        scene.flush()
        reports = run(scene)
        assert not any(report.conflicts or report.quarantined for report in reports)
        counter = "split" not in weights
        scene.assert_same(instances=[INSTANCE], next_labels=counter)
        scene.destination.restart()
        scene.assert_same(instances=[INSTANCE], next_labels=counter)
        # What was made in bulk is followed by what is repeated one by one, and the other way round.
        checkpoint: Checkpoint | None = reports[-1].checkpoint
        for epoch, apply in enumerate(("replay", "state"), start=2):
            scene.work(100)
            scene.flush()
            checkpoint = run(scene, checkpoint, apply=apply, epoch=epoch)[-1].checkpoint
            scene.assert_same(instances=[INSTANCE], next_labels=counter)


def test_a_lost_checkpoint_changes_nothing(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_stage(tmp_path, real_kafka, monkeypatch, LABELS, seed=24, people=3) as scene:
        scene.work(200)
        scene.flush()
        run(scene)
        for apply in ("state", "replay"):
            again = run(scene, apply=apply, epoch=2)
            assert not any(report.conflicts for report in again)
            scene.assert_same(instances=[INSTANCE], next_labels=False)


def test_each_run_ends_exact_while_people_work(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {"merge": 5.0, "cleave": 4.0, "renumber": 1.0}
    with on_stage(tmp_path, real_kafka, monkeypatch, weights, seed=25, people=4) as scene:
        checkpoint = None
        for epoch in range(1, 4):
            at_work = threading.Thread(target=scene.work, args=(80,))
            at_work.start()
            reports = run(scene, checkpoint, epoch=epoch)
            at_work.join()
            checkpoint = reports[-1].checkpoint
            assert not any(report.conflicts for report in reports)
            assert contradictions(scene.states([INSTANCE])[1]) == []
        scene.flush()
        run(scene, checkpoint, epoch=9)
        scene.assert_same(instances=[INSTANCE])


@pytest.mark.parametrize("apply", ["state", "auto"])
def test_a_server_that_keeps_indices_in_memory_is_found_out(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch, apply: str
) -> None:
    weights = {"merge": 5.0, "cleave": 4.0}
    with on_stage(tmp_path, real_kafka, monkeypatch, weights, seed=26, people=3) as scene:
        scene.destination.index_cache_mb = 16
        scene.destination.restart()
        scene.work(250)
        scene.flush()
        if apply == "state":
            with pytest.raises(ConfigurationError, match="keeps indices of bodies in memory"):
                run(scene, apply=apply)
        else:
            reports = run(scene, apply=apply, chunk=2000)
            assert any("keeps indices" in note for report in reports for note in report.notes)
            scene.assert_same(instances=[INSTANCE])
