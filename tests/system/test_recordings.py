"""A recorded log of a real DVID, synced into a sandbox in the state before: it ends in the state after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.report import ChunkReport
from tests.log.kafka_topics import create
from tests.one_run import followed
from tests.real_kafka import RealKafka
from tests.recorded import RecordedStage, publish, recorded_stage
from tests.recordings import Recording, crowd, every_op, proofreading

RECORDINGS = pytest.mark.parametrize("recording", [every_op, proofreading, crowd], ids=lambda r: r.name)


def run(
    stage: RecordedStage, checkpoint: Checkpoint | None = None, *, chunk_records: int = 20_000, epoch: int = 1
) -> list[ChunkReport]:
    return followed(stage.config(chunk_records), checkpoint=checkpoint, epoch=epoch)


def tries(stage: RecordedStage) -> int:
    """How many operations on bodies were tried at the copy: its mutation ids."""
    info = httpx.get(f"{stage.destination.url}/api/repo/{stage.recording.root}/info").json()
    return int(info["MutationID"])


@RECORDINGS
@pytest.mark.parametrize("chunk_records", [100, 20_000])
def test_the_copy_ends_as_recorded_and_a_second_run_finds_nothing_to_do(
    recording: Recording,
    chunk_records: int,
    prepared: Callable[[Recording], Path],
    published: Callable[[Recording], str],
    tmp_path: Path,
) -> None:
    broker = published(recording)
    with recorded_stage(recording, prepared(recording), tmp_path / "copy", broker) as stage:
        reports = run(stage, chunk_records=chunk_records)
        stage.assert_as_recorded()
        assert not any(report.left_something_out for report in reports)
        assert (len(reports) > 1) == (chunk_records == 100 and len(recording.kafka) > 100)
        again = run(stage, reports[-1].checkpoint, chunk_records=chunk_records, epoch=2)
        assert [(report.records, report.operations, report.requests) for report in again] == [(0, 0, 0)]


@RECORDINGS
def test_without_its_checkpoint_a_run_applies_nothing_twice(
    recording: Recording,
    prepared: Callable[[Recording], Path],
    published: Callable[[Recording], str],
    tmp_path: Path,
) -> None:
    broker = published(recording)
    with recorded_stage(recording, prepared(recording), tmp_path / "copy", broker) as stage:
        run(stage)
        before = tries(stage)
        again = run(stage, chunk_records=100, epoch=2)
        assert not any(report.left_something_out for report in again)
        assert tries(stage) == before
        stage.assert_as_recorded()


@pytest.mark.kafka
def test_the_same_on_a_real_kafka(
    real_kafka: RealKafka, prepared: Callable[[Recording], Path], tmp_path: Path
) -> None:
    for topic in sorted({record["topic"] for record in proofreading.kafka}):
        create(real_kafka.address, topic, 3)
    publish(proofreading, real_kafka.address, 3)
    with recorded_stage(proofreading, prepared(proofreading), tmp_path / "copy", real_kafka.address) as stage:
        run(stage, chunk_records=500)
        stage.assert_as_recorded()
