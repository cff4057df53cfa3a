"""Real servers with bodies so large that an operation on them takes seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvid_sandbox.messages import published
from dvid_sandbox.real_server import RealServer
from tests.real.harness import Stage, stage
from tests.real.test_follow import TOKEN, run
from tests.real_kafka import RealKafka

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

BLOCKS = 300_000
OWN = {1: [1, 2, 3], 10: [10, 11, 12]}


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(tag: int, payload: bytes) -> bytes:
    return bytes([tag]) + varint(len(payload)) + payload


def index(label: int, supervoxels: list[int]) -> bytes:
    """An index in so many blocks that none of its voxels need be there."""
    counts = [
        field(0x12, field(0x0A, b"\x08" + varint(each) + b"\x10" + varint(100))) for each in supervoxels
    ]
    blocks = []
    for number in range(BLOCKS):
        x, y, z = 2 + number % 128, number // 128 % 128, number // 128 // 128
        position = b"\x08" + varint(x | y << 21 | z << 42)
        blocks.append(field(0x0A, position + counts[number % len(counts)]))
    return field(0x0A, b"".join(blocks) + b"\x10" + varint(label))


def post(scene: Stage, server: RealServer, path: str, *, app: str = "test", **body: Any) -> Any:
    url = f"{server.url}/api/node/{scene.root}/segmentation/{path}"
    answer = httpx.post(url, params={"u": "amy", "app": app}, timeout=300, **body)
    answer.raise_for_status()
    return answer.json() if answer.content else None


@contextmanager
def large(folder: Path, kafka: RealKafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with stage(folder, kafka=kafka.address, size=64, cube=16) as scene:
        monkeypatch.setenv(TOKEN, scene.destination.admin_token)
        for body in OWN.values():
            post(scene, scene.source, "merge", json=body)
        assert len(published(scene.kafka, scene.topic_prefix, 4)) >= 4
        yield scene


def enlarge(scene: Stage) -> None:
    content = b"".join(index(label, own) for label, own in OWN.items())
    for server in (scene.source, scene.destination):
        post(scene, server, "indices", content=content)


def test_a_run_takes_over_while_the_server_is_still_merging(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    with large(tmp_path, real_kafka, monkeypatch) as scene:
        checkpoint = run(scene, None)[-1].checkpoint
        enlarge(scene)
        merged = post(scene, scene.source, "merge", json=[1, 10])["MutationID"]
        app = f"test+dvidsync@{merged}"
        dead = threading.Thread(
            target=post, args=(scene, scene.destination, "merge"), kwargs={"json": [1, 10], "app": app}
        )
        dead.start()
        time.sleep(0.1)
        (*_, report) = run(scene, replace(checkpoint, clean=False), epoch=2)
        assert not dead.is_alive()
        assert (report.requests, report.present) == (0, 1)
        scene.assert_same(instances=["segmentation"])


def test_a_commit_waits_for_a_cleave_and_a_merge_that_the_source_is_still_at(
    tmp_path: Path, real_kafka: RealKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    with large(tmp_path, real_kafka, monkeypatch) as scene:
        checkpoint = run(scene, None)[-1].checkpoint
        enlarge(scene)
        for number, (path, body) in enumerate((("merge", [1, 10]), ("cleave/1", [2]))):
            known = len(published(scene.kafka, scene.topic_prefix, 4))
            busy = threading.Thread(target=post, args=(scene, scene.source, path), kwargs={"json": body})
            busy.start()
            assert len(published(scene.kafka, scene.topic_prefix, known + 1)) == known + 1
            (*_, report) = run(scene, checkpoint, epoch=2 + 2 * number)
            # A look at a body that is being cleaved is answered when it is cleaved.
            assert report.requests == 0
            assert report.lag_after.records >= 1
            busy.join()
            assert len(published(scene.kafka, scene.topic_prefix, known + 2)) == known + 2
            (*_, report) = run(scene, report.checkpoint, epoch=3 + 2 * number)
            checkpoint = report.checkpoint
            assert report.requests == 1
        scene.assert_same(instances=["segmentation"])
