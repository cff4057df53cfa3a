"""Versions made, noted, logged and committed at a destination.

See docs/dvid.md, "Making versions". Repeating does no harm: versions are made with the source's ids, and what
is there already is left alone.
"""

from __future__ import annotations

from collections.abc import Callable

from dvidsync_dagster.datatypes.repo.commands import (
    CommitVersion,
    MakeVersion,
    RepoCommand,
    WriteLog,
    WriteNote,
)
from dvidsync_dagster.datatypes.repo.node_log_lines import has_lines
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
from dvidsync_dagster.plan.outcome import DONE, PRESENT, Outcome, refused, refused_by


class VersionWriter:
    """Carries out the commands for versions.

    Args:
        source: asked for the times of log lines, which tell what the destination has of them.
        root: the repo on both servers.
        about_to_make: told of each version (UUID) before it is made.
    """

    def __init__(
        self,
        source: Transport,
        destination: Transport,
        root: str,
        about_to_make: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._destination = destination
        self._root = root
        self._about_to_make = about_to_make

    def carry_out(self, command: RepoCommand) -> Outcome:
        """Raises what `Transport.change` raises; a refusal is an outcome."""
        try:
            match command:
                case MakeVersion():
                    return self._make(command)
                case CommitVersion():
                    return self._commit(command)
                case WriteNote():
                    return self._note(command)
                case WriteLog():
                    return self._log(command)
        except RequestRefused as refusal:
            return refused_by(refusal)
        raise TypeError(f"no command for a version: {command!r}")

    def _version(self, uuid: str) -> Version | None:
        return read_repo_info(self._destination, self._root).versions.get(uuid)

    def _make(self, command: MakeVersion) -> Outcome:
        there = self._version(command.child)
        if there is not None:
            if there.parents == (command.version,):
                return PRESENT
            return refused(f"version {command.child} is there, but as a child of {', '.join(there.parents)}")
        body: dict[str, str]
        if command.tag:
            endpoint, body = "tag", {"tag": command.tag, "note": command.note}
        elif command.branch:
            endpoint = "branch"
            body = {"branch": command.branch, "note": command.note, "uuid": command.child}
        else:
            endpoint, body = "newversion", {"note": command.note, "uuid": command.child}
        self._about_to_make(command.child)
        try:
            new_version(self._destination, command.version, endpoint, body)
        except RequestRefused:
            # As where a proxy sends a request twice: the first one made it.
            there = self._version(command.child)
            if there is None or there.parents != (command.version,):
                raise
        return DONE

    def _commit(self, command: CommitVersion) -> Outcome:
        there = self._version(command.version)
        if there is not None and there.locked:
            return PRESENT
        try:
            commit_version(
                self._destination, command.version, {"note": command.note, "log": list(command.log)}
            )
        except RequestRefused:
            there = self._version(command.version)
            if there is None or not there.locked:
                raise
        return DONE

    def _note(self, command: WriteNote) -> Outcome:
        if command.noted_ns and self._has_note(command):
            return PRESENT
        write_note(self._destination, command.version, command.note)
        return DONE

    def _has_note(self, command: WriteNote) -> bool:
        """Whether there is nothing to write: the destination has the note, or is committed, or the source has
        another note by now, which the log brings later."""
        there = self._version(command.version)
        here = read_repo_info(self._source, self._root).versions.get(command.version)
        outdated = here is not None and here.note != command.note
        return outdated or (there is not None and (there.note == command.note or there.locked))

    def _log(self, command: WriteLog) -> Outcome:
        there = self._version(command.version)
        if command.logged_ns and there is not None:
            here = read_repo_info(self._source, self._root).versions.get(command.version)
            source = here.log if here else ()
            if there.locked or has_lines(command.log, command.logged_ns, source, there.log):
                return PRESENT
        write_log(self._destination, command.version, command.log)
        return DONE
