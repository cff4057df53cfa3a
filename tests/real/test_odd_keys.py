"""On real servers: keys near the limit, keys that are no UTF-8, users longer than an HTTP library takes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dvidsync_dagster.dvid.http import DvidClient
from dvidsync_dagster.dvid.keyvalue import Keyvalue
from dvidsync_dagster.dvid.paths import node_path
from dvidsync_dagster.dvid.protobuf import key_values
from tests.real.test_source_places import Copying, copying

pytestmark = [pytest.mark.dvid, pytest.mark.kafka]

__all__ = ["copying"]

KEYS = "segmentation_annotations"
LONG = "é" * 32_000
RAW = ["\udcff\udcfe", "a\udce9b", "a\udcffb", "\ufffd", "a\ufffdb", "aéb", "é\udc80"]


def instances(copying: Copying) -> tuple[Keyvalue, Keyvalue]:
    scene = copying.scene
    urls = (scene.source.url, scene.destination.url)
    one, other = (Keyvalue(DvidClient(url, reads_as="amy"), KEYS) for url in urls)
    return one, other


def last_user(copying: Copying) -> Any:
    path = node_path(copying.scene.root, "segmentation", "lastmod", 1)
    return httpx.get(f"{copying.scene.destination.url}{path}").json()["last mod user"]


@pytest.mark.parametrize("keys", [[LONG, "a/" * 30_000], RAW], ids=["long", "raw"])
def test_odd_keys_are_written_emptied_and_deleted(copying: Copying, keys: list[str]) -> None:
    source, copy = instances(copying)
    root = copying.scene.root
    for number, key in enumerate(keys):
        source.write(root, key, b"value %d" % number)
    copying.scene.flush()
    copying.run()
    assert copy.values(root, keys) == {key: b"value %d" % number for number, key in enumerate(keys)}
    source.write(root, keys[0], b"")
    source.write(root, keys[1], b"new")
    copying.scene.flush()
    copying.run()
    assert (copy.value(root, keys[0]), copy.exists(root, keys[0])) == (None, True)
    assert copy.values(root, keys[1:2]) == {keys[1]: b"new"}
    source.delete(root, keys[0])
    copying.scene.flush()
    copying.run()
    assert not copy.exists(root, keys[0])
    copying.scene.assert_same(instances=["segmentation"])


def test_an_empty_key_is_taken_and_keys_are_not_listed_anymore(copying: Copying) -> None:
    path = f"{copying.scene.source.url}{node_path(copying.scene.root, KEYS)}"
    assert httpx.post(f"{path}/keyvalues", content=key_values([("", b"1")])).status_code == 200
    listed = httpx.get(f"{path}/keys")
    assert (listed.status_code, listed.text[:9]) == (400, "empty key")


def test_a_long_user_arrives(copying: Copying) -> None:
    user = "ü" * 50_000
    with DvidClient(copying.scene.source.url) as client:
        path = node_path(copying.scene.root, "segmentation", "merge")
        client.change_json("POST", path, "MutationID", body=b"[1,2]", user=user)
    copying.scene.flush()
    copying.run()
    assert last_user(copying) == user
