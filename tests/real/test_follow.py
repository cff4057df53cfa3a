"""Two real servers and a real Kafka: work at the source, sync, compare."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from dvid_sandbox.proofreaders import WEIGHTS
from dvid_sandbox.proofreaders.repo import INSTANCES
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.report import ChunkReport
from tests.one_run import followed
from tests.real.harness import Stage, stage
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

FOLLOWED = tuple(INSTANCES)
TOKEN = "DVIDSYNC_TEST_ADMIN_TOKEN"

# No message tells of a neuron that was deleted.
ANNOUNCED = {kind: share for kind, share in WEIGHTS.items() if kind != "delete_neuron"}
LABELS = {kind: share for kind, share in ANNOUNCED.items() if kind not in ("post_key", "post_elements")}
RECORDS = {
    **ANNOUNCED,
    "post_elements": 12,
    "move_element": 4,
    "delete_element": 4,
    "post_blocks": 2,
    "replace_neuron": 4,
    "delete_key": 4,
}
COUNTERS = {
    "merge": 5.0,
    "cleave": 5.0,
    "renumber": 3.0,
    "renumber_up": 2.0,
    "reserve": 3.0,
    "raise_maxlabel": 1.0,
    "set_nextlabel": 1.0,
    "split_supervoxel": 3.0,
    "refused_cleave": 2.0,
    "refused_split_supervoxel": 2.0,
    "commit": 0.2,
    "branch": 0.2,
}


def run(scene: Stage, checkpoint: Checkpoint | None, epoch: int = 1) -> list[ChunkReport]:
    """One sync of all that the log holds."""
    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
    config = SyncConfig.model_validate(
        {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "settle_seconds": 0,
            "instances": list(FOLLOWED),
            "destinations": [
                {
                    "name": "copy",
                    "url": scene.destination.url,
                    "admin_token_env": TOKEN,
                    "start": {"time": start},
                }
            ],
        }
    )
    return followed(config, checkpoint=checkpoint, epoch=epoch)


@contextmanager
def on_stage(
    folder: Path,
    kafka: RealKafka,
    monkeypatch: pytest.MonkeyPatch,
    weights: Mapping[str, float],
    *,
    seed: int,
    people: int = 1,
    shared: bool = False,
    before: int = 30,
) -> Iterator[Stage]:
    with stage(
        folder,
        kafka=kafka.address,
        seed=seed,
        people=people,
        shared=shared,
        weights=weights,
        before=before,
    ) as scene:
        monkeypatch.setenv(TOKEN, scene.destination.admin_token)
        yield scene


def next_mutation_id(scene: Stage) -> int:
    """Of the destination: it grows with each label operation that is tried there."""
    info = httpx.get(f"{scene.destination.url}/api/repo/{scene.root}/info").json()
    return int(info["MutationID"])


@pytest.mark.parametrize(
    ("seed", "people", "shared", "weights"),
    [
        pytest.param(1, 1, False, LABELS, id="one person"),
        pytest.param(2, 6, False, LABELS, id="six people"),
        pytest.param(3, 4, True, {**LABELS, "split": 4}, id="shared bodies, splits"),
        pytest.param(4, 1, False, COUNTERS, id="counters"),
        pytest.param(5, 6, False, COUNTERS, id="counters at once"),
        pytest.param(6, 4, False, ANNOUNCED, id="all data types"),
        pytest.param(7, 6, False, RECORDS, id="mostly records"),
    ],
)
def test_the_copy_ends_as_the_source(
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
        scene.work(400)
        scene.flush()
        reports = run(scene, None)
        assert not any(report.conflicts or report.quarantined for report in reports)
        # Nobody else is at work: the ids tell it.
        checkpoint = reports[-1].checkpoint
        assert checkpoint is not None
        assert checkpoint.alone == next_mutation_id(scene)
        # The requests that repeat a split of a body take one id more than it did.
        scene.assert_same(instances=FOLLOWED, next_labels="split" not in weights)


def test_each_run_goes_on_where_the_last_one_ended(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = None
    with on_stage(tmp_path, real_kafka, monkeypatch, LABELS, seed=11, people=3) as scene:
        for epoch in range(1, 4):
            scene.work(150)
            scene.flush()
            checkpoint = run(scene, checkpoint, epoch)[-1].checkpoint
            scene.assert_same(instances=FOLLOWED)


def test_a_lost_checkpoint_applies_nothing_twice(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_stage(tmp_path, real_kafka, monkeypatch, LABELS, seed=12, people=3) as scene:
        scene.work(300)
        scene.flush()
        run(scene, None)
        before = next_mutation_id(scene)
        run(scene, None, 2)
        assert next_mutation_id(scene) == before
        scene.assert_same(instances=FOLLOWED)
