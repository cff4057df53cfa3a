"""A destination that was away for longer than Kafka keeps the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import LogGap
from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.run.archiving import archive_log
from tests.datatypes.source_and_destination import SourceAndDestination
from tests.datatypes.source_and_destination import scene as open_scene
from tests.log.kafka_topics import drop_before, open_log
from tests.real_kafka import RealKafka

pytestmark = pytest.mark.kafka


@pytest.fixture
def kept(tmp_path: Path, real_kafka: RealKafka, made: tuple[Path, str]) -> Iterator[SourceAndDestination]:
    with open_scene(tmp_path, real_kafka, made) as opened:
        yield opened


def work(scene: SourceAndDestination, parent: str, first: int) -> str:
    """Merge, cleave and write keys in a new version."""
    version = scene.new_version(parent)
    for number in range(first, first + 8, 2):
        scene.post("segmentation/merge", json=[number, number + 1], version=version)
        scene.post(f"segmentation/cleave/{number}", json=[number + 1], version=version)
        scene.post(scene.key("segmentation_annotations", f"key {number}"), body=b"1", version=version)
    return version


def keep(scene: SourceAndDestination, archive: LogArchive) -> None:
    """What a run of the archive does."""
    config = SyncConfig.model_validate(
        {
            "source": {"url": scene.source.url},
            "repo": scene.root,
            "destinations": [scene.destination_fields()],
            "settle_seconds": 0,
        }
    )
    for _ in archive_log(config, archive, checkpoint=None, epoch=1, still_owner=lambda: None):
        pass


def drop_all(scene: SourceAndDestination, topics: Iterable[str]) -> None:
    """Kafka drops every record that it has of the source."""
    address = scene.source.kafka
    assert address is not None
    with open_log(address, *topics) as log:
        ends = log.end()
    drop_before(address, {(topic, p): at.next for topic, ps in ends.items() for p, at in ps.items()})


def test_what_kafka_has_dropped_comes_from_the_archive(kept: SourceAndDestination, tmp_path: Path) -> None:
    first = work(kept, kept.root, 1)
    kept.sync()
    second = work(kept, first, 9)
    archive = LogArchive(str(tmp_path / "log"))
    keep(kept, archive)
    assert kept.checkpoint is not None
    drop_all(kept, kept.checkpoint.positions)
    work(kept, second, 17)
    with pytest.raises(LogGap, match="Make a fresh copy"):
        kept.sync()
    reports = kept.sync(archive=str(tmp_path / "log"), chunk_records=100)
    assert sum(report.present for report in reports) == 0
    assert any("that Kafka has dropped came from the archive" in note for r in reports for note in r.notes)
    kept.assert_same()
    (again,) = kept.sync()
    assert (again.records, again.requests) == (0, 0)


def test_an_old_copy_starts_from_the_archive(kept: SourceAndDestination, tmp_path: Path) -> None:
    """The copy was made before the first of the work, and Kafka has dropped all of that."""
    made = datetime.now(UTC).isoformat()
    first = work(kept, kept.root, 1)
    archive = LogArchive(str(tmp_path / "log"))
    keep(kept, archive)
    drop_all(kept, sorted({record.topic for record in archive.read(0, 2**63 - 1)}))
    work(kept, first, 9)
    reports = kept.sync(archive=str(tmp_path / "log"), changed={"start": {"time": made}})
    assert not any("only a comparison shows it" in note for r in reports for note in r.notes)
    kept.assert_same()


def test_what_the_archive_lacks_is_still_a_gap(kept: SourceAndDestination, tmp_path: Path) -> None:
    first = work(kept, kept.root, 1)
    kept.sync()
    archive = LogArchive(str(tmp_path / "log"))
    keep(kept, archive)
    work(kept, first, 9)
    assert kept.checkpoint is not None
    drop_all(kept, kept.checkpoint.positions)
    with pytest.raises(LogGap, match="the archive does not hold them all"):
        kept.sync(archive=str(tmp_path / "log"))
