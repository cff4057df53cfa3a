"""What a DVID server says about itself and about a repo: brokers, clock, versions, instances."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

import orjson

from dvidsync_dagster.dvid import repo_log
from dvidsync_dagster.dvid.paths import node_path, repo_path
from dvidsync_dagster.dvid.patience import FEW, REPO
from dvidsync_dagster.dvid.times import go_time, json_time, nanoseconds
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.refusal_reason import RefusalReason

_RUNNING = re.compile(r" m=\+(\d{1,12})\.(\d{1,9})$")
"""How long the process has been running, from Go's monotonic clock."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """`GET /api/server/info`: where events are announced, and the server's clock (ns since 1970).

    `started` is when the server's process began, by the same clock; None if the server does not tell. It
    comes out the same, within some microseconds, each time that one process is asked. `read_at` is our own
    steady clock (`time.monotonic`) when it answered.
    """

    kafka_servers: tuple[str, ...]
    topic_prefix: str
    clock: int
    version: str
    started: int | None = None
    read_at: float = field(default_factory=time.monotonic, compare=False)

    def now(self) -> int:
        """The server's clock now (ns since 1970): what it said, and the time that has gone by since."""
        return self.clock + int((time.monotonic() - self.read_at) * 1e9)


@dataclass(frozen=True, slots=True)
class Version:
    """One node of a repo's DAG. `branch` is "" for master; `log` lines begin with their time.

    If it is committed, it was at `committed_at_latest` (ns since 1970) or before; 0 if that cannot be told,
    as for `created`.
    """

    uuid: str
    number: int
    parents: tuple[str, ...]
    branch: str
    locked: bool
    note: str
    log: tuple[str, ...]
    committed_at_latest: int = 0
    created: int = 0

    @property
    def is_tag(self) -> bool:
        """Whether it is the version of a tag, which holds what its parent holds."""
        return self.branch.startswith("tag-")


@dataclass(frozen=True, slots=True)
class Instance:
    """One data instance. `settings` is what its data type tells of itself ("Extended")."""

    name: str
    typename: str
    data_uuid: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    syncs: tuple[str, ...] = ()
    base: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_versioned(self) -> bool:
        """Or all versions share what it holds: docs/dvid.md, "Instances without versions"."""
        return self.base.get("Versioned") is not False

    @property
    def made_in(self) -> str:
        """The version in which it was made, as far as that is told: docs/dvid.md, "Where an instance was
        made"."""
        return str(self.base.get("RepoUUID") or "")


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """`GET /api/repo/ROOT/info`. `next_mutation_id` is the id that the next event gets."""

    root: str
    versions: Mapping[str, Version]
    instances: Mapping[str, Instance]
    next_mutation_id: int
    log: tuple[str, ...] = ()

    def ancestors(self, uuid: str) -> set[str]:
        """The version and all that it descends from."""
        found: set[str] = set()
        waiting = [uuid]
        while waiting:
            version = waiting.pop()
            if version not in found and version in self.versions:
                found.add(version)
                waiting.extend(self.versions[version].parents)
        return found

    def parents(self, uuid: str) -> Sequence[str]:
        """Of a version; none of one that is not known."""
        return self.versions[uuid].parents if uuid in self.versions else ()

    def born(self, instance: str) -> int:
        """When an instance was made (ns since 1970, whole seconds), from the repo's log; 0 if that does not
        say. What it was called then makes no difference."""
        return repo_log.born(self.log).get(instance, 0)

    def births(self, instance: str) -> list[int]:
        """When instances of that name were made (ns since 1970, whole seconds), from the repo's log."""
        return repo_log.births(self.log, instance)


def read_server_info(client: Transport) -> ServerInfo:
    """Raises ServerFailed if the answer is not a DVID server's."""
    info = client.read_json("/api/server/info", limit=FEW)
    try:
        servers = str(info.get("Kafka Servers") or "")
        clock = go_time(str(info["Server time"]))
        if not 0 < clock < 2**63:
            raise ValueError(f"its clock stands at {info['Server time']}")
        running = _RUNNING.search(str(info["Server time"]))
        return ServerInfo(
            kafka_servers=tuple(server.strip() for server in servers.split(",") if server.strip()),
            topic_prefix=str(info.get("Kafka Topic Prefix") or ""),
            clock=clock,
            version=str(info.get("DVID Version") or ""),
            started=clock - nanoseconds(*running.groups()) if running else None,
        )
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise ServerFailed("GET /api/server/info", f"is not what a DVID server says: {error!r}") from error


def read_repo_info(client: Transport, root: str) -> RepoInfo:
    """Raises RequestRefused if there is no such repo, ServerFailed if the answer makes no sense."""
    path = repo_path(root, "info")
    info = client.read_json(path, limit=REPO)
    try:
        versions = _versions(info["DAG"]["Nodes"])
        instances = {str(name): _instance(str(name), data) for name, data in info["DataInstances"].items()}
        return RepoInfo(
            root=str(info["Root"]),
            versions=versions,
            instances=instances,
            next_mutation_id=int(info.get("MutationID") or 0),
            log=tuple(str(line) for line in info.get("Log") or ()),
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ServerFailed(f"GET {path}", f"is not what a DVID server says of a repo: {error!r}") from error


def read_instance(client: Transport, version: str, name: str) -> Instance | None:
    """What a server says of an instance; None if it has none of that name.

    Raises ServerFailed if the answer makes no sense.
    """
    path = node_path(version, name, "info")
    try:
        return _instance(name, client.read_json(path, limit=REPO))
    except RequestRefused as refusal:
        if refusal.reason is RefusalReason.UNKNOWN_INSTANCE:
            return None
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise ServerFailed(f"GET {path}", f"is not what a DVID server says: {error!r}") from error


def new_version(client: Transport, parent: str, endpoint: str, about: Mapping[str, str]) -> None:
    """A child of a committed version. Endpoints are ``newversion``, ``branch`` and ``tag``."""
    client.change_json("POST", node_path(parent, endpoint), "child", body=orjson.dumps(about))


def commit_version(client: Transport, version: str, about: Mapping[str, object]) -> None:
    client.change_json("POST", node_path(version, "commit"), "committed", body=orjson.dumps(about))


def write_note(client: Transport, version: str, note: str) -> None:
    client.change("POST", node_path(version, "note"), body=orjson.dumps({"note": note}))


def write_log(client: Transport, version: str, lines: Sequence[str]) -> None:
    """Lines are added to those that are there."""
    client.change("POST", node_path(version, "log"), body=orjson.dumps({"log": list(lines)}))


def make_instance(client: Transport, version: str, settings: Mapping[str, str]) -> None:
    client.change_json("POST", repo_path(version, "instance"), "result", body=orjson.dumps(settings))


def _versions(nodes: Mapping[str, Any]) -> dict[str, Version]:
    """The nodes of a DAG. Raises ValueError if it is none."""
    by_number = {int(node["VersionID"]): str(uuid) for uuid, node in nodes.items()}
    if len(by_number) != len(nodes):
        raise ValueError("two versions have the same number")
    versions = {
        str(uuid): Version(
            uuid=str(uuid),
            number=int(node["VersionID"]),
            parents=tuple(by_number[int(parent)] for parent in node["Parents"] or ()),
            branch=str(node["Branch"]),
            locked=bool(node["Locked"]),
            note=str(node["Note"]),
            log=tuple(str(line) for line in node["Log"] or ()),
            created=json_time(node.get("Created")),
        )
        for uuid, node in nodes.items()
    }
    try:
        TopologicalSorter({uuid: version.parents for uuid, version in versions.items()}).prepare()
    except CycleError as error:
        raise ValueError(f"versions descend from themselves: {error.args[1]}") from None
    births: dict[str, list[int]] = {}
    for version in versions.values():
        for parent in version.parents:
            births.setdefault(parent, []).append(version.created)
    return {
        uuid: replace(
            version,
            committed_at_latest=_committed_at_latest(
                version.created, [json_time(nodes[uuid].get("Updated")), *births.get(uuid, ())]
            ),
        )
        for uuid, version in versions.items()
    }


def _committed_at_latest(created: int, later: Sequence[int]) -> int:
    """A node is committed before its first child is made, and not after its last change (see docs/dvid.md,
    "When a version was committed"). A time before the node was made is of a clock that was wrong."""
    return min((each for each in later if each and each >= created), default=0)


def _instance(name: str, data: Mapping[str, Any]) -> Instance:
    base = data["Base"]
    return Instance(
        name=name,
        typename=str(base["TypeName"]),
        data_uuid=str(base["DataUUID"]),
        settings=data.get("Extended") or {},
        syncs=tuple(str(sync) for sync in base.get("Syncs") or ()),
        base=base,
    )
