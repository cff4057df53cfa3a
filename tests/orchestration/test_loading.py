"""What takes long to load is loaded by the runs that use it alone: a run starts a process each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.stage import Stage

ARRAYS = {"numpy", "pandas", "pyarrow"}
TABLES = {"deltalake", "duckdb", "obstore", "polars"}
ROOMS = {f"dvidsync_dagster.{room}" for room in ("compare", "repair", "practice", "snapshot.store")}

_LOADS = """
from dvidsync_dagster.definitions import defs
defs().resolve_all_asset_specs()
"""
_RUNS = """
import sys
from dvidsync_dagster.cli import main
main(["run", sys.argv[1], "--destination", sys.argv[2]], standalone_mode=False)
"""
_KEEPS_DIGESTS = """
import sys
from dvidsync_dagster.log.digests import Met
from dvidsync_dagster.log.folder import Folder
from dvidsync_dagster.log.kept_digests import Digests
kept = Digests(Folder(sys.argv[1], "quarantine"), "name")
kept.begin_anew([Met(("v", "keys"), {1: 2})], lambda: 1)
kept.begin("v", "keys", {1: (2, 3)})
kept.keep()
again = Digests(Folder(sys.argv[1], "quarantine"), "name")
again.read()
assert again.get("v", "keys", 1) == (2, 3)
"""
_TELLS = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))  # `dvidsync run` ends its process itself
"""


def modules_after(program: str, *arguments: str, environment: Mapping[str, str]) -> set[str]:
    """The modules that a process has loaded when it is through."""
    done = subprocess.run(
        [sys.executable, "-c", f"{_TELLS}{program}", *arguments],
        check=True,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def configured(servers: Stage, folder: Path, **changes: Any) -> dict[str, str]:
    """The environment of a process that loads a configuration with a server and a bucket."""
    fields = servers.fields()
    snapshot = {"name": "cloud", "bucket": str(folder / "bucket")}
    fields = {**fields, "destinations": [*fields["destinations"], snapshot], **changes}
    config, home = folder / "config.yaml", folder / "home"
    config.write_text(yaml.safe_dump(fields))
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return {"DVIDSYNC_CONFIG": str(config), "DAGSTER_HOME": str(home)}


def test_definitions_load_without_what_only_runs_use(servers: Stage, tmp_path: Path) -> None:
    environment = configured(servers, tmp_path, archive=str(tmp_path / "archive"))
    found = modules_after(_LOADS, environment=environment)
    assert "dvidsync_dagster.orchestration.ticks" in found
    assert found & (ARRAYS | TABLES | ROOMS) == set()


def test_a_run_to_a_server_with_nothing_new_needs_no_arrays(servers: Stage, tmp_path: Path) -> None:
    servers.merge_next()
    environment = configured(servers, tmp_path)
    config = environment["DVIDSYNC_CONFIG"]
    modules_after(_RUNS, config, "copy", environment=environment)
    found = modules_after(_RUNS, config, "copy", environment=environment)
    assert "dvidsync_dagster.run.follow" in found
    assert found & (ARRAYS | TABLES | ROOMS) == set()


def test_a_run_to_a_bucket_needs_nothing_of_servers_that_follow(servers: Stage, tmp_path: Path) -> None:
    environment = configured(servers, tmp_path)
    found = modules_after(_RUNS, environment["DVIDSYNC_CONFIG"], "cloud", environment=environment)
    assert "dvidsync_dagster.destinations.bucket.destination" in found
    assert [name for name in found if name.startswith("dvidsync_dagster.destinations.dvid_server")] == []
    assert "dvidsync_dagster.datatypes.keyvalue.writer" not in found


def test_a_run_that_brings_nothing_but_merges_needs_no_arrays(servers: Stage, tmp_path: Path) -> None:
    servers.merge_next()
    environment = configured(servers, tmp_path)
    config = environment["DVIDSYNC_CONFIG"]
    modules_after(_RUNS, config, "copy", environment=environment)
    servers.merge_next()
    found = modules_after(_RUNS, config, "copy", environment=environment)
    assert found & (ARRAYS | TABLES | ROOMS) == set()
    servers.assert_same()


def test_the_archive_is_written_without_pandas(servers: Stage, tmp_path: Path) -> None:
    servers.merge_next()
    environment = configured(servers, tmp_path, archive=str(tmp_path / "archive"))
    found = modules_after(_RUNS, environment["DVIDSYNC_CONFIG"], "mutation_log", environment=environment)
    assert list((tmp_path / "archive").glob("*.parquet"))
    assert "pyarrow.parquet" in found
    assert found & (TABLES | {"pandas", "pyarrow.compute"}) == set()


def test_digests_of_values_are_kept_without_pandas(tmp_path: Path) -> None:
    found = modules_after(_KEEPS_DIGESTS, str(tmp_path), environment={})
    assert "pyarrow.parquet" in found
    assert found & (TABLES | {"pandas", "pyarrow.compute"}) == set()
