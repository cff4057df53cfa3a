"""The versions of a repo: what the repo-ops topic announces, and how it is repeated.

Repeating does no harm: versions are made with the source's ids, and what is there already is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dvidsync_dagster.dvid.repo import (
    Version,
    commit_version,
    new_version,
    read_repo_info,
    write_log,
    write_note,
)
from dvidsync_dagster.dvid.transport import Transport
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.plan.claims import Claim, Key
from dvidsync_dagster.plan.outcome import ALREADY_THERE, DONE, Outcome, refused, refused_by


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoEvent:
    """What all have in common. `version` is the version that changes, for a new one its parent."""

    origin: Origin
    version: str

    @property
    def action(self) -> str:
        return ACTION_NAMES[type(self)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(RepoEvent):
    note: str
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion(RepoEvent):
    """A child on the same branch, on a new `branch`, or (with `tag`) a locked one named like the tag."""

    child: str
    note: str
    branch: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNote(RepoEvent):
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLog(RepoEvent):
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance(RepoEvent):
    """An instance was born; its settings are at the source, not in the message."""

    name: str
    typename: str


ACTION_NAMES: dict[type[RepoEvent], str] = {
    Commit: "commit",
    NewVersion: "newversion",
    NodeNote: "nodenote",
    NodeLog: "nodelog",
    NewInstance: "newinstance",
}

_KNOWN = ("commit", "newversion", "branch", "tag", "nodenote", "nodelog", "newinstance")


@dataclass(frozen=True, slots=True)
class Refused:
    """A version that the source refused to make, but announced."""

    origin: Origin


def decode(message: Message) -> RepoEvent | Refused | None:
    """The event in a repo-ops message; None if its action is unknown.

    Raises:
        UndecodableRecord: a known action with a field that is missing or wrong.
    """
    action = message.action
    if action not in _KNOWN:
        return None
    if action in ("newversion", "branch", "tag"):
        if message.text("Child") == "":
            return Refused(message.origin)
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
        origin=origin, version=version, name=message.name("Dataname"), typename=message.name("Typename")
    )


def version_key(uuid: str) -> Key:
    return ("version", uuid)


def claim(event: RepoEvent) -> Claim:
    """A child is made after its parent's commit; notes, logs and the commit of a version keep their order."""
    origin = event.origin
    order = (origin.key_ns, origin.topic, origin.partition, origin.offset)
    version = version_key(event.version)
    match event:
        case NewVersion():
            child = version_key(event.child)
            return Claim((), order, order, needs=(version,), creates=child, after_end=version)
        case NewInstance():
            return Claim((), order, order, needs=(version,), creates=("instance", event.name))
        case Commit():
            return Claim((("state", event.version),), order, order, needs=(version,), ends=version)
    return Claim((("state", event.version),), order, order, needs=(version,))


class VersionWriter:
    """Repeats repo operations at the destination.

    Args:
        source: asked for the times of log lines, which tell what the destination has of them.
        root: the repo on both servers.
    """

    def __init__(self, source: Transport, destination: Transport, root: str) -> None:
        self._source = source
        self._destination = destination
        self._root = root

    def apply(self, event: RepoEvent) -> Outcome:
        """Raises what `Transport.change` raises; a refusal is an outcome."""
        try:
            match event:
                case NewVersion():
                    return self._new_version(event)
                case Commit():
                    return self._commit(event)
                case NodeNote():
                    return self._note(event)
                case NodeLog():
                    return self._log(event)
        except RequestRefused as refusal:
            return refused_by(refusal)
        raise TypeError(f"no repo operation: {event!r}")

    def _version(self, uuid: str) -> Version | None:
        return read_repo_info(self._destination, self._root).versions.get(uuid)

    def _new_version(self, new: NewVersion) -> Outcome:
        there = self._version(new.child)
        if there is not None:
            if there.parents == (new.version,):
                return ALREADY_THERE
            return refused(f"version {new.child} is there, but as a child of {', '.join(there.parents)}")
        body: dict[str, str]
        if new.tag:
            endpoint, body = "tag", {"tag": new.tag, "note": new.note}
        elif new.branch:
            endpoint, body = "branch", {"branch": new.branch, "note": new.note, "uuid": new.child}
        else:
            endpoint, body = "newversion", {"note": new.note, "uuid": new.child}
        new_version(self._destination, new.version, endpoint, body)
        return DONE

    def _commit(self, commit: Commit) -> Outcome:
        there = self._version(commit.version)
        if there is not None and there.locked:
            return ALREADY_THERE
        commit_version(self._destination, commit.version, {"note": commit.note, "log": list(commit.log)})
        return DONE

    def _note(self, note: NodeNote) -> Outcome:
        there = self._version(note.version)
        here = read_repo_info(self._source, self._root).versions.get(note.version)
        # A note that the source has replaced since says nothing anymore: the one that did is in the log too.
        outdated = here is not None and here.note != note.note
        if outdated or (there is not None and (there.note == note.note or there.locked)):
            return ALREADY_THERE
        write_note(self._destination, note.version, note.note)
        return DONE

    def _log(self, log: NodeLog) -> Outcome:
        there = self._version(log.version)
        here = read_repo_info(self._source, self._root).versions.get(log.version)
        if there is not None and (there.locked or has_lines(log, here.log if here else (), there.log)):
            return ALREADY_THERE
        write_log(self._destination, log.version, log.log)
        return DONE


def has_lines(log: NodeLog, source: Sequence[str], destination: Sequence[str]) -> bool:
    """Whether the lines of a log operation are at the destination already.

    A line of a node's log is ``TIME  text``, and the same text can stand there many times. The destination
    has the source's lines up to some point, perhaps with lines of its own between them; the operation is
    there if its place at the source, found by text and time, lies before that point. An operation of no lines
    (DVID announces them, even one that it refuses) is everywhere.
    """
    if not log.log:
        return True
    texts = [_line_text(line) for line in source]
    reached = 0
    for line in destination:
        if reached < len(texts) and _line_text(line) == texts[reached]:
            reached += 1
    second = log.origin.key_ns // 1_000_000_000
    places = [
        place
        for place in range(len(source) - len(log.log) + 1)
        if tuple(texts[place : place + len(log.log)]) == log.log
        and second - _LINE_SECONDS <= _line_time(source[place]) <= second
    ]
    return bool(places) and max(places) + len(log.log) <= reached


_LINE_SECONDS = 5
"""How long before its announcement a line can have been written."""


def _line_text(line: str) -> str:
    return line.partition("  ")[2]


def _line_time(line: str) -> int:
    try:
        return int(datetime.fromisoformat(line.partition("  ")[0]).timestamp())
    except ValueError:
        return 0
