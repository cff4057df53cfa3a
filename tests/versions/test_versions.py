"""Repo operations: read, ordered, and repeated at a sandbox without harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvidsync_dagster.datatypes.repo.decoding import decode
from dvidsync_dagster.datatypes.repo.node_log_lines import has_lines
from dvidsync_dagster.datatypes.repo.side import command_of
from dvidsync_dagster.datatypes.repo.writer import VersionWriter
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.repo import read_repo_info
from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.events.repo import Commit, NewVersion, NodeLog, RefusedVersion, RepoEvent
from dvidsync_dagster.plan.outcome import DONE, PRESENT

SECOND = 1_000_000_000
ORIGIN = Origin(1000 * SECOND, "repo", 0, 0)
CHILD, BRANCHED = "c" * 32, "b" * 32


def read(**fields: Any) -> object:
    return decode(Message(ORIGIN, fields))


def test_a_refused_version_is_no_version() -> None:
    assert read(Action="newversion", Parent="p", Child="", Note="") == RefusedVersion(
        origin=ORIGIN, version="p"
    )
    assert read(Action="something", UUID="p") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"Action": "commit"},
        {"Action": "commit", "UUID": 7},
        {"Action": "commit", "UUID": "p", "Log": "text"},
        {"Action": "newversion", "Child": "c"},
        {"Action": "branch", "Parent": "p", "Child": "c"},
        {"Action": "newinstance", "UUID": "p", "Dataname": ""},
    ],
)
def test_a_damaged_message_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(UndecodableRecord, match="repo partition 0 offset 0"):
        read(**fields)


def test_everything_is_repeated_once(tmp_path: Path) -> None:
    with SandboxServer.start(tmp_path / "server") as server:
        root = make_repo(server.url, server.admin_token, size=64, cube=16).root
        steps: list[RepoEvent] = [
            NodeLog(origin=ORIGIN, version=root, log=("one", "two")),
            Commit(origin=ORIGIN, version=root, note="the end", log=("three",)),
            NewVersion(origin=ORIGIN, version=root, child=CHILD, note="next"),
            NewVersion(origin=ORIGIN, version=root, child=BRANCHED, note="", branch="mine"),
            Commit(origin=ORIGIN, version=BRANCHED, note="", log=()),
            NewVersion(origin=ORIGIN, version=BRANCHED, child="release", note="", tag="release"),
        ]
        with DvidClient(server.url, admin_token=server.admin_token) as client:
            writer = VersionWriter(client, client, root)
            assert [writer.carry_out(command_of(step)) for step in steps] == [DONE] * len(steps)
            versions = read_repo_info(client, root).versions
            assert versions[CHILD].parents == versions[BRANCHED].parents == (root,)
            assert versions["release"].parents == (BRANCHED,)
            assert (versions[root].locked, versions[CHILD].locked) == (True, False)
            assert [writer.carry_out(command_of(step)) for step in steps] == [PRESENT] * len(steps)
            elsewhere = NewVersion(origin=ORIGIN, version=BRANCHED, child=CHILD, note="")
            assert "but as a child of" in writer.carry_out(command_of(elsewhere)).refusals[0].found


class SentTwice(DvidClient):
    """As before a proxy that sends each change again, and gives the second answer."""

    def change(self, *arguments: Any, **more: Any) -> None:
        super().change(*arguments, **more)
        super().change(*arguments, **more)

    def change_json(self, *arguments: Any, **more: Any) -> dict[str, Any]:
        super().change_json(*arguments, **more)
        return super().change_json(*arguments, **more)


def test_what_a_proxy_sent_twice_is_done(tmp_path: Path) -> None:
    with SandboxServer.start(tmp_path / "server") as server:
        root = make_repo(server.url, server.admin_token, size=64, cube=16).root
        steps: list[RepoEvent] = [
            Commit(origin=ORIGIN, version=root, note="the end", log=()),
            NewVersion(origin=ORIGIN, version=root, child=CHILD, note="next"),
            NewVersion(origin=ORIGIN, version=root, child=BRANCHED, note="", branch="mine"),
            Commit(origin=ORIGIN, version=BRANCHED, note="", log=()),
            NewVersion(origin=ORIGIN, version=BRANCHED, child="release", note="", tag="release"),
        ]
        with SentTwice(server.url, admin_token=server.admin_token) as client:
            writer = VersionWriter(client, client, root)
            assert [writer.carry_out(command_of(step)) for step in steps] == [DONE] * len(steps)
            other = NewVersion(origin=ORIGIN, version=root, child="a" * 32, note="", branch="mine")
            assert writer.carry_out(command_of(other)).refusals


@pytest.mark.parametrize("lines", [[], ["1970-01-01T00:16:40Z  a"]])
def test_a_log_of_no_lines_is_there(lines: list[str]) -> None:
    assert has_lines((), ORIGIN.key_ns, lines, [])


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.data())
def test_a_line_is_there_if_the_destination_is_past_its_place(texts: list[str], data: st.DataObject) -> None:
    """Each line was written in a second of its own, and announced then."""
    source = [f"1970-01-01T00:{16 + place:02}:40Z  {text}" for place, text in enumerate(texts)]
    reached = data.draw(st.integers(0, len(texts)))
    for place, text in enumerate(texts):
        logged_ns = (1000 + 60 * place) * SECOND
        assert has_lines((text,), logged_ns, source, source[:reached]) == (place < reached)
