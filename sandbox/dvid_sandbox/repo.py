"""Repos: the DAG of versions, the data instances, the mutation ids, the repo's own messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dvid_sandbox.exchange import Exchange, Refused
from dvid_sandbox.golang import go_json, go_map, rfc3339, rfc3339_nano

if TYPE_CHECKING:
    from dvid_sandbox.instance import Instance

# The store keeps a number this far ahead, so that a restart never gives an id twice.
MUTATION_ID_STRIDE = 100


@dataclass
class Node:
    """One version. `version` is the server's own number of it; times are in nanoseconds."""

    uuid: str
    version: int
    created: int
    parents: list[int] = field(default_factory=list)
    children: list[int] = field(default_factory=list)
    branch: str = ""
    note: str = ""
    log: list[str] = field(default_factory=list)
    locked: bool = False
    updated: int = 0

    def info(self) -> dict[str, Any]:
        return {
            "Branch": self.branch,
            "Note": self.note,
            "Log": self.log,
            "UUID": self.uuid,
            "VersionID": self.version,
            "Locked": self.locked,
            "Parents": self.parents,
            "Children": self.children,
            "Created": rfc3339_nano(self.created),
            "Updated": rfc3339_nano(self.updated or self.created),
        }

    def add_to_log(self, lines: list[str], now: int) -> None:
        self.log += [f"{rfc3339(now)}  {line}" for line in lines]
        self.updated = now


class Repo:
    """One repo. `mutation_id` is the next one to be given out."""

    def __init__(self, root: Node, alias: str, description: str, mutation_id: int) -> None:
        self.root = root
        self.alias = alias
        self.description = description
        self.log: list[str] = []
        self.nodes: dict[int, Node] = {root.version: root}
        self.instances: dict[str, Instance] = {}
        self.mutation_id = mutation_id
        self.saved_mutation_id = mutation_id + MUTATION_ID_STRIDE
        self.created = self.updated = root.created
        self._ancestries: dict[int, list[int]] = {}

    @property
    def topic(self) -> str:
        return f"dvidrepo-{self.root.uuid}-repo-ops"

    def ancestry(self, version: int) -> list[int]:
        """The version and its ancestors, nearest first."""
        known = self._ancestries.get(version)
        if known is None:
            known = [version]
            while self.nodes[known[-1]].parents:
                known.append(self.nodes[known[-1]].parents[0])
            self._ancestries[version] = known
        return known

    def new_mutation_id(self) -> int:
        given = self.mutation_id
        self.mutation_id += 1
        if self.mutation_id >= self.saved_mutation_id:
            self.saved_mutation_id += MUTATION_ID_STRIDE
        return given

    def server_started(self, minimum: int) -> None:
        """Goes on behind all ids that an earlier process may have given out."""
        self.mutation_id = max(self.saved_mutation_id, minimum)
        self.saved_mutation_id = self.mutation_id + MUTATION_ID_STRIDE
        for instance in self.instances.values():
            instance.server_started()

    def note(self, message: str, now: int) -> None:
        self.log.append(f"{rfc3339(now)}  {message}")
        self.updated = now

    def instance(self, name: str) -> Instance:
        found = self.instances.get(name)
        if found is None:
            raise Refused("invalid data instance name")
        return found

    def branch_of_child(self, parent: Node, branch: str) -> str:
        """The branch that a child of `parent` gets: the one asked for, or with "" the parent's.

        Raises:
            Refused: the parent is open, or the branch is taken.
        """
        if not parent.locked:
            raise Refused("can't branch an unlocked node")
        if branch in ("", parent.branch):
            branch = parent.branch
            taken = any(self.nodes[each].branch == branch for each in parent.children)
        else:
            taken = any(node.branch == branch for node in self.nodes.values())
        if taken:
            raise Refused("branch already exists with given name")
        return branch

    def add_child(self, parent: Node, child: Node) -> None:
        child.parents = [parent.version]
        parent.children.append(child.version)
        parent.updated = self.updated = child.created
        self.nodes[child.version] = child

    def commit(self, node: Node, note: str, log: list[str], now: int) -> None:
        if node.locked:
            raise Refused(f"node {node.uuid} already committed")
        node.locked = True
        if note:
            node.note = note
        if log:
            node.add_to_log(log, now)
        node.updated = self.updated = now

    def branch_versions(self, branch: str) -> list[str]:
        """UUIDs from a branch's leaf up to the root; empty for an unknown branch."""
        leaf = self.leaf(branch)
        return [] if leaf is None else [self.nodes[each].uuid for each in self.ancestry(leaf.version)]

    def leaf(self, branch: str) -> Node | None:
        name = "" if branch == "master" else branch
        members = [node for node in self.nodes.values() if node.branch == name]
        return max(members, key=lambda node: len(self.ancestry(node.version)), default=None)

    def subscribers(self, instance: Instance) -> list[Instance]:
        """The instances that are synced to this one."""
        return [each for each in self.instances.values() if instance.data_uuid in each.syncs]

    def publish(self, exchange: Exchange, message: dict[str, Any]) -> None:
        exchange.publish(self.topic, go_map(message))

    def info(self) -> bytes:
        return go_json(self.info_fields())

    def info_fields(self) -> dict[str, Any]:
        names = {each.data_uuid: name for name, each in self.instances.items()}
        shown = (self.leaf("master") or self.root).version
        return {
            "Root": self.root.uuid,
            "Alias": self.alias,
            "Description": self.description,
            "Log": self.log,
            "Properties": {},
            "DataInstances": {
                name: instance.info(names, shown) for name, instance in sorted(self.instances.items())
            },
            "DAG": {
                "Root": self.root.uuid,
                "Nodes": {
                    node.uuid: node.info() for node in sorted(self.nodes.values(), key=lambda node: node.uuid)
                },
            },
            "MutationID": self.mutation_id,
            "SavedMutationID": self.saved_mutation_id,
            "Created": rfc3339_nano(self.created),
            "Updated": rfc3339_nano(self.updated),
        }
