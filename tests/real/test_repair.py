"""Compare and repair between two real servers: edits that no message announced."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.repair.repairing import repair
from tests.two_servers import (
    KEYS,
    LABELS,
    NEURONS,
    SYNAPSES,
    TOKEN_ENV,
    Editor,
    TwoServers,
    edit_parent_and_child,
    fill,
)

pytestmark = pytest.mark.dvid


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoServers]:
    with RealServer.start(tmp_path / "source") as source:
        root = make_repo(source.url, source.admin_token, size=64, cube=16).root
        fill(Editor(source, root))
        with source.stopped():
            copied = source.copy_to(tmp_path / "copy")
        with RealServer.start(copied) as copy:
            monkeypatch.setenv(TOKEN_ENV, copy.admin_token)
            yield TwoServers(Editor(source, root), Editor(copy, root))


def repaired(servers: TwoServers) -> Repair:
    config = servers.config()
    return repair(config, config.destinations[0], dry_run=False, still_owner=lambda: None)


def test_copies_agree(servers: TwoServers) -> None:
    config = servers.config()
    comparison = compare(config, config.destinations[0])
    assert comparison.agree, comparison.differences
    assert comparison.read == 3 + 61 + 4 + 2 + 2


def test_edits_that_nothing_announced(servers: TwoServers) -> None:
    source, copy = servers.source, servers.destination
    source.merge(10, 11, 12)
    assert source.cleave(1, 2) == 65
    source.merge(65, 20)
    source.renumber(70, 30)
    for new, old in ((100, 40), (40, 41), (41, 100)):
        source.renumber(new, old)
    source.put(c=b"other", new=b"", **{"é #?%+": b"odd", "a/b": b"slash"})
    source.post(f"{KEYS}/key/%2E", b"dot")
    copy.delete(f"{KEYS}/key/b")
    copy.put(mine=b"1")
    source.delete(f"{NEURONS}/key/1")
    source.neuron(2, type="C", only="here", number=2**60 + 1)
    copy.neuron(2, type="D", other="there")
    source.post(f"{NEURONS}/json_schema", {"type": "object"})
    source.element(3, 3, 3, to=[40, 40, 40])
    copy.element(20, 20, 20, "Note")
    copy.element(40, 40, 40)
    done = repaired(servers)
    assert not done.not_repaired, done.not_repaired
    assert done.after is not None
    assert done.after.agree, done.after.differences
    assert not servers.differences()
    (there,) = {row.what for row in done.changes if row.instance == SYNAPSES} & {"delete element"}
    assert there


def test_neurons_that_a_schema_does_not_fit(servers: TwoServers) -> None:
    """The source took them before it had the schema, or by fields."""
    schema = {
        "properties": {"type": {"enum": ["A"]}, "note": {}, "bodyid": {}},
        "additionalProperties": False,
    }
    for editor in (servers.source, servers.destination):
        editor.neuron(3, type="X")
        editor.post(f"{NEURONS}/json_schema", schema)
    servers.source.post(f"{NEURONS}/key/3", {"bodyid": 3, "note": "new"})
    servers.source.post(f"{NEURONS}/key/4", {"bodyid": 4, "type": "A"})
    done = repaired(servers)
    assert not done.not_repaired, done.not_repaired
    assert done.after is not None
    assert done.after.agree, done.after.differences
    assert servers.destination.get(f"{NEURONS}/json_schema") == schema


def test_versions_and_instances(servers: TwoServers) -> None:
    source = servers.source
    source.merge(10, 11)
    source.commit("finished")
    child = source.new_version(servers.root)
    source.post(f"{LABELS}/merge", [20, 21], version=child)
    source.post(f"{KEYS}/key/k", b"v", version=child)
    source.commit("second", version=child)
    source.post("tag", {"tag": "release", "note": "one"}, version=child)
    side = source.branch(servers.root, "side")
    instance = f"{source.server.url}/api/repo/{side}/instance"
    httpx.post(instance, json={"typename": "annotation", "dataname": "spots"}).raise_for_status()
    source.post("spots/sync", {"sync": LABELS}, version=side)
    source.post("spots/elements", [{"Pos": [1, 2, 3], "Kind": "Note"}], version=side)
    source.post(f"{LABELS}/merge", [30, 31], version=side)
    done = repaired(servers)
    assert not done.not_repaired, done.not_repaired
    assert done.after is not None
    assert done.after.agree, done.after.differences
    assert not servers.differences()


@pytest.mark.parametrize("seed", range(2))
def test_committed_versions_after_many_edits_on_both_sides(servers: TwoServers, seed: int) -> None:
    for number, editor in enumerate((servers.source, servers.destination)):
        rng = random.Random(f"{seed}/{number}")
        for _ in range(60):
            edit(editor, rng)
        editor.commit()
    # Children override or inherit what is repaired in their parent.
    child = servers.source.new_version(servers.root)
    servers.destination.post("newversion", {"note": "child", "uuid": child})
    done = repaired(servers)
    assert {row.what for row in done.not_repaired} <= {"label counter"}, done.not_repaired
    assert not servers.differences(next_labels=False)


def test_what_people_changed_in_a_version_and_its_child(servers: TwoServers) -> None:
    """The child has no index of its own of what comes back in its parent."""
    edit_parent_and_child(servers)
    done = repaired(servers)
    assert done.agree
    assert ("put index right", 1) in {(row.what, row.count) for row in done.changes}
    assert not servers.differences()
    assert not servers.contradictions()


def edit(editor: Editor, rng: random.Random) -> None:
    """A merge, a cleave, or a renumber to a label that is not in use."""
    labels = httpx.get(f"{editor.server.url}/api/node/{editor.root}/{LABELS}/existing-labels").json()
    kind = rng.choice(["merge", "merge", "cleave", "cleave", "renumber"])
    if kind == "merge":
        editor.merge(*rng.sample(labels, rng.randint(2, 4)))
        return
    label = rng.choice(labels)
    if kind == "renumber":
        new = rng.choice([free for free in range(1, 90) if free not in labels])
        editor.renumber(new, label)
        return
    supervoxels = editor.get(f"{LABELS}/supervoxels/{label}")
    if len(supervoxels) > 1:
        editor.cleave(label, *rng.sample(supervoxels, rng.randint(1, len(supervoxels) - 1)))
