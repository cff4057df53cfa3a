"""The sandbox answers and publishes what the real DVID did, request by request.

Exceptions, each with its reason:

- Times, and UUIDs that a server makes up, are mapped (`replay.without_times`, `Replay.recorded`).
- The order of `Labels` in a merge's message and of GET supervoxels is Go's random order of a map.
- In GET info, versions are listed by UUID, hence in an order that changes from run to run.
- GET /api/server/info tells of the machine and the build: only its keys are compared.
- Messages are compared topic by topic: across topics the real server's threads race.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.messages import published
from dvid_sandbox.recording import Recording
from dvid_sandbox.replay import Replay, normalized
from dvid_sandbox.state import differences, read_state

TOKEN = "a token of the test"
RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as started:
        yield started


class Played:
    """A recording that was played to a sandbox server, with all that was not as recorded."""

    def __init__(self, recording: Recording, folder: Path, broker: EmbeddedBroker) -> None:
        self.recording = recording
        self.prefix = f"{recording.name}-"
        self.server = SandboxServer.start(
            folder,
            kafka=broker.address,
            topic_prefix=self.prefix,
            admin_token=TOKEN,
            split_endpoint=True,
            min_mutation_id=1_000_000_000,
        )
        self.replay = Replay(self.server.url, recording, TOKEN)
        self.replay.set_up()
        self.before = read_state(self.server.url, recording.root)
        self.found: list[str] = []
        for exchange in recording.http:
            self.found += self.replay.compare(exchange)

    def stop(self) -> None:
        self.replay.close()
        self.server.stop()


@pytest.fixture(scope="module", params=["every_op", "proofreading"])
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, broker: EmbeddedBroker
) -> Iterator[Played]:
    run = Played(Recording(RECORDINGS / request.param), tmp_path_factory.mktemp("sandbox"), broker)
    yield run
    run.stop()


def test_starts_as_recorded(played: Played) -> None:
    assert differences(played.before, played.recording.before) == []


def test_answers_as_recorded(played: Played) -> None:
    assert "\n".join(played.found) == ""


def test_ends_as_recorded(played: Played) -> None:
    state = read_state(played.server.url, played.recording.root)
    text = played.replay.as_recorded(json.dumps(state))
    assert differences(json.loads(text), played.recording.after) == []


def test_publishes_as_recorded(played: Played, broker: EmbeddedBroker) -> None:
    wanted: dict[str, list[str]] = defaultdict(list)
    for record in played.recording.kafka:
        topic = record["topic"][record["topic"].index("dvidrepo-") :]
        wanted[topic].append(normalized(record["value"]))
    got: dict[str, list[str]] = defaultdict(list)
    for record in published(broker.address, played.prefix, len(played.recording.kafka)):
        topic = played.replay.as_recorded(record["topic"]).removeprefix(played.prefix)
        got[topic].append(normalized(played.replay.as_recorded(record["value"])))
    assert got.keys() == wanted.keys()
    for topic, messages in wanted.items():
        assert got[topic] == messages


def test_blobs_have_the_recorded_references(played: Played) -> None:
    found: dict[str, bytes] = {}
    for instance in played.recording.data:
        for reference in played.recording.blobs:
            path = f"/api/node/{played.recording.root}/{instance}/blobstore/{reference}"
            answer = played.replay.client.get(path)
            if answer.status_code == 200:
                found[reference] = answer.content
    assert found == dict(played.recording.blobs)
