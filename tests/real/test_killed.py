"""A real DVID as the destination: the syncing process is killed, and the next clean run ends equal."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests.faults.killable import REPOSITORY
from tests.real.harness import Stage
from tests.real.test_follow import LABELS, TOKEN, next_mutation_id, on_stage
from tests.real_kafka import RealKafka

FOLLOWED = ("segmentation",)

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]


def start(scene: Stage, checkpoint: Path) -> subprocess.Popen[str]:
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scene.copied_at - 1))
    copy = {"name": "copy", "url": scene.destination.url, "admin_token_env": TOKEN, "start": {"time": begin}}
    fields = {
        "source": {"url": scene.source.url},
        "repo": scene.root,
        "settle_seconds": 0,
        "chunk_records": 150,
        "instances": list(FOLLOWED),
        "destinations": [copy],
    }
    command = [sys.executable, "-m", "tests.faults.child", json.dumps(fields), str(checkpoint)]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_the_syncing_process(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random, checkpoint = Random(seed), tmp_path / "checkpoint.json"
    with on_stage(tmp_path, real_kafka, monkeypatch, LABELS, seed=seed, people=4) as scene:
        scene.work(200)
        scene.flush()
        for _ in range(3):
            if random.random() < 0.5:
                checkpoint.unlink(missing_ok=True)
            until = next_mutation_id(scene) + random.randint(1, 60)
            process = start(scene, checkpoint)
            while process.poll() is None and next_mutation_id(scene) < until:
                time.sleep(0.002)
            process.kill()
            process.communicate()
        process = start(scene, checkpoint)
        printed, _ = process.communicate(timeout=200)
        assert process.returncode == 0, printed
        scene.assert_same(instances=FOLLOWED)
