"""What a comparison of two servers finds, with edits on either side that nothing announced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.dvid.protobuf import key_values
from tests.two_servers import KEYS, LABELS, NEURONS, SYNAPSES, TOKEN_ENV, TwoServers, two_sandboxes


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoServers]:
    with two_sandboxes(tmp_path) as servers:
        monkeypatch.setenv(TOKEN_ENV, servers.destination.server.admin_token)
        yield servers


def compared(servers: TwoServers, agreed: frozenset[str] = frozenset(), **changes: Any) -> Comparison:
    config = servers.config(**changes)
    return compare(config, config.destinations[0], agreed=agreed)


def rows(comparison: Comparison) -> dict[tuple[str, str], tuple[int, tuple[str, ...]]]:
    """Count and examples by instance and what differs."""
    return {(row.instance, row.what): (row.count, row.examples) for row in comparison.differences}


def test_copies_agree(servers: TwoServers) -> None:
    comparison = compared(servers)
    assert comparison.agree, comparison.differences
    assert comparison.compared == 5
    assert comparison.read == 3 + 61 + 4 + 2 + 2


def test_what_cannot_be_listed_is_named_and_the_rest_is_compared(servers: TwoServers) -> None:
    path = f"/api/node/{servers.root}/{KEYS}/keyvalues"
    for editor in (servers.source, servers.destination):
        content = key_values([("", b"1")])
        httpx.post(f"{editor.server.url}{path}", content=content).raise_for_status()
    servers.source.merge(10, 11)
    comparison = compared(servers)
    found = rows(comparison)
    count, (why,) = found[KEYS, "could not be compared"]
    assert count == 1
    assert "empty key" in why
    assert "`own`" in why
    assert (LABELS, "supervoxels in another body") in found
    assert not compared(servers, comparison.agreed).agree


def test_labels(servers: TwoServers) -> None:
    servers.source.merge(10, 11, 12)
    assert servers.destination.cleave(5, 6) == 65
    found = rows(compared(servers))
    assert found[LABELS, "supervoxels in another body"] == (
        3,
        (
            "6: in body 5 here, in body 65 there",
            "11: in body 10 here, in body 11 there",
            "12: in body 10 here, in body 12 there",
        ),
    )
    assert found[LABELS, "bodies only at the destination"] == (
        3,
        ("11: 4096 voxels", "12: 4096 voxels", "65: 4096 voxels"),
    )
    assert found[LABELS, "bodies of another size"] == (
        2,
        ("5: 8192 voxels here, 4096 voxels there", "10: 12288 voxels here, 4096 voxels there"),
    )
    assert found[LABELS, "label counter ahead of the source's"] == (1, ("next label: 65 here, 66 there",))
    assert len(found) == 4


def test_records(servers: TwoServers) -> None:
    servers.source.put(c=b"other", new=b"1")
    servers.destination.delete(f"{KEYS}/key/b")
    servers.destination.put(mine=b"")
    servers.source.delete(f"{NEURONS}/key/1")
    servers.source.neuron(2, type="C")
    servers.source.post(f"{NEURONS}/json_schema", {"type": "object"})
    servers.source.element(3, 3, 3)
    servers.destination.element(20, 20, 20, "Note")
    assert rows(compared(servers)) == {
        (KEYS, "keys only at the source"): (2, ("b", "new")),
        (KEYS, "keys only at the destination"): (1, ("mine",)),
        (KEYS, "keys with another value"): (1, ("c",)),
        (NEURONS, "neurons only at the destination"): (1, ("1",)),
        (NEURONS, "neurons with other fields"): (1, ("2",)),
        (NEURONS, "schemas only at the source"): (1, ("json_schema",)),
        (SYNAPSES, "elements only at the source"): (1, ("(3, 3, 3)",)),
        (SYNAPSES, "elements that differ"): (1, ("(20, 20, 20)",)),
    }


def test_an_empty_value_is_not_a_missing_key(servers: TwoServers) -> None:
    servers.source.put(c=b"")
    servers.destination.delete(f"{KEYS}/key/c")
    assert rows(compared(servers)) == {(KEYS, "keys only at the source"): (1, ("c",))}


def test_keys_that_no_file_can_have(servers: TwoServers) -> None:
    """Values come in a tar file, in which DVID has no place for these."""
    odd = {"a\0b": b"1", "dir/": b"2", "empty/": b"", "z": b"3"}
    servers.source.put(**odd)
    assert rows(compared(servers)) == {
        (KEYS, "keys only at the source"): (4, (r"a\x00b", "dir/", "empty/")),
    }
    servers.destination.put(**{**odd, "dir/": b"other"})
    assert rows(compared(servers)) == {(KEYS, "keys with another value"): (1, ("dir/",))}


def test_a_labelmap_without_labels(servers: TwoServers) -> None:
    for editor in (servers.source, servers.destination):
        made = {"typename": "labelmap", "dataname": "empty"}
        httpx.post(f"{editor.server.url}/api/repo/{servers.root}/instance", json=made).raise_for_status()
    assert compared(servers).agree


def test_the_order_of_tags_and_elements_says_nothing(servers: TwoServers) -> None:
    one = {"Pos": [7, 7, 7], "Kind": "Note", "Tags": ["x", "y"], "Prop": {}, "Rels": []}
    other = {"Pos": [8, 8, 8], "Kind": "Note", "Tags": ["x"], "Prop": {}, "Rels": []}
    servers.source.post(f"{SYNAPSES}/elements", [one, other])
    servers.destination.post(f"{SYNAPSES}/elements", [other, {**one, "Tags": ["y", "x"]}])
    assert compared(servers).agree


def test_versions(servers: TwoServers) -> None:
    servers.source.commit("finished")
    child = servers.source.new_version(servers.root)
    servers.destination.commit("done")
    mine = servers.destination.branch(servers.root, "mine")
    found = {(row.version, row.what): row.examples for row in compared(servers).differences}
    assert found == {
        (servers.root, "note of the version"): ("finished here, done there",),
        (child, "version only at the source"): ("child",),
        (mine, "version only at the destination"): ("mine",),
    }


def test_only_the_selected_branches(servers: TwoServers) -> None:
    for editor in (servers.source, servers.destination):
        editor.commit()
    servers.source.branch(servers.root, "other")
    assert compared(servers, branches=["master"]).agree
    assert not compared(servers).agree


def test_instances(servers: TwoServers) -> None:
    def of(editor: Any, path: str, **fields: str) -> None:
        httpx.post(f"{editor.server.url}{path}", json=fields).raise_for_status()

    instance = f"/api/repo/{servers.root}/instance"
    of(servers.source, instance, typename="keyvalue", dataname="new")
    of(servers.source, instance, typename="keyvalue", dataname="both")
    of(servers.destination, instance, typename="annotation", dataname="both")
    of(servers.destination, instance, typename="keyvalue", dataname="scratch")
    of(servers.destination, instance, typename="keyvalue", dataname="area")
    of(servers.source, "/sandbox/rename", uuid=servers.root, **{"from": KEYS, "to": "notes"})
    of(servers.source, "/sandbox/delete", uuid=servers.root, data="bookmarks")
    servers.source.post(f"{SYNAPSES}/sync", {"sync": LABELS})
    servers.destination.put(c=b"other")
    comparison = compared(servers, own=["area", "gone"])
    assert rows(comparison) == {
        ("both", "instance of another type"): (1, ("keyvalue here, annotation there",)),
        ("bookmarks", "instance only at the destination"): (1, ("a annotation",)),
        ("new", "instance only at the source"): (1, ("a keyvalue",)),
        ("notes", "instance of another name"): (1, (f"{KEYS} there",)),
        ("notes", "keys with another value"): (1, ("c",)),
        ("scratch", "instance only at the destination"): (1, ("a keyvalue",)),
        (SYNAPSES, "syncs of the instance"): (1, (f"{LABELS} here, nothing there",)),
    }
    assert "gone: named in `own`, but the destination has no such instance" in comparison.notes
    assert comparison.own.line() == "the destination's own: 1 instance (area)"


def test_what_follows_an_instance_that_was_renamed(servers: TwoServers) -> None:
    for editor in (servers.source, servers.destination):
        editor.post(f"{SYNAPSES}/sync", {"sync": LABELS})
    names = {"uuid": servers.root, "from": LABELS, "to": "bodies"}
    httpx.post(f"{servers.source.server.url}/sandbox/rename", json=names).raise_for_status()
    assert rows(compared(servers)) == {("bodies", "instance of another name"): (1, (f"{LABELS} there",))}


def test_what_is_the_destinations_own_is_left_alone(servers: TwoServers) -> None:
    servers.destination.put(c=b"other")
    servers.destination.merge(20, 21)
    found = compared(servers, own=[LABELS]).differences
    assert [row.instance for row in found] == [KEYS]


def test_what_is_committed_and_agreed_is_not_read_again(servers: TwoServers) -> None:
    child = ""
    for editor in (servers.source, servers.destination):
        editor.commit()
    child = servers.source.new_version(servers.root)
    servers.destination.post("newversion", {"note": "child", "uuid": child})
    first = compared(servers)
    assert first.agree, first.differences
    assert len(first.agreed) == 5
    second = compared(servers, first.agreed)
    assert (second.compared, second.remembered) == (5, 5)
    assert second.agreed == first.agreed
    # What differs is not remembered, though it is committed.
    servers.destination.put(c=b"other")
    third = compared(servers)
    assert len(third.agreed) == 4
    assert not compared(servers, third.agreed).agree
