"""Repairs of what nothing announced, on either side; afterwards both hold the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.datatypes.labelmap.comparison import SIZES
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.dvid.protobuf import mapping_ops
from dvidsync_dagster.errors import OwnershipLost
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
    two_sandboxes,
)


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoServers]:
    with two_sandboxes(tmp_path) as servers:
        monkeypatch.setenv(TOKEN_ENV, servers.destination.server.admin_token)
        yield servers


def repaired(
    servers: TwoServers, *, dry_run: bool = False, version: str | None = None, **changes: Any
) -> Repair:
    config = servers.config(**changes)
    return repair(config, config.destinations[0], dry_run=dry_run, version=version, still_owner=lambda: None)


def planned_and_repaired(servers: TwoServers) -> Repair:
    """A dry run says beforehand what is changed."""
    planned = repaired(servers, dry_run=True)
    done = repaired(servers)
    assert planned.changes == done.changes
    return done


def changes(done: Repair) -> dict[tuple[str, str], int]:
    return {(change.instance, change.what): change.count for change in done.changes}


def assert_repaired(done: Repair, servers: TwoServers, *, next_labels: bool = True) -> None:
    assert not done.not_repaired
    assert done.after is not None
    assert done.after.agree, done.after.differences
    assert not servers.differences(next_labels=next_labels)


def test_nothing_to_do(servers: TwoServers) -> None:
    done = repaired(servers)
    assert not done.changes
    assert_repaired(done, servers)


def test_lost_label_operations(servers: TwoServers) -> None:
    servers.source.merge(10, 11, 12)
    assert servers.source.cleave(1, 2) == 65
    servers.source.merge(65, 20)
    servers.source.renumber(70, 30)
    done = planned_and_repaired(servers)
    assert changes(done) == {(LABELS, "cleave"): 1, (LABELS, "merge"): 2, (LABELS, "renumber"): 1}
    assert_repaired(done, servers)


def test_lost_reservations(servers: TwoServers) -> None:
    servers.source.post(f"{LABELS}/nextlabel/1000")
    planned = repaired(servers, dry_run=True)
    assert [(row.what, row.count, row.examples) for row in planned.changes] == [
        ("reserve labels", 1, ("65 to 1064",))
    ]
    assert_repaired(repaired(servers), servers)


def test_lost_reservations_where_every_version_is_committed(servers: TwoServers) -> None:
    servers.source.post(f"{LABELS}/nextlabel/1000")
    for editor in (servers.source, servers.destination):
        editor.commit()
    assert_repaired(planned_and_repaired(servers), servers)


def test_an_instance_of_another_name_is_repaired_under_its_own(servers: TwoServers) -> None:
    for here, there in ((LABELS, "bodies"), (KEYS, "notes"), (NEURONS, "cells"), (SYNAPSES, "contacts")):
        names = {"uuid": servers.root, "from": here, "to": there}
        httpx.post(f"{servers.destination.server.url}/sandbox/rename", json=names).raise_for_status()
    servers.source.merge(10, 11)
    servers.source.cleave(1, 2)
    servers.source.put(c=b"other")
    servers.source.neuron(2, type="C")
    servers.source.element(3, 3, 3)
    servers.source.post(f"{SYNAPSES}/sync", {"sync": LABELS})
    done = planned_and_repaired(servers)
    assert {row.what for row in done.not_repaired} == {"instance of another name"}
    assert done.after is not None
    assert {row.what for row in done.after.differences} == {"instance of another name"}


def test_a_note_of_a_committed_version(servers: TwoServers) -> None:
    servers.source.commit("finished")
    servers.destination.commit("done")
    assert_repaired(planned_and_repaired(servers), servers)


def test_the_destinations_own_label_operations(servers: TwoServers) -> None:
    servers.destination.merge(10, 11, 12)
    servers.destination.cleave(1, 2)
    servers.destination.renumber(100, 5)
    done = repaired(servers)
    assert {row.what for row in done.not_repaired} == {"label counter"}
    assert not servers.differences(next_labels=False)


def test_labels_that_were_swapped(servers: TwoServers) -> None:
    for new, old in ((100, 10), (10, 11), (11, 100)):
        servers.source.renumber(new, old)
    assert_repaired(planned_and_repaired(servers), servers)


def test_bodies_tell_up_to_which_operation_they_are(servers: TwoServers) -> None:
    servers.source.merge(10, 11)
    last = servers.source.get(f"{LABELS}/lastmod/10")
    repaired(servers)
    copied = servers.destination.get(f"{LABELS}/lastmod/10")
    assert copied["last mod app"] == f"neu3+dvidsync@{last['mutation id']}"
    assert copied["last mod user"] == "amy"


def test_records(servers: TwoServers) -> None:
    servers.source.put(c=b"other", new=b"", large=bytes(9 << 20), **{"é #?%+": b"odd"})
    servers.destination.delete(f"{KEYS}/key/b")
    servers.destination.put(mine=b"1")
    servers.source.delete(f"{NEURONS}/key/1")
    servers.source.neuron(2, type="C", only="here")
    servers.destination.neuron(2, type="D", other="there")
    servers.source.post(f"{NEURONS}/json_schema", {"type": "object"})
    servers.destination.post(f"{NEURONS}/schema", {"type": "object"})
    servers.source.element(3, 3, 3, to=[40, 40, 40])
    servers.destination.element(20, 20, 20, "Note")
    servers.destination.element(40, 40, 40)
    done = planned_and_repaired(servers)
    assert changes(done) == {
        (KEYS, "delete key"): 1,
        (KEYS, "write key"): 5,
        (NEURONS, "delete neuron"): 1,
        (NEURONS, "write neuron"): 1,
        (NEURONS, "write schema"): 1,
        (NEURONS, "delete schema"): 1,
        (SYNAPSES, "delete element"): 1,
        (SYNAPSES, "post element"): 2,
    }
    assert_repaired(done, servers)


def test_relations_that_go_with_a_deleted_element_come_back(servers: TwoServers) -> None:
    for editor in (servers.source, servers.destination):
        editor.element(50, 50, 50, to=[60, 60, 60])
    servers.destination.element(60, 60, 60)
    assert_repaired(planned_and_repaired(servers), servers)


def test_several_elements_at_one_point(servers: TwoServers) -> None:
    """DVID makes them where they come at once, and then replaces or deletes one of them."""

    def at(x: int, *kinds: str) -> list[dict[str, Any]]:
        return [{"Pos": [x, 1, 1], "Kind": kind, "Tags": [kind], "Prop": {}, "Rels": []} for kind in kinds]

    servers.source.post(
        f"{SYNAPSES}/elements", [*at(70, "Gap", "Note"), *at(72, "Note", "Gap"), *at(73, "Note")]
    )
    servers.destination.post(
        f"{SYNAPSES}/elements", [*at(70, "Gap"), *at(71, "Gap", "Gap"), *at(73, "Gap", "Note")]
    )
    assert_repaired(planned_and_repaired(servers), servers)


def test_missing_versions(servers: TwoServers) -> None:
    source = servers.source
    source.merge(10, 11)
    source.post("note", {"note": "first"})
    source.post("log", {"log": ["zero"]})
    source.commit("finished")
    child = source.new_version(servers.root)
    source.post(f"{LABELS}/merge", [20, 21], version=child)
    source.post(f"{KEYS}/key/k", b"v", version=child)
    source.commit("second", version=child)
    side = source.branch(servers.root, "side")
    source.post(f"{LABELS}/merge", [30, 31], version=side)
    source.post("tag", {"tag": "release", "note": "one"}, version=child)
    grandchild = source.new_version(child)
    source.delete(f"{KEYS}/key/a", version=grandchild)
    assert_repaired(repaired(servers), servers)


def test_what_people_changed_in_a_version_and_its_child(servers: TwoServers) -> None:
    """The child has no index of its own of what comes back in its parent."""
    edit_parent_and_child(servers)
    assert_repaired(repaired(servers), servers)
    assert not servers.contradictions()


def test_a_version_and_then_its_child(servers: TwoServers) -> None:
    child = edit_parent_and_child(servers)
    assert repaired(servers, version=servers.root).agree
    assert servers.contradictions()
    planned = repaired(servers, version=child, dry_run=True)
    done = repaired(servers, version=child)
    indices = [row.examples for row in done.changes if row.what == "put index right"]
    assert indices == [
        ("supervoxel 20 from 70 to 20", f"supervoxel 6 in 5, as in {servers.root}"),
        ("supervoxel 11 from 11 to 30",),
    ]
    assert changes(planned) == {
        (LABELS, "put index right"): 3,
        (LABELS, "renumber"): 1,
        (LABELS, "cleave"): 1,
        (LABELS, "merge"): 1,
    }
    assert {change.what for change in done.changes} == {change.what for change in planned.changes}
    assert done.agree
    assert not servers.differences(next_labels=False)
    assert not servers.contradictions()


def test_a_torn_cleave_is_taken_back_if_the_source_has_none(servers: TwoServers) -> None:
    """Both indices are new, the mapping is old."""
    new = servers.destination.cleave(1, 2)
    servers.destination.post(f"{LABELS}/mappings", mapping_ops({1: [2]}, 0))
    done = repaired(servers)
    assert ("put index right", (f"supervoxel 2 from {new} to 1",)) in {
        (row.what, row.examples) for row in done.changes
    }
    assert not servers.differences(next_labels=False)
    assert not servers.contradictions()


def test_missing_instances(servers: TwoServers) -> None:
    instance = f"{servers.source.server.url}/api/repo/{servers.root}/instance"
    for name, datatype in (("new", "keyvalue"), ("spots", "annotation")):
        httpx.post(instance, json={"typename": datatype, "dataname": name}).raise_for_status()
    servers.source.post("new/key/k", b"v")
    servers.source.post("spots/sync", {"sync": LABELS})
    servers.source.post("spots/elements", [{"Pos": [1, 2, 3], "Kind": "Note"}])
    assert_repaired(repaired(servers), servers)
    (there,) = servers.destination.get("spots/label/1")
    assert there["Pos"] == [1, 2, 3]


def test_committed_versions_take_the_admin_token(servers: TwoServers) -> None:
    servers.source.merge(10, 11)
    servers.source.put(c=b"other")
    for editor in (servers.source, servers.destination):
        editor.commit()
    refused = repaired(servers, admin=False)
    assert not refused.changes
    assert {(row.instance, row.what, row.count) for row in refused.not_repaired if row.version} >= {
        (LABELS, "merge", 1),
        (KEYS, "write key", 1),
    }
    assert "admin_token_env" in refused.not_repaired[0].why
    assert not refused.agree
    assert_repaired(repaired(servers), servers)


def test_a_dry_run_changes_nothing(servers: TwoServers) -> None:
    servers.source.merge(10, 11)
    servers.source.put(c=b"other")
    servers.source.delete(f"{NEURONS}/key/1")
    servers.source.element(3, 3, 3)
    servers.source.commit()
    before = servers.differences()
    planned = repaired(servers, dry_run=True)
    assert planned.after is None
    assert not planned.agree
    assert servers.differences() == before
    assert changes(planned) == changes(repaired(servers))
    assert not servers.differences()


def test_what_is_the_destinations_own_stays(servers: TwoServers) -> None:
    servers.destination.put(mine=b"1")
    servers.destination.merge(10, 11)
    before = servers.differences()
    assert not repaired(servers, own=[KEYS, LABELS]).changes
    assert servers.differences() == before


def test_other_voxels_are_reported(servers: TwoServers) -> None:
    path = f"{LABELS}/raw/0_1_2/64_64_64/0_0_0"
    voxels = np.frombuffer(servers.destination.get(path, supervoxels="true"), "<u8").copy()
    voxels[np.flatnonzero(voxels == 40)[:100]] = 0
    servers.destination.post(f"{path}?mutate=true", voxels.tobytes())
    servers.source.merge(10, 11)
    done = repaired(servers)
    assert changes(done)[LABELS, "merge"] == 1
    assert SIZES.differing in {row.what for row in done.not_repaired}
    assert not done.agree


def test_a_run_that_takes_over_ends_the_repair(servers: TwoServers) -> None:
    servers.source.put(c=b"other")
    before = servers.differences()
    config = servers.config()

    def lost() -> None:
        raise OwnershipLost("another run")

    with pytest.raises(OwnershipLost):
        repair(config, config.destinations[0], dry_run=False, still_owner=lost)
    assert servers.differences() == before


def with_a_side_branch(servers: TwoServers) -> tuple[str, str]:
    """Master's open version and the branch's. Ids are taken in the branch, at the copy in master."""
    main, side = "c" * 32, "d" * 32
    for editor in (servers.source, servers.destination):
        editor.post("commit", {"note": "done"})
        editor.post("newversion", {"note": "", "uuid": main})
        editor.post("branch", {"branch": "side", "note": "", "uuid": side})
    servers.source.post(f"{LABELS}/nextlabel/10", version=side)
    servers.destination.post(f"{LABELS}/nextlabel/10", version=main)
    return main, side


def max_label(editor: Editor, version: str) -> int:
    return int(editor.get(f"{LABELS}/maxlabel", version=version)["maxlabel"])


def test_the_highest_label_of_a_branch(servers: TwoServers) -> None:
    main, side = with_a_side_branch(servers)
    config = servers.config()
    (row,) = compare(config, config.destinations[0]).differences
    assert (row.version, row.what, row.count) == (side, "maxlabel behind the source's", 10)
    planned = repaired(servers, dry_run=True)
    assert [(each.version, each.what) for each in planned.changes] == [(side, "raise maxlabel")]
    assert max_label(servers.destination, side) == 64
    done = repaired(servers)
    assert_repaired(done, servers)
    assert max_label(servers.destination, side) == max_label(servers.source, side) == 74
    # No server lowers one.
    assert done.after is not None
    assert [main in note for note in done.after.notes] == [True]


def test_the_highest_label_takes_the_admin_token(servers: TwoServers) -> None:
    _, side = with_a_side_branch(servers)
    config = servers.config(admin=False)
    done = repair(config, config.destinations[0], dry_run=False, still_owner=lambda: None)
    assert [(left.version, left.what, "admin_token_env" in left.why) for left in done.not_repaired] == [
        (side, "raise maxlabel", True)
    ]


def test_labels_are_reserved_where_the_source_did(servers: TwoServers) -> None:
    main, side = "c" * 32, "d" * 32
    for editor in (servers.source, servers.destination):
        editor.post("commit", {"note": "done"})
        editor.post("newversion", {"note": "", "uuid": main})
        editor.post("branch", {"branch": "side", "note": "", "uuid": side})
    servers.source.post(f"{LABELS}/nextlabel/10", version=side)
    planned = repaired(servers, dry_run=True)
    assert [each.what for each in planned.changes] == ["reserve labels"]
    done = repaired(servers)
    assert_repaired(done, servers)
    assert done.after is not None
    assert not done.after.notes
