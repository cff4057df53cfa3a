"""Practice branches at a server: made from what has arrived, listed, closed; no version of the source is
changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.errors import AnswerLost, ConfigurationError, NotYet, OwnershipLost
from dvidsync_dagster.practice.branches import MadeBranch, is_due, list_branches, make_branch
from tests.two_servers import KEYS, LABELS, TwoServers, two_sandboxes


class Servers:
    """Two servers with one version, which is committed on both."""

    def __init__(self, servers: TwoServers) -> None:
        self.servers = servers
        self.root = servers.root
        self.source, self.destination = servers.source, servers.destination
        self.said: list[str] = []

    def commit(self) -> None:
        for editor in (self.source, self.destination):
            editor.commit()

    def new_version(self, parent: str) -> str:
        """A child that both have, committed."""
        child = self.source.new_version(parent)
        self.destination.post("newversion", {"note": "child", "uuid": child}, version=parent)
        for editor in (self.source, self.destination):
            editor.commit(version=child)
        return child

    def config(self, **practice: Any) -> tuple[SyncConfig, DestinationConfig]:
        fields = self.servers.config(admin=False).model_dump(mode="json", exclude_unset=True)
        fields["destinations"][0]["practice"] = practice
        config = SyncConfig.model_validate(fields)
        return config, config.servers[0]

    def make(self, from_version: str | None = None, **practice: Any) -> MadeBranch:
        return make_branch(
            *self.config(**practice),
            from_version=from_version,
            still_owner=lambda: None,
            say=self.said.append,
        )

    def names(self) -> list[str]:
        return [branch.name for branch in list_branches(*self.config())]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Servers]:
    with two_sandboxes(tmp_path) as servers:
        yield Servers(servers)


def test_a_branch_is_made_from_what_was_committed_last_and_people_work_there(here: Servers) -> None:
    here.commit()
    child = here.new_version(here.root)
    before = here.servers.differences()
    made = here.make()
    branch = made.branch
    assert branch.parent == child
    assert here.names() == [branch.name]
    assert branch.name.startswith("practice-20")
    assert made.closed == ()
    assert here.said == [f"branch {branch.name}: version {branch.last.uuid}, made from version {child}"]
    here.destination.post(f"{LABELS}/merge", [10, 11], version=branch.last.uuid)
    here.destination.post(f"{KEYS}/key/mine", b"1", version=branch.last.uuid)
    mine = {line for line in here.servers.differences() if branch.last.uuid in line}
    assert set(here.servers.differences()) - mine == set(before)


def test_each_branch_has_a_name_and_only_the_newest_stay_open(here: Servers) -> None:
    here.commit()
    first = here.make(keep=2).branch
    amys = here.destination.post("branch", {"branch": "amy", "note": ""}, version=here.root)["child"]
    here.destination.commit(version=first.last.uuid)
    below = here.destination.branch(first.last.uuid, "amys-try")
    second = here.make(keep=2).branch
    assert second.name == f"{first.name}-2"
    third = here.make(keep=2)
    assert third.branch.name == f"{first.name}-3"
    assert third.closed == (below,)
    listed = {branch.name: branch for branch in list_branches(*here.config())}
    assert list(listed) == [first.name, second.name, third.branch.name]
    assert [bool(branch.open) for branch in listed.values()] == [False, True, True]
    # What is no practice branch is nobody's business here.
    assert amys not in [version.uuid for branch in listed.values() for version in branch.versions]
    with pytest.raises(AssertionError, match="locked node"):
        here.destination.post(f"{KEYS}/key/x", b"1", version=below, admintoken="")


def test_a_version_can_be_named(here: Servers) -> None:
    here.commit()
    child = here.new_version(here.root)
    assert here.make(here.root[:8]).branch.parent == here.root
    assert here.make(**{"from": child[:6]}).branch.parent == child
    with pytest.raises(ConfigurationError, match=r"--from: .* names none"):
        here.make("ffffffff")


def test_before_anything_is_committed_there_is_no_branch(here: Servers) -> None:
    with pytest.raises(NotYet, match=r"No committed version has arrived .* The source has"):
        here.make()
    here.source.commit()
    with pytest.raises(ConfigurationError, match="is open at the destination"):
        here.make(here.root)
    assert here.names() == []
    assert not is_due(*here.config())


def test_a_fresh_one_is_due_once_a_commit_has_arrived(here: Servers) -> None:
    here.commit()
    assert is_due(*here.config())
    here.make()
    assert not is_due(*here.config())
    child = here.source.new_version(here.root)
    here.source.commit(version=child)
    assert not is_due(*here.config())
    here.destination.post("newversion", {"note": "child", "uuid": child}, version=here.root)
    here.destination.commit(version=child)
    assert is_due(*here.config())


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
def test_after_a_lost_answer_the_server_is_asked(here: Servers, kind: str) -> None:
    here.commit()
    server = here.destination.server
    assert isinstance(server, SandboxServer)
    server.ask_for_faults({"kind": kind, "only": "/branch"})
    if kind == "drop-after":
        made = here.make().branch
        assert here.names() == [made.name]
    else:
        with pytest.raises(AnswerLost):
            here.make()
        assert here.names() == []


def test_whoever_lost_the_destination_makes_nothing(here: Servers) -> None:
    here.commit()

    def lost() -> None:
        raise OwnershipLost("a newer run")

    with pytest.raises(OwnershipLost):
        make_branch(*here.config(), still_owner=lost, say=here.said.append)
    assert here.names() == []


def test_where_nobody_practises_no_branch_is_made(here: Servers) -> None:
    config = here.servers.config(admin=False)
    with pytest.raises(ConfigurationError, match="nobody practises"):
        list_branches(config, config.servers[0])
