"""Comparing real servers while people work at the source: no difference that the log is still to mend."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from tests.one_run import followed
from tests.people_at_work import at_work
from tests.real.harness import Stage, stage
from tests.real.test_follow import ANNOUNCED, FOLLOWED, TOKEN

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

ROUNDS = 3


class Copy:
    """The destination of a stage, and how far it is."""

    def __init__(self, scene: Stage) -> None:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
        destination = {
            "name": "copy",
            "url": scene.destination.url,
            "admin_token_env": TOKEN,
            "start": {"time": start},
        }
        self.config = SyncConfig.model_validate(
            {
                "source": {"url": scene.source.url},
                "repo": scene.root,
                "settle_seconds": 2,
                "instances": list(FOLLOWED),
                "destinations": [destination],
            }
        )
        self.checkpoint: Checkpoint | None = None

    def follow(self) -> Checkpoint | None:
        for report in followed(self.config, checkpoint=self.checkpoint):
            self.checkpoint = report.checkpoint
        return self.checkpoint


def test_no_round_finds_a_difference_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage(tmp_path, people=4, weights=ANNOUNCED, synced=True, before=100) as scene:
        monkeypatch.setenv(TOKEN, scene.destination.admin_token)
        scene.work(50)
        copy = Copy(scene)
        copy.follow()
        pending = 0
        with at_work(scene.people):
            for _ in range(ROUNDS):
                (destination,) = copy.config.destinations
                caught_up = compare(copy.config, destination, reached=copy.follow)
                assert caught_up.agree, caught_up.differences
                behind = compare(copy.config, destination, reached=lambda: copy.checkpoint)
                assert behind.agree, behind.differences
                pending += sum(row.count for row in behind.pending)
        assert pending, "nobody did anything meanwhile"
        assert not scene.people.unexpected
        url = f"{scene.destination.url}/api/node/{scene.root}/segmentation_annotations/key/mine"
        httpx.post(url, content=b"1", params={"u": "amy", "admintoken": scene.destination.admin_token})
        found = compare(copy.config, destination, reached=copy.follow)
        assert {(row.version, row.what) for row in found.differences} >= {
            (scene.root, "keys only at the destination")
        }
        print(f"{pending} items pending in {ROUNDS} rounds")
