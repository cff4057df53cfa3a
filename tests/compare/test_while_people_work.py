"""Comparing and repairing while people work: what the log is still to bring is no difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.launcher import SandboxServer
from dvid_sandbox.proofreaders import WEIGHTS, Proofreaders, make_repo
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.repair.repairing import repair
from tests.one_run import followed
from tests.people_at_work import at_work
from tests.two_servers import KEYS, LABELS, NEURONS, SYNAPSES, Editor

TOKEN_ENV = "DVIDSYNC_TEST_ADMIN_TOKEN"
ANNOUNCED = {kind: share for kind, share in WEIGHTS.items() if kind != "delete_neuron"}
"""Work that the source's log tells of."""


@dataclass
class Stage:
    source: Editor
    destination: Editor
    people: Proofreaders
    config: SyncConfig
    checkpoint: Checkpoint | None = field(default=None)

    def follow(self) -> Checkpoint | None:
        for report in followed(self.config, checkpoint=self.checkpoint):
            self.checkpoint = report.checkpoint
        return self.checkpoint

    def compare(self, reached: Callable[[], Checkpoint | None] | None = None, **more: Any) -> Comparison:
        """Without `reached` the destination stays where it is."""
        reached = reached or (lambda: self.checkpoint)
        return compare(self.config, self.config.destinations[0], reached=reached, **more)

    def repair(self, **more: Any) -> Repair:
        return repair(
            self.config,
            self.config.destinations[0],
            dry_run=False,
            still_owner=lambda: None,
            checkpoint=self.checkpoint,
            **more,
        )

    @contextmanager
    def working(self) -> Iterator[None]:
        """People work as fast as they can, so that topics can be behind each other."""
        self.config = self.config.model_copy(update={"settle_seconds": 0.5})
        with at_work(self.people):
            yield
        assert not self.people.unexpected


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with (
        EmbeddedBroker.start() as broker,
        SandboxServer.start(tmp_path / "source", kafka=broker.address) as source,
    ):
        repo = make_repo(source.url, source.admin_token, size=64, cube=8, synced=True)
        with Proofreaders(
            source.url, repo.root, people=3, weights=ANNOUNCED, admin_token=source.admin_token
        ) as people:
            people.work(60)
            source.stop()
            copied = source.copy_to(tmp_path / "copy")
            source.restart()
            with SandboxServer.start(copied) as copy:
                monkeypatch.setenv(TOKEN_ENV, copy.admin_token)
                config = SyncConfig.model_validate(
                    {
                        "source": {"url": source.url},
                        "repo": repo.root,
                        "destinations": [
                            {
                                "name": "copy",
                                "url": copy.url,
                                "start": "beginning",
                                "admin_token_env": TOKEN_ENV,
                            }
                        ],
                        "settle_seconds": 0,
                    }
                )
                open_version = newest(source.url, repo.root)
                made = Stage(Editor(source, open_version), Editor(copy, open_version), people, config)
                made.follow()
                yield made


def newest(url: str, root: str) -> str:
    """A version that is open."""
    nodes = httpx.get(f"{url}/api/repo/{root}/info").json()["DAG"]["Nodes"]
    return str(next(uuid for uuid, node in nodes.items() if not node["Locked"]))


def rows(found: Any) -> set[tuple[str, str]]:
    return {(row.instance, row.what) for row in found}


def test_no_round_finds_a_difference_that_is_none(stage: Stage) -> None:
    pending = 0
    with stage.working():
        for _ in range(3):
            caught_up = stage.compare(stage.follow)
            assert caught_up.agree, caught_up.differences
            behind = stage.compare()
            assert behind.agree, behind.differences
            pending += len(behind.pending)
            assert caught_up.point
    assert pending, "nobody did anything meanwhile"
    stage.follow()
    # What is younger than the settle time is followed by the next run.
    quiet = stage.compare(stage.follow)
    assert quiet.agree, quiet.differences


def test_what_the_log_did_not_tell_is_found_among_what_it_will(stage: Stage) -> None:
    stage.destination.put(mine=b"1")
    stage.destination.neuron(987654, type="mine")
    with stage.working():
        found = stage.compare()
        again = stage.compare(stage.follow)
    for comparison in (found, again):
        assert rows(comparison.differences) == {
            (KEYS, "keys only at the destination"),
            (NEURONS, "neurons only at the destination"),
        }


def test_each_kind_of_record_explains_what_it_touches(stage: Stage) -> None:
    """Also the element whose relation leads to one that was moved."""
    source = stage.source
    bodies = [int(label) for label in _bodies(source)]
    for at, to in (([1, 1, 1], [2, 2, 2]), ([2, 2, 2], [1, 1, 1])):
        element = {"Pos": at, "Kind": "PreSyn", "Rels": [{"Rel": "PreSynTo", "To": to}]}
        source.post(f"{SYNAPSES}/elements", [element])
    stage.follow()
    assert stage.compare().agree
    source.merge(*bodies[:3])
    source.cleave(bodies[0], bodies[0])
    source.renumber(10**6, bodies[3])
    source.put(new=b"1")
    source.neuron(5, type="new")
    source.post(f"{SYNAPSES}/move/1_1_1/3_3_3")
    source.post(f"{LABELS}/nextlabel/10")
    source.post("note", {"note": "other"})
    made = stage.compare()
    assert made.agree, made.differences
    assert rows(made.pending) >= {
        (LABELS, "supervoxels in another body"),
        (LABELS, "bodies of another size"),
        (LABELS, "label counter behind of the source's"),
        (KEYS, "keys only at the source"),
        (NEURONS, "neurons only at the source"),
        (SYNAPSES, "elements that differ"),
        ("", "note of the version"),
    }
    assert not stage.repair(stuck=False).changes
    assert stage.compare().pending == made.pending
    source.commit()
    child = source.new_version(source.root)
    made = stage.compare()
    assert made.agree, made.differences
    assert (child, "version only at the source") in {(row.version, row.what) for row in made.pending}
    assert not stage.repair().changes
    stage.follow()
    caught_up = stage.compare(stage.follow)
    assert caught_up.agree, caught_up.differences
    assert not caught_up.pending


def test_a_repair_leaves_to_the_log_what_it_brings(stage: Stage) -> None:
    stage.destination.put(mine=b"1")
    stage.source.put(later=b"2")
    done = stage.repair()
    assert {(change.instance, change.what) for change in done.changes} == {(KEYS, "delete key")}
    assert [(row.what, row.examples) for row in done.pending] == [("keys pending", ("later",))]
    assert done.agree
    assert stage.destination.get(f"{KEYS}/keys") == [
        key for key in stage.source.get(f"{KEYS}/keys") if key != "later"
    ]


def test_a_repair_of_a_destination_that_cannot_follow_runs_ahead(stage: Stage) -> None:
    stage.source.put(later=b"2")
    done = stage.repair(stuck=True)
    assert {(change.instance, change.what) for change in done.changes} == {(KEYS, "write key")}
    assert done.agree
    assert stage.compare(stage.follow).agree


def test_only_chosen_versions(stage: Stage) -> None:
    version = stage.source.root
    stage.destination.put(mine=b"1")
    others = [uuid for uuid in _versions(stage) if uuid != version][:2]
    assert stage.compare(versions=[version[:8]]).versions == (version,)
    assert not stage.compare(versions=[version[:8]]).agree
    if others:
        assert stage.compare(versions=others).agree
    with pytest.raises(Exception, match="names none of the"):
        stage.compare(versions=["nobody"])


def _bodies(editor: Editor) -> list[int]:
    content = editor.get(f"{LABELS}/listlabels")
    return [int.from_bytes(content[at : at + 8], "little") for at in range(0, 80, 8)]


def _versions(stage: Stage) -> list[str]:
    url = f"{stage.config.source.url}/api/repo/{stage.config.repo}/info"
    return list(httpx.get(url).json()["DAG"]["Nodes"])
