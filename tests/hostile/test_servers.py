"""The whole way to servers that misbehave: how a run ends, and that the next one makes all good."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.dvid.patience import MIB, Patience
from dvidsync_dagster.errors import DvidSyncError, LoginRefused
from tests.datatypes.source_and_destination import SourceAndDestination, scene, template
from tests.hostile.proxy import Answer, Proxy, proxy
from tests.hostile.servers import BEHAVIOURS, Behaviour, Work

SEG, KEYS = "segmentation", "segmentation_annotations"
LONGEST_MESSAGE = 2500
PATIENT = Patience(unreachable=20, busy=20, connect=5, answer=30, word=0.3, most=2 * MIB)


@dataclass
class Ground:
    """Two servers, each behind a proxy, and people who never run out of work."""

    scene: SourceAndDestination
    source: Proxy
    destination: Proxy
    loose: int = 2
    version: str = ""
    number: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def work(self, kind: Work) -> None:
        """What people do at the source; `all` is something of everything."""
        here, number = self.scene, next(self.number)
        at: dict[str, Any] = {"version": self.version}
        if kind in ("all", "keys"):
            here.post(here.key(KEYS, "same"), body=b"value %d" % number, **at)
        if kind == "all":
            here.post_values(KEYS, [(f"a{number}", b"1"), (f"b{number}", b"2")], **at)
        if kind in ("all", "delete"):
            here.delete(here.key(KEYS, "doomed"), **at)
        if kind in ("all", "merges", "cleave"):
            here.post(f"{SEG}/merge", json=[1, self.loose], **at)
        if kind in ("all", "neuron"):
            here.post("neurons/key/7", json={"bodyid": 7, "n": number}, **at)
        if kind in ("all", "element"):
            element = {"Pos": [number % 60, 1, 1], "Kind": "Note", "Tags": [], "Prop": {}, "Rels": []}
            here.post("synapses/elements", json=[element], **at)
        if kind == "commit":
            self.version = here.new_version(self.version)
            at = {"version": self.version}
        if kind in ("merges", "all", "cleave", "commit"):
            if kind == "commit":
                here.post(f"{SEG}/merge", json=[1, self.loose], **at)
            self.loose = int(here.post(f"{SEG}/cleave/1", json=[2], **at)["CleavedLabel"])
        if kind == "delete":
            here.post(here.key(KEYS, "doomed"), body=b"soon", **at)
            self.sync("stop", through=False)
            here.delete(here.key(KEYS, "doomed"), **at)

    def sync(self, on_conflict: str, *, through: bool) -> int:
        """One run, through the proxies or not; how many operations it left out."""
        changed = {"on_conflict": on_conflict}
        settings: dict[str, Any] = {}
        if through:
            changed["url"] = self.destination.url
            settings["source"] = {"url": self.source.url}
        reports = self.scene.sync(changed=changed, **settings)
        return sum(len(report.conflicts) for report in reports)


@pytest.fixture(autouse=True)
def rested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else writes to these servers: no need to wait for requests of a run that died."""
    monkeypatch.setattr("dvidsync_dagster.destinations.dvid_server.server.REST_SECONDS", 0.01)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    made = template(folder / "made")
    with (
        EmbeddedBroker.start() as broker,
        scene(folder, broker, made) as opened,
        proxy(opened.source.url) as source,
        proxy(opened.destination.url) as destination,
    ):
        yield Ground(opened, source, destination, version=opened.root)


def ruled(behaviour: Behaviour) -> Any:
    """The behaviour as a rule of a proxy."""
    count = itertools.count()

    def rule(method: str, path: str) -> Answer | None:
        kind, _, text = behaviour.to.rpartition(" ")
        changes = method != "GET"
        meets = {"changes": changes, "reads": not changes, "all": True}.get(text, text in path)
        if not meets or (kind and kind != method):
            return None
        return behaviour.answer if behaviour.first <= next(count) <= behaviour.last else None

    return rule


def patience_for(behaviour: Behaviour) -> Patience:
    """As little as shows how it ends."""
    if behaviour.ends is None:
        return PATIENT
    waits = behaviour.answer.silent or behaviour.answer.pause > 0
    return replace(PATIENT, unreachable=0.1, answer=0.6 if waits else PATIENT.answer)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.name)
def test_a_server_that_misbehaves(
    ground: Ground, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither policy takes it for a word about the operation, and nothing is lost."""
    monkeypatch.setattr("dvidsync_dagster.dvid.opening.PATIENCE", patience_for(behaviour))
    ground.work(behaviour.work)
    here = ground.source if behaviour.side == "source" else ground.destination
    for on_conflict in ("skip", "stop"):
        if behaviour.looks and ground.scene.checkpoint is not None:
            ground.scene.checkpoint = replace(ground.scene.checkpoint, clean=False)
        here.rule = ruled(behaviour)
        error: DvidSyncError | None = None
        try:
            assert ground.sync(on_conflict, through=True) == 0
        except DvidSyncError as caught:
            error = caught
        finally:
            here.rule = None
        if behaviour.ends is None:
            assert error is None
        else:
            assert isinstance(error, behaviour.ends), repr(error)
            assert behaviour.says in str(error)
            assert len(str(error)) < LONGEST_MESSAGE
    assert ground.sync("stop", through=True) == 0
    ground.scene.assert_same()


def test_a_wrong_admin_token_is_no_conflict(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator edits a committed version at the source."""
    committed, ground.version = ground.version, ground.scene.new_version(ground.version)
    ground.sync("stop", through=True)
    edited = ground.scene.key(KEYS, "late")
    query = f"&admintoken={ground.scene.source.admin_token}"
    answer = ground.scene.request("POST", edited, body=b"v", version=committed, query=query)
    answer.raise_for_status()
    right = ground.scene.destination.admin_token
    for on_conflict in ("skip", "stop"):
        monkeypatch.setattr(ground.scene.destination, "admin_token", "a-wrong-one")
        with pytest.raises(LoginRefused, match=r"destinations\[copy\].admin_token_env") as caught:
            ground.sync(on_conflict, through=True)
        assert "a-wrong-one" not in str(caught.value)
    monkeypatch.setattr(ground.scene.destination, "admin_token", right)
    assert ground.sync("stop", through=True) == 0
    ground.scene.assert_same()
