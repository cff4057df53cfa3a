"""What is kept of the values that runs brought is found again, whenever a run ends."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import LogError
from dvidsync_dagster.log.digests import NOTHING, Met, digests_of, last_digests_of
from dvidsync_dagster.log.kept_digests import MAX_FILES, Digests


@pytest.fixture
def config(tmp_path: Path) -> SyncConfig:
    return SyncConfig.model_validate(
        {
            "source": {"url": "http://source:8000"},
            "repo": "a" * 32,
            "destinations": [{"name": "copy", "url": "http://copy:8000"}],
            "quarantine": str(tmp_path / "quarantine"),
        }
    )


def opened(config: SyncConfig, name: str = "") -> Digests:
    return digests_of(config, "copy", name)


def begun(config: SyncConfig) -> Digests:
    digests = opened(config)
    assert digests.is_new
    digests.begin_anew([Met(("v", "kv"), {1: 10, 2: 20}, {2: 21, 4: 41})], lambda: 1000)
    return digests


def test_all_that_a_destination_had_is_known(config: SyncConfig) -> None:
    for digests in (known := begun(config), opened(config, known.name)):
        assert not digests.is_new
        found = [digests.get("v", "kv", item) for item in (1, 2, 3)]
        assert found == [(10,), (20,), (NOTHING,)]
        assert digests.get("v", "other", 1) is None
        assert digests.get("w", "kv", 1) is None
        assert not digests.was_made("w")


def test_what_an_older_dvidsync_kept_is_read(config: SyncConfig) -> None:
    """It wrote names as plain texts, and one column less."""
    first = begun(config)
    first.begin("v", "kv", {2: (20, 21)})
    first.keep()
    [folder] = {path.parent for path in Path(str(config.quarantine)).rglob("*.digests")}
    for path in folder.iterdir():
        table = pq.read_table(path)
        names = [(name, pa.string()) for name in ("version", "instance")]
        numbers = [(name, pa.uint64()) for name in ("item", "now", "before")]
        older = pa.schema([*names, *numbers])
        pq.write_table(table.select(older.names).cast(older), path)
    digests = opened(config, first.name)
    assert [digests.get("v", "kv", item) for item in (1, 2, 3)] == [(10,), (20, 21), (NOTHING,)]


def test_what_the_source_had_then_counts_for_what_it_changes_later(config: SyncConfig) -> None:
    known = begun(config)
    for digests in (known, opened(config, known.name)):
        found = [digests.get("v", "kv", item, 1000) for item in (1, 2, 3, 4)]
        assert found == [(10,), (20,), (NOTHING,), (NOTHING,)]
        found = [digests.get("v", "kv", item, 1001) for item in (1, 2, 3, 4)]
        assert found == [(10,), (21,), (NOTHING,), (41,)]
    known.begin("v", "kv", {2: (20, 22)})
    for digests in (known, opened(config, known.name)):
        assert digests.get("v", "kv", 2, 1001) == (20, 22)
    known.done("v", "kv", {2: 22, 4: 42})
    known.keep()
    for digests in (known, opened(config, known.name)):
        found = [digests.get("v", "kv", item, 1001) for item in (1, 2, 4)]
        assert found == [(10,), (22,), (42,)]


def test_another_name_begins_anew(config: SyncConfig) -> None:
    first = begun(config)
    second = opened(config, "0123456789abcdef")
    assert second.is_new
    second.begin_anew([], lambda: 1000)
    assert opened(config, first.name).is_new
    last = last_digests_of(config, "copy")
    assert last is not None
    assert last.name == second.name


def test_what_was_begun_may_be_done_or_not(config: SyncConfig) -> None:
    known = begun(config)
    known.begin("v", "kv", {1: (10, 11), 3: (NOTHING, 30)})
    killed = opened(config, known.name)
    assert [killed.get("v", "kv", item) for item in (1, 2, 3)] == [(10, 11), (20,), (NOTHING, 30)]
    known.done("v", "kv", {1: 11})
    known.keep()
    after = opened(config, known.name)
    assert [after.get("v", "kv", item) for item in (1, 2, 3)] == [(11,), (20,), (NOTHING, 30)]


def test_of_what_is_made_it_is_known_that_it_had_nothing(config: SyncConfig) -> None:
    known = begun(config)
    known.make(("w", ""))
    known.make(("", "new"))
    for digests in (known, opened(config, known.name)):
        assert digests.was_made("w")
        assert digests.get("w", "new", 1) is None
        assert digests.get("v", "new", 1) == (NOTHING,)


def test_versions_that_are_dropped_are_forgotten(config: SyncConfig) -> None:
    known = begun(config)
    known.make(("w", ""))
    known.done("w", "kv", {1: 5})
    known.drop({"v"})
    known.keep()
    for digests in (known, opened(config, known.name)):
        assert digests.get("v", "kv", 1) is None
        assert digests.get("w", "kv", 1) == (5,)
        assert digests.was_made("w")


def test_a_store_that_cannot_be_read_is_told(config: SyncConfig, tmp_path: Path) -> None:
    known = begun(config)
    (file,) = (tmp_path / "quarantine").rglob("*.digests")
    file.write_bytes(b"no parquet")
    with pytest.raises(LogError, match="cannot be read"):
        opened(config, known.name)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_it_is_the_same_when_it_is_read_again(
    config: SyncConfig, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    digests = begun(config)
    expected: dict[tuple[str, int], tuple[int, ...]] = {("v", 1): (10,), ("v", 2): (21,), ("v", 4): (41,)}
    for _ in range(400):
        version, item, now = random.choice("vw"), random.randint(1, 6), random.getrandbits(64)
        roll = random.random()
        if roll < 0.4:
            before = random.getrandbits(64)
            digests.begin(version, "kv", {item: (before, now)})
            expected[version, item] = (before, now)
        elif roll < 0.7:
            digests.begin(version, "kv", {item: (1, now)})
            digests.done(version, "kv", {item: now})
            digests.keep()
            expected[version, item] = (now,)
        elif roll < 0.75:
            digests = opened(config, digests.name)
        for (each, number), known in expected.items():
            assert digests.get(each, "kv", number, 1001) == known
    assert len(list((tmp_path / "quarantine").rglob("*.digests"))) <= 2 * MAX_FILES
