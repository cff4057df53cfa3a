"""The table of a keyvalue instance: the same by the log as from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvid_sandbox.broker import EmbeddedBroker
from dvidsync_dagster.datatypes.keyvalue import snapshot
from dvidsync_dagster.datatypes.keyvalue.comparison import VALUES
from dvidsync_dagster.datatypes.keyvalue.key_text import key_of, text_of
from dvidsync_dagster.datatypes.table_rows import IN_MEMORY
from dvidsync_dagster.destinations.bucket.compared import BucketSide
from dvidsync_dagster.differences.items import Pair, find
from dvidsync_dagster.differences.sides import DvidSide
from dvidsync_dagster.dvid.patience import MIB
from tests.datatypes.edits import ODD_KEYS, edit_keys
from tests.datatypes.following import follow_new
from tests.datatypes.memory_tables import MemoryTables, filled
from tests.datatypes.source_log import KEYS, SourceLog, sandbox_log


@pytest.fixture
def log(tmp_path: Path, broker: EmbeddedBroker, made: tuple[Path, str]) -> Iterator[SourceLog]:
    with sandbox_log(tmp_path, broker.address, made) as opened:
        yield opened


follow = partial(follow_new, KEYS)


def content(tables: MemoryTables) -> dict[str, bytes | None]:
    """Values by key, raw keys as `surrogateescape` has them."""
    return {key_of(key): row["value"] for (key,), row in tables.rows(KEYS).items()}


@given(st.binary(max_size=20))
def test_each_key_has_a_text_of_its_own(raw: bytes) -> None:
    key = raw.decode("utf-8", "surrogateescape")
    text = text_of(key)
    text.encode()
    assert key_of(text) == key


@given(st.text(max_size=20).filter(lambda key: "\ufffd" not in key))
def test_a_usual_key_is_its_own_text(key: str) -> None:
    assert text_of(key) == key


@pytest.mark.parametrize("seed", range(1))
def test_random_work_ends_as_from_scratch(log: SourceLog, seed: int) -> None:
    random = Random(seed)
    edit_keys(log, random, 30)
    log.new_events()
    tables = filled(log.side(KEYS), log.version)
    for _ in range(3):
        edit_keys(log, random, 30)
        follow(log, tables, random)
    assert tables.rows(KEYS) == filled(log.side(KEYS), log.version).rows(KEYS)
    assert len(tables.rows(KEYS)) > 5


def test_keys_of_any_bytes_values_of_any_bytes(log: SourceLog) -> None:
    utf8 = [key for key in ODD_KEYS if key.decode(errors="ignore").encode() == key]
    log.put_keys(*((key.decode(), b"v " + key) for key in utf8))
    for key in set(ODD_KEYS) - set(utf8):
        log.put_key(key, b"v " + key)
    tables = filled(log.side(KEYS), log.version)
    assert content(tables) == {key.decode("utf-8", "surrogateescape"): b"v " + key for key in ODD_KEYS}
    log.new_events()
    log.put_key(b"a\xe9b", b"")
    log.delete_key(b"a\xffb")
    follow(log, tables)
    assert content(tables)["a\udce9b"] == b""
    assert "a\udcffb" not in content(tables)
    assert content(tables)["a\ufffdb"] == "v a\ufffdb".encode()


def test_what_is_json_is_there_as_text_too(log: SourceLog) -> None:
    log.put_keys(
        ("object", b'{"a": 1} '), ("text", b"abc"), ("empty", b""), ("cut", b'{"a'), ("number", b"7")
    )
    rows = filled(log.side(KEYS), log.version).rows(KEYS)
    assert {key: row["json"] for (key,), row in rows.items() if row["json"] is not None} == {
        "object": '{"a": 1} ',
        "number": "7",
    }


def test_of_a_value_that_is_too_large_the_size_is_there(
    log: SourceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LARGEST", 3 * MIB)
    log.put_key(b"fits", b"v" * 3 * MIB)
    log.put_key(b"large", b"v" * (3 * MIB + 1))
    tables = filled(log.side(KEYS), log.version)
    followed = MemoryTables()
    followed.create(log.side(KEYS).tables[0], iter(()))
    follow(log, followed)
    digest = blake2b(b"v" * (3 * MIB + 1), digest_size=8).hexdigest()
    for rows in (tables.rows(KEYS), followed.rows(KEYS)):
        large = {"key": "large", "value": None, "size": 3 * MIB + 1, "digest": digest, "json": None}
        assert rows["large",] == large
        assert len(rows["fits",]["value"]) == rows["fits",]["size"] == 3 * MIB
        assert rows["fits",]["digest"] is None
    here = BucketSide(log.version, KEYS, log.side(KEYS), tables)
    pair = Pair(DvidSide(log.client, log.version, KEYS), here, settled=True)
    assert find(VALUES, pair) == (None, 2)


def test_a_change_of_many_bytes_is_not_in_memory(log: SourceLog) -> None:
    tables = filled(log.side(KEYS), log.version)
    each = 12 * MIB
    for number in range(8):
        log.put_key(b"%d" % number, bytes([number]) * each)
    assert 8 * each > IN_MEMORY
    before = pa.total_allocated_bytes()
    change = log.side(KEYS).changes(log.new_events(), log.version, tables)[KEYS]
    assert pa.total_allocated_bytes() - before < each
    tables.commit(KEYS, change)
    assert {key: value[:1] for key, value in content(tables).items() if value} == {
        str(number): bytes([number]) for number in range(8)
    }


def test_many_keys_that_are_gone_are_looked_up_in_one_listing(log: SourceLog) -> None:
    log.put_keys(*((f"key {number}", b"v") for number in range(500)))
    log.new_events()
    tables = filled(log.side(KEYS), log.version)
    for number in range(300):
        log.delete_key(b"key %d" % number)
    log.put_keys(("key 7", b""), ("key 8", b""))
    follow(log, tables)
    assert sorted(content(tables)) == sorted(["key 7", "key 8", *(f"key {n}" for n in range(300, 500))])


def test_events_of_other_instances_are_none_of_its_business(log: SourceLog) -> None:
    tables = filled(log.side(KEYS), log.version)
    log.put_neuron(5, status="Traced")
    assert log.side(KEYS).changes(log.new_events(), log.version, tables) == {}


def test_a_child_goes_on_from_its_parent(log: SourceLog) -> None:
    log.put_keys(("a", b"1"), ("b", b"1"))
    tables = filled(log.side(KEYS), log.version)
    log.new_events()
    log.put_keys(("b", b"2"))
    log.new_version()
    log.put_keys(("c", b"3"))
    log.delete_key(b"a")
    follow(log, tables)
    assert content(tables) == {"b": b"2", "c": b"3"}


@pytest.mark.parametrize(
    "value",
    ["1e999", "9" * 5000, "[" * 5000 + "]" * 5000, '"\\ud800"', '{"a":1,"a":2}', f"{2**64}", " [1]\n", "-0"],
)
def test_json_is_kept_as_it_is(log: SourceLog, value: str) -> None:
    tables = filled(log.side(KEYS), log.version)
    log.put_keys(("a", value.encode()))
    follow(log, tables)
    (row,) = tables.rows(KEYS).values()
    assert (row["value"], row["json"]) == (value.encode(), value)


@pytest.mark.parametrize(
    "value", [b"NaN", b"[Infinity]", b"[" * 5000, b"{'a':1}", b'{"a":1,}', b"\xef\xbb\xbf1", b'"\xff"', b"01"]
)
def test_what_is_no_json_is_none(log: SourceLog, value: bytes) -> None:
    log.put_keys(("a", value))
    (row,) = filled(log.side(KEYS), log.version).rows(KEYS).values()
    assert (row["value"], row["json"]) == (value, None)
