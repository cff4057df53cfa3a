"""A source that people edit, and what its log says happened, piece by piece."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import orjson
from kafka import KafkaConsumer, TopicPartition

from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.proofreaders.segmentation import sparse_volume
from dvidsync_dagster.datatypes.registry import FOLLOWED, REPO
from dvidsync_dagster.datatypes.snapshot_side import SnapshotSide
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.protobuf import key_values
from dvidsync_dagster.dvid.repo import Instance, read_repo_info
from dvidsync_dagster.events.event import Announcement, Event
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.log.topics import parse_topic

LABELS, KEYS, NEURONS, SYNAPSES = "segmentation", "segmentation_annotations", "neurons", "synapses"


@dataclass
class SourceLog:
    """A server that logs, with one repo.

    Args:
        version: where it is edited.
        own: instances that no snapshot follows.
    """

    server: DvidServer
    root: str
    version: str = ""
    own: tuple[str, ...] = ()
    _seen: set[tuple[str, int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.version = self.version or self.root

    # What people do

    def post(self, path: str, body: Any = None, **query: str) -> Any:
        return self._send("POST", path, body, query)

    def delete(self, path: str) -> Any:
        return self._send("DELETE", path, None, {})

    def get(self, path: str, body: Any = None, **query: str) -> Any:
        return self._send("GET", path, body, query)

    def put_key(self, key: bytes, value: bytes) -> None:
        self.post(f"{KEYS}/key/{quote(key, safe='')}", value)

    def put_keys(self, *values: tuple[str, bytes]) -> None:
        self.post(f"{KEYS}/keyvalues", key_values(values))

    def delete_key(self, key: bytes) -> None:
        self.delete(f"{KEYS}/key/{quote(key, safe='')}")

    def put_neuron(self, body: int, **fields: Any) -> None:
        self.post(f"{NEURONS}/key/{body}", {"bodyid": body, **fields}, replace="true")

    def put_elements(self, *elements: Any) -> None:
        self.post(f"{SYNAPSES}/elements", list(elements))

    def split_supervoxel(self, supervoxel: int, random: Random) -> None:
        """In two, at some place."""
        runs = self.runs(supervoxel)
        some = runs[: random.randint(1, len(runs) - 1)]
        self.post(f"{LABELS}/split-supervoxel/{supervoxel}", sparse_volume(some))

    def runs(self, supervoxel: int) -> Any:
        content = self.get(f"{LABELS}/sparsevol/{supervoxel}", supervoxels="true")
        return np.frombuffer(content, "<i4", offset=12).reshape(-1, 4)

    def new_version(self) -> str:
        """Commit and go on in a child."""
        self.post("commit", {"note": "done", "log": ["one"]})
        self.version = str(self.post("newversion", {"note": "next"})["child"])
        return self.version

    def _send(self, method: str, path: str, body: Any, query: dict[str, str]) -> Any:
        content = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        answer = httpx.request(
            method,
            f"{self.server.url}/api/node/{self.version}/{path}",
            params={"u": "amy", "app": "test", "admintoken": self.server.admin_token, **query},
            content=content,
        )
        assert answer.status_code == 200, f"{method} {path}: {answer.text}"
        try:
            return orjson.loads(answer.content) if answer.content else None
        except orjson.JSONDecodeError:
            return answer.content

    # What the log says

    def new_events(self) -> list[Event]:
        """What happened since this was asked last, in the order of the log."""
        self.server.restart()  # all that it has to say is at the broker then
        instances = {each.data_uuid: each for each in self.instances.values()}
        events = [
            announced.event
            for origin, value in self._new_records()
            if isinstance(announced := _decoded(origin, value, instances), Announcement) and announced.done
        ]
        return sorted(events, key=lambda event: event.origin)

    @property
    def client(self) -> DvidClient:
        return DvidClient(self.server.url)

    @property
    def instances(self) -> dict[str, Instance]:
        return dict(read_repo_info(self.client, self.root).instances)

    @property
    def followed(self) -> dict[str, Instance]:
        """The instances that a snapshot follows."""
        return {name: each for name, each in self.instances.items() if name not in self.own}

    def side(self, name: str) -> SnapshotSide:
        instance = self.instances[name]
        side = FOLLOWED[instance.typename].snapshot_side(self.client, instance, self.followed)
        assert side is not None
        return side

    def _new_records(self) -> Sequence[tuple[Origin, bytes]]:
        consumer = KafkaConsumer(bootstrap_servers=self.server.kafka, enable_auto_commit=False)
        try:
            partitions = [
                TopicPartition(topic, number)
                for topic in consumer.topics()
                if topic.startswith(self.server.topic_prefix) and parse_topic(topic) is not None
                for number in consumer.partitions_for_topic(topic)
            ]
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            found = []
            while any(consumer.position(each) < end for each, end in ends.items()):
                for listed in consumer.poll(timeout_ms=1000).values():
                    found += listed
        finally:
            consumer.close()
        new = [each for each in found if each.key and self._is_new(each)]
        return [(Origin(int(each.key), each.topic, each.partition, each.offset), each.value) for each in new]

    def _is_new(self, record: Any) -> bool:
        place = (record.topic, record.partition, record.offset)
        new = place not in self._seen
        self._seen.add(place)
        return new


def _decoded(origin: Origin, value: bytes, instances: dict[str, Instance]) -> Any:
    topic = parse_topic(origin.topic)
    assert topic is not None
    message = Message.parse(origin, value)
    if topic.data_uuid is None:
        return REPO.decode(message, None)
    instance = instances[topic.data_uuid]
    return FOLLOWED[instance.typename].decode(message, instance)


def element(x: int, y: int = 5, z: int = 5, *, to: tuple[int, int, int] | None = None, **more: Any) -> Any:
    relations = [{"Rel": "GroupedWith", "To": to}] if to else []
    return {"Pos": [x, y, z], "Kind": "Note", "Tags": [], "Prop": {}, "Rels": relations, **more}


@contextmanager
def sandbox_log(folder: Path, broker: str, made: tuple[Path, str]) -> Iterator[SourceLog]:
    """A sandbox server on a copy of a template's folder."""
    whole, root = made
    shutil.copytree(whole, folder / "source")
    prefix = f"{folder.name}-{time.time_ns()}-"
    with SandboxServer.start(folder / "source", kafka=broker, topic_prefix=prefix) as server:
        yield SourceLog(server, root)
