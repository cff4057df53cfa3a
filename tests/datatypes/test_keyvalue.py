"""Keys and values end as at the source."""

from __future__ import annotations

import time

import pytest

from dvidsync_dagster.datatypes.keyvalue.batches import MAX_BYTES, MAX_KEYS
from dvidsync_dagster.datatypes.keyvalue.events import DeleteKey, PostKey, decode
from dvidsync_dagster.datatypes.keyvalue.side import batches
from dvidsync_dagster.dvid.repo import Instance
from dvidsync_dagster.errors import UndecodableRecord
from dvidsync_dagster.events.message import Message
from dvidsync_dagster.events.origin import Origin
from dvidsync_dagster.run.follow import Scope
from tests.datatypes.source_and_destination import SourceAndDestination

KV = "segmentation_annotations"

ODD_KEYS = (
    "a b",
    "a#b",
    "why?",
    "100%",
    "%2F",
    "a+b",
    "ü-€",
    "日本",
    "a&b=c",
    'quo"te',
    "back\\slash",
    "a;b",
    "a.b",
)


def test_odd_keys_and_any_bytes(scene: SourceAndDestination) -> None:
    for number, key in enumerate(ODD_KEYS):
        scene.post(scene.key(KV, key), body=bytes([0, 255, number]))
    scene.post(scene.key(KV, "gone %"), body=b"x")
    scene.sync()
    scene.assert_same()
    assert scene.value(KV, "%2F") == bytes([0, 255, 4])
    scene.delete(scene.key(KV, "gone %"))
    scene.sync()
    scene.assert_same()
    assert scene.value(KV, "gone %") is None


def test_keys_with_slashes_come_in_batches_only(scene: SourceAndDestination) -> None:
    scene.post_values(KV, [("a/b", b"1"), ("a/", b""), ("/", b"2")])
    scene.sync()
    scene.assert_same()
    scene.post_values(KV, [("a/b", b"3")])
    scene.sync()
    scene.assert_same()


def test_empty_values_are_no_missing_keys(scene: SourceAndDestination) -> None:
    scene.post(scene.key(KV, "empty"), body=b"")
    scene.post(scene.key(KV, "emptied"), body=b"something")
    scene.post(scene.key(KV, "emptied"), body=b"")
    scene.post(scene.key(KV, "deleted"), body=b"")
    scene.delete(scene.key(KV, "deleted"))
    scene.sync()
    _, copy = scene.states()
    assert copy["data"][f"{scene.root}/{KV}"] == {"empty": "", "emptied": ""}


def test_many_keys_take_few_requests(scene: SourceAndDestination) -> None:
    for turn in range(2):
        scene.post_values(KV, [(f"k{number}", b"%d %d" % (turn, number)) for number in range(1200)])
    scene.await_messages(2400)
    reports = scene.sync(chunk_records=20_000)
    scene.assert_same()
    assert sum(report.operations for report in reports) >= 2400
    # Three batches of at most 500 keys; making the repo takes none at a copy.
    assert sum(report.requests for report in reports) <= 3


def test_values_of_several_megabytes(scene: SourceAndDestination) -> None:
    large = {f"large {number}": bytes([number]) * 5_000_000 for number in range(4)}
    large["huge"] = b"h" * 20_000_000
    for key, value in large.items():
        scene.post(scene.key(KV, key), body=value)
    scene.sync()
    for key, value in large.items():
        assert scene.value(KV, key) == value


def test_a_value_belongs_to_its_version(scene: SourceAndDestination) -> None:
    scene.post(scene.key(KV, "k"), body=b"old")
    child = scene.new_version()
    scene.post(scene.key(KV, "k"), body=b"new", version=child)
    grandchild = scene.new_version(child)
    scene.delete(scene.key(KV, "k"), version=grandchild)
    scene.sync()
    scene.assert_same()
    assert [scene.value(KV, "k", version=each) for each in (scene.root, child, grandchild)] == [
        b"old",
        b"new",
        None,
    ]


def test_windows_that_are_read_again_change_nothing(scene: SourceAndDestination) -> None:
    scene.post(scene.key(KV, "back"), body=b"1")
    before = time.time_ns()
    scene.delete(scene.key(KV, "back"))
    after = time.time_ns()
    scene.post(scene.key(KV, "back"), body=b"2")
    scene.sync()
    scene.sync(scope=Scope(before, after))
    assert scene.value(KV, "back") == b"2"


def test_a_refused_key_is_one_conflict(scene: SourceAndDestination) -> None:
    scene.post(scene.key(KV, "k"), body=b"1")
    scene.post(scene.key(KV, "l"), body=b"1")
    scene.post("commit", json={"note": "own"}, server=scene.destination)
    reports = scene.sync(changed={"on_conflict": "skip"})
    conflicts = [row for report in reports for row in report.conflicts]
    assert [(row.action, row.instance) for row in conflicts] == [("postkv", KV)] * 2
    assert "locked" in conflicts[0].found


def _post(offset: int, key: str, size: int) -> PostKey:
    origin = Origin(offset, "t", 0, offset)
    return PostKey(origin=origin, instance="kv", version="v", key=key, size=size)


def test_batches_are_bounded_in_keys_and_bytes() -> None:
    small = [_post(number, f"k{number}", 10) for number in range(MAX_KEYS + 1)]
    assert [len(each) for each in batches(small)] == [MAX_KEYS, 1]
    large = [_post(number, f"k{number}", MAX_BYTES // 2) for number in range(3)]
    assert [len(each) for each in batches(large)] == [2, 1]
    huge = [_post(1, "a", 1), _post(2, "b", 10 * MAX_BYTES), _post(3, "c", 1)]
    assert [[event.origin.offset for event in each] for each in batches(huge)] == [[1], [2], [3]]


def test_all_mutations_of_a_key_are_in_one_batch() -> None:
    origin = Origin(9, "t", 0, 9)
    first, last = _post(1, "a", 1), DeleteKey(origin=origin, instance="kv", version="v", key="a")
    (batch,) = batches([first, _post(5, "b", 1), last])
    assert [member.origin.offset for member in batch] == [1, 5, 9]


@pytest.mark.parametrize(
    "value", [b'{"Action":"postkv","UUID":"v"}', b'{"Action":"delete","Key":7,"UUID":"v"}']
)
def test_a_message_without_a_key_is_undecodable(value: bytes) -> None:
    kv = Instance(name="kv", typename="keyvalue", data_uuid="d")
    with pytest.raises(UndecodableRecord, match="'Key'"):
        decode(Message.parse(Origin(1, "t", 0, 1), value), kv)
