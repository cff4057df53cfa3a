"""Every read of the source names who reads: servers log that, and block who reads too much."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.archive import LogArchive
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.run.archiving import archive_log
from dvidsync_dagster.run.lag import look
from tests.datatypes.source_and_destination import scene, template
from tests.hostile.proxy import proxy
from tests.one_run import followed

Work = Callable[[SyncConfig, Path], object]

WORKS: dict[str, Work] = {
    "sync": lambda config, _: followed(config),
    "status": lambda config, _: look(config, config.destinations[0], None),
    "compare": lambda config, _: compare(config, config.destinations[0]),
    "repair": lambda config, _: repair(
        config, config.destinations[0], dry_run=True, still_owner=lambda: None
    ),
    "archive": lambda config, folder: list(
        archive_log(
            config, LogArchive(str(folder / "log")), checkpoint=None, epoch=1, still_owner=lambda: None
        )
    ),
}


def test_whoever_reads_the_source_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with (
        EmbeddedBroker.start() as broker,
        scene(tmp_path, broker, template(tmp_path / "made")) as opened,
        proxy(opened.source.url) as source,
    ):
        opened.post("segmentation/merge", json=[1, 2])
        opened.post(opened.key("segmentation_annotations", "k"), body=b"v")
        for name, work in WORKS.items():
            source.requests.clear()
            fields = {
                "source": {"url": source.url, "user": "reader"},
                "repo": opened.root,
                "destinations": [{"name": "copy", "url": opened.destination.url, "start": "beginning"}],
                "settle_seconds": 0,
            }
            work(SyncConfig.model_validate(fields), tmp_path)
            assert source.requests, name
            silent = [path for method, path in source.requests if method == "GET" and "u=reader" not in path]
            assert silent == [], name
