"""Keys and users that DVID takes, however long and whatever their bytes."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from dvidsync_dagster.datatypes.keyvalue.comparison import KeyvalueComparison
from dvidsync_dagster.differences.items import Pair
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.keyvalue import Keyvalue
from tests.datatypes.source_and_destination import SourceAndDestination

KEYS = "segmentation_annotations"
SANDBOX_TAKES = 30_000
"""Characters of a key in a path, which a listing has twice. A real server takes all that it takes as keys."""


def keyvalue(url: str) -> Keyvalue:
    return Keyvalue(DvidClient(url), KEYS)


def agree(scene: SourceAndDestination) -> bool:
    one, other = (
        DvidSide(DvidClient(server.url), scene.root, KEYS) for server in (scene.source, scene.destination)
    )
    return KeyvalueComparison().items(Pair(one, other, settled=True), lower_scales=False)[0] == []


@pytest.mark.parametrize("key", ["é" * 32_000, "é" * 4_000, "a/" * 20_000])
def test_a_long_key_is_written_and_deleted(scene: SourceAndDestination, key: str) -> None:
    scene.post_values(KEYS, [(key, b"1"), ("b", b"2")])
    scene.sync()
    copy = keyvalue(scene.destination.url)
    assert copy.values(scene.root, [key, "b"]) == {key: b"1", "b": b"2"}
    assert agree(scene)
    if len(quote(key)) < SANDBOX_TAKES and "/" not in key:
        scene.post_values(KEYS, [(key, b"")])
        scene.sync()
        assert copy.value(scene.root, key) is None
        assert copy.exists(scene.root, key)
        keyvalue(scene.source.url).delete(scene.root, key)
        scene.sync()
        assert not copy.exists(scene.root, key)
        assert agree(scene)


RAW = ["%FF%FE", "a%E9b", "a%FFb", "%EF%BF%BD", "a%EF%BF%BDb", "a%C3%A9b", "%C3%A9%80"]
"""Percent-encoded keys. DVID announces the second, third and fifth with one and the same text."""


def test_keys_that_are_no_utf8(scene: SourceAndDestination) -> None:
    def put(key: str, value: bytes) -> None:
        url = f"{scene.source.url}/api/node/{scene.root}/{KEYS}/key/{key}?u=amy"
        httpx.post(url, content=value).raise_for_status()

    def at_copy(key: str) -> bytes | None:
        answer = httpx.get(f"{scene.destination.url}/api/node/{scene.root}/{KEYS}/key/{key}")
        return None if answer.status_code == 404 else answer.content

    for number, key in enumerate(RAW):
        put(key, f"value {number}".encode())
    scene.await_messages(len(RAW))
    assert not agree(scene)
    scene.sync()
    assert [at_copy(key) for key in RAW] == [f"value {number}".encode() for number in range(len(RAW))]
    assert agree(scene)
    put("a%E9b", b"")
    put("%FF%FE", b"new")
    url = f"{scene.source.url}/api/node/{scene.root}/{KEYS}/key/a%FFb?u=amy"
    httpx.delete(url).raise_for_status()
    scene.await_messages(len(RAW) + 3)
    scene.sync()
    assert (at_copy("a%E9b"), at_copy("%FF%FE"), at_copy("a%FFb")) == (None, b"new", None)
    assert agree(scene)
    copy = keyvalue(scene.destination.url)
    assert copy.exists(scene.root, "a\udce9b")
    assert not copy.exists(scene.root, "a\udcffb")


def test_a_long_user_arrives(scene: SourceAndDestination) -> None:
    user = "ü" * 9_000
    url = f"{scene.source.url}/api/node/{scene.root}/segmentation/merge"
    with DvidClient(scene.source.url) as client:
        client.change_json("POST", url.removeprefix(scene.source.url), "MutationID", body=b"[1,2]", user=user)
    scene.await_messages(2)
    scene.sync()
    assert scene.states()[1] == scene.states()[0]
    last = httpx.get(f"{scene.destination.url}/api/node/{scene.root}/segmentation/lastmod/1").json()
    assert last["last mod user"] == user
