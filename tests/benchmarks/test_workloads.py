"""Each workload works, takes as few requests and writes as little as it should. Clocks are not looked at.

`labels` and `open` are what `values` and `agglomeration` are, with other operations.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.backlog import BODIES, backlog
from benchmarks.compare import DIFFERING, compare
from benchmarks.drain import READS, drain
from benchmarks.people import NEURONS
from benchmarks.race import NAIVE
from benchmarks.result import Result
from benchmarks.setting import Setting
from benchmarks.snapshot import DOWNLOAD, DUMP, FIRST, REFRESH, SOME, first, refresh, tables
from benchmarks.tick import BARE, started
from benchmarks.workloads import SIZES, VERSIONS, WORKLOADS, agglomerated, values


def requests(result: Result, way: str) -> int:
    found = result.way(way).requests
    assert found is not None
    return found


def test_values_beside_label_operations(setting: Setting, said: list[str]) -> None:
    result = values(setting, 100)
    assert requests(result, NAIVE) == 100 + 2 * VERSIONS
    assert requests(result, "replay") < 100
    # Of each version: bodies in bulk, a batch of keys, of neurons, of elements, the commit and the next one.
    assert requests(result, "state") <= 10 * VERSIONS
    assert said[-1] == "state, 1 of 1"


def test_an_agglomeration_takes_a_request_for_each_body_at_most(setting: Setting) -> None:
    result = agglomerated(setting, 300)
    assert requests(result, NAIVE) == 300
    assert requests(result, "replay") <= NEURONS
    assert requests(result, "state") <= 5


def test_a_backlog_takes_a_request_for_each_body_at_most(setting: Setting) -> None:
    result = backlog(setting, 520)
    assert requests(result, NAIVE) == 520
    assert requests(result, "replay") <= BODIES
    assert result.way("replay").told["records"] == 1_040


def test_a_drain_reads_all(setting: Setting) -> None:
    result = drain(setting, 2_000)
    assert [way.name for way in result.ways] == list(READS)
    assert result.times_as_fast(result.ways[0]) == 1


def test_a_run_writes_little_but_the_tables_in_which_rows_change(setting: Setting) -> None:
    told = tables(setting, 200_000).way(SOME).told
    assert 1 < told["kB edits"] < 50
    assert told["kB rest"] < 100
    assert told["kB anew"] < 3_000
    assert told["files"] < 20


def test_snapshots_of_a_server_that_is_kept(setting: Setting, tmp_path: Path, said: list[str]) -> None:
    settings = [replace(setting, folder=tmp_path / name, kept=tmp_path / "kept") for name in "ab"]
    result = first(settings[0], 5_000)
    assert [way.name for way in result.ways] == [DOWNLOAD, FIRST]
    assert said.pop(0) == "the server is filled"
    result = refresh(settings[1], 5_000)
    assert [way.name for way in result.ways] == [DUMP, REFRESH]
    assert 0 < result.way(REFRESH).told["kB edits"] < 20
    assert "the server is filled" not in said


def test_a_comparison_beside_the_download(setting: Setting) -> None:
    result = compare(setting, 500)
    assert result.ways[0].name == DOWNLOAD
    assert result.way(DIFFERING).told["different"] == 499


def test_a_run_with_nothing_new_is_started_as_a_process(setting: Setting) -> None:
    with started(setting, 100) as starts:
        assert list(starts) == [BARE, "server", "snapshot"]
        assert starts["server"]().seconds > 0


def test_each_size_measures_something() -> None:
    for size in SIZES:
        for workload in WORKLOADS.values():
            amounts = workload.sizes(size)
            assert amounts == sorted(amounts)
            assert amounts or workload.only_large
