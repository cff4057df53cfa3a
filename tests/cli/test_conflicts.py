"""`dvidsync conflicts list`, and the same table in Dagster: over runs, processes and destinations."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pandas as pd
import pytest

from dvid_sandbox.launcher import SandboxServer
from dvidsync_dagster.cli.exit_codes import CONFLICT, DONE, LEFT_OUT, WRONG_CONFIGURATION
from dvidsync_dagster.orchestration.conflict_asset import CLOSED, OPEN, REPLACED, TABLE
from dvidsync_dagster.orchestration.names import conflicts_key, destination_key
from dvidsync_dagster.run.listed_conflict import COLUMNS
from tests.cli.test_cli import dvidsync, write
from tests.stage import INSTANCE, Stage, stage

pytestmark = pytest.mark.usefixtures("home")

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path / "stage") as servers:
        yield servers


def fields_of(servers: Stage, on_conflict: str) -> dict[str, Any]:
    """The table is where it is by default."""
    fields = servers.fields()
    del fields["quarantine"]
    fields["destinations"][0]["on_conflict"] = on_conflict
    return fields


def rows(config: str, *arguments: str) -> list[dict[str, Any]]:
    listed = dvidsync("conflicts", "list", config, "--format", "json", *arguments)
    assert listed.exit_code == DONE, listed.output
    found = json.loads(listed.output)
    assert isinstance(found, list)
    return found


def shown(servers: Stage) -> dict[str, dg.MetadataValue]:
    """The metadata of the newest materialization of the table's asset; none without one."""
    config = servers.config()
    key = conflicts_key(destination_key(config, config.destinations[0]))
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(key)
    if event is None:
        return {}
    assert event.asset_materialization is not None
    return dict(event.asset_materialization.metadata)


def times_shown(servers: Stage) -> int:
    config = servers.config()
    key = conflicts_key(destination_key(config, config.destinations[0]))
    with dg.DagsterInstance.get() as instance:
        return len(instance.fetch_materializations(key, limit=10).records)


def counts(servers: Stage) -> tuple[object, object]:
    metadata = shown(servers)
    return (metadata[OPEN].value, metadata[CLOSED].value) if metadata else (0, 0)


def test_two_runs_and_what_depends_on_the_first(servers: Stage, tmp_path: Path) -> None:
    config = write(tmp_path, fields_of(servers, "skip"))
    assert dvidsync("run", config).exit_code == DONE
    assert rows(config) == []
    assert shown(servers) == {}
    servers.merge(1, 10, server=servers.destination)
    servers.merge(11, 10)
    done = dvidsync("run", config)
    assert done.exit_code == LEFT_OUT
    assert "`dvidsync conflicts list`" in done.output
    (first,) = rows(config)
    servers.merge(12, 11)
    servers.merge(12, 13)
    servers.merge(20, 21)
    assert dvidsync("run", config).exit_code == LEFT_OUT
    found = rows(config)
    assert found[0] == first
    assert [(row["state"], row["items"], row["operation"]) for row in found] == [
        ("open", ["11", "10"], "merge"),
        ("open", ["12", "11"], "merge"),
        ("open", ["12", "13"], "merge"),
    ]
    assert {(row["user"], row["instance"], row["version"]) for row in found} == {
        ("amy", INSTANCE, servers.root)
    }
    assert [row["depends_on"] for row in found] == ["", found[0]["record"], found[1]["record"]]
    assert dvidsync("run", config).exit_code == DONE
    assert rows(config) == found
    assert counts(servers) == (3, 0)
    assert "conflicts   3 open, 0 closed" in dvidsync("status", config).output


def test_a_run_that_stops_is_in_it_until_that_is_resolved(servers: Stage, tmp_path: Path) -> None:
    config = write(tmp_path, fields_of(servers, "stop"))
    assert dvidsync("run", config).exit_code == DONE
    servers.merge(1, 10, server=servers.destination)
    servers.merge(11, 10)
    servers.merge(30, 31)
    assert dvidsync("run", config).exit_code == CONFLICT
    stopped = rows(config, "--open")
    assert [(row["items"], row["stops_runs"]) for row in stopped] == [(["11", "10"], True)]
    assert counts(servers) == (1, 0)
    before = times_shown(servers)
    assert dvidsync("run", config).exit_code == CONFLICT
    assert rows(config) == stopped
    assert times_shown(servers) == before == 1
    assert "stops runs  merge " in dvidsync("conflicts", "list", config).output

    # Left out from now on: it is the same row.
    assert dvidsync("run", write(tmp_path, fields_of(servers, "skip"))).exit_code == LEFT_OUT
    (row,) = rows(config)
    assert (row["stops_runs"], row["listed"]) == (False, stopped[0]["listed"])


def test_what_people_undo_at_the_destination_is_applied_and_closed(servers: Stage, tmp_path: Path) -> None:
    config = write(tmp_path, fields_of(servers, "stop"))
    assert dvidsync("run", config).exit_code == DONE
    node = f"{servers.destination.url}/api/node/{servers.root}/{INSTANCE}"
    httpx.post(f"{node}/renumber?u=trainee", json=[100, 10]).raise_for_status()
    servers.merge(11, 10)
    assert dvidsync("run", config).exit_code == CONFLICT
    httpx.post(f"{node}/renumber?u=trainee", json=[10, 100]).raise_for_status()
    assert dvidsync("run", config).exit_code == DONE
    servers.assert_same()
    assert rows(config, "--open") == []
    (row,) = rows(config, "--closed")
    assert row["closed_by"] == "applied"
    assert row["closed"] >= row["listed"]
    assert counts(servers) == (0, 1)


def test_each_destination_has_its_own_and_each_form_holds_them_all(servers: Stage, tmp_path: Path) -> None:
    fields = fields_of(servers, "skip")
    config = write(tmp_path, fields)
    assert dvidsync("run", config).exit_code == DONE
    servers.destination.stop()
    folder = servers.destination.copy_to(tmp_path / "other")
    servers.destination.restart()
    with SandboxServer.start(folder) as other:
        second = fields["destinations"][0] | {"name": "other", "url": other.url}
        config = write(tmp_path, {**fields, "destinations": [*fields["destinations"], second]})
        servers.merge(1, 10, server=servers.destination)
        servers.merge(2, 20, server=other)
        servers.merge(11, 10)
        servers.merge(21, 20)
        assert dvidsync("run", config).exit_code == LEFT_OUT
    found = {row["destination"].rpartition("/")[2]: row["items"] for row in rows(config)}
    assert found == {"copy": ["11", "10"], "other": ["21", "20"]}
    assert [row["items"] for row in rows(config, "--destination", "other")] == [["21", "20"]]
    table = csv.DictReader(io.StringIO(dvidsync("conflicts", "list", config, "--format", "csv").output))
    assert table.fieldnames == ["destination", *COLUMNS]
    assert [(row["items"], row["state"], row["closed"]) for row in table] == [
        ("11 10", "open", ""),
        ("21 20", "open", ""),
    ]
    text = dvidsync("conflicts", "list", config, "--open").output
    assert "/copy: 1 open, 0 closed, in " in text
    assert "of          21, 20" in text
    assert dvidsync("conflicts", "list", config, "--destination", "none").exit_code == WRONG_CONFIGURATION


def test_a_run_that_was_killed_before_its_checkpoint_lists_nothing_twice(
    servers: Stage, tmp_path: Path
) -> None:
    fields = fields_of(servers, "skip")
    config = write(tmp_path, fields)
    servers.merge(1, 10, server=servers.destination)
    servers.merge(11, 10)
    servers.merge(12, 11)
    command = [sys.executable, "-m", "tests.run.killed_child", json.dumps(fields)]
    assert subprocess.run(command, cwd=CHECKOUT, check=False).returncode == -signal.SIGKILL
    listed = rows(config)
    assert len(listed) == 2
    assert shown(servers) == {}
    assert dvidsync("run", config).exit_code == LEFT_OUT
    # Why can be another reason now: as it is met for the first time again, its own merge is not seen as such.
    assert [(row["record"], row["listed"], row["state"]) for row in rows(config)] == [
        (row["record"], row["listed"], "open") for row in listed
    ]
    assert counts(servers) == (2, 0)
    metadata = shown(servers)[TABLE]
    assert isinstance(metadata, dg.TableMetadataValue)
    assert [record.data["items"] for record in metadata.records] == ["11, 10", "12, 11"]


def test_what_was_replaced_and_may_be_peoples_is_told_in_each_place(servers: Stage, tmp_path: Path) -> None:
    config = write(tmp_path, fields_of(servers, "skip"))
    # Changed twice: the copy can have the first value of the source's.
    by_source = [(servers.source, b"theirs"), (servers.source, b"theirs too")]
    for server, value in ((servers.destination, b"mine"), *by_source):
        url = f"{server.url}/api/node/{servers.root}/segmentation_annotations/key/a"
        httpx.post(url, content=value).raise_for_status()
    done = dvidsync("run", config)
    assert done.exit_code == DONE
    assert "values from before the first run, perhaps people's" in done.output
    line = "replaced    1 value from before the first run"
    assert line in dvidsync("conflicts", "list", config).output
    assert line in dvidsync("status", config).output
    told = str(shown(servers)[REPLACED].value)
    assert told.startswith("1 value from before")
    folder = Path(told.rpartition(" kept in ")[2])
    (row,) = pd.read_parquet(folder).to_dict("records")
    del row["replaced"]
    assert row == {
        "version": servers.root,
        "instance": "segmentation_annotations",
        "item": "a",
        "value": b"mine",
    }
