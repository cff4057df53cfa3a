"""What the repo-ops topic announces, as events."""

from __future__ import annotations

from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.repo import (
    Commit,
    NewInstance,
    NewVersion,
    NodeLog,
    NodeNote,
    RefusedVersion,
    RepoEvent,
)

_KNOWN = ("commit", "newversion", "branch", "tag", "nodenote", "nodelog", "newinstance")


def decode(message: Message) -> RepoEvent | None:
    """The event in a repo-ops message; None if its action is unknown.

    Raises:
        UndecodableRecord: a known action with a field that is missing or wrong.
    """
    action = message.action
    if action not in _KNOWN:
        return None
    if action in ("newversion", "branch", "tag"):
        if message.text("Child") == "":
            return RefusedVersion(origin=message.origin, version=message.text("Parent", ""))
        return NewVersion(
            origin=message.origin,
            version=message.name("Parent"),
            child=message.name("Child"),
            note=message.text("Note", ""),
            branch=message.name("Branch") if action == "branch" else "",
            tag=message.name("Tag") if action == "tag" else "",
        )
    origin, version = message.origin, message.version
    if action == "commit":
        return Commit(origin=origin, version=version, note=message.text("Note", ""), log=message.texts("Log"))
    if action == "nodenote":
        return NodeNote(origin=origin, version=version, note=message.text("Note", ""))
    if action == "nodelog":
        return NodeLog(origin=origin, version=version, log=message.texts("Log"))
    return NewInstance(
        origin=origin, version=version, name=message.name("Dataname"), data_type=message.name("Typename")
    )
