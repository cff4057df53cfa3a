"""The `dvidsync` command: what it prints, what it leaves, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result
from kafka import KafkaProducer

from dvidsync_dagster.cli import main
from dvidsync_dagster.cli.exit_codes import CONFLICT, DONE, FAILED, LEFT_OUT, WRONG_CONFIGURATION
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration.checkpoint_file import read_checkpoint_file
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from tests.stage import INSTANCE, Stage, stage

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as servers:
        yield servers


def dvidsync(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def write(folder: Path, fields: dict[str, Any]) -> str:
    path = folder / "config.yaml"
    path.write_text(yaml.dump(fields))
    return str(path)


def follower(servers: Stage) -> Follower:
    config = servers.config()
    return destination_follower(config, config.destinations[0])


def checkpoint(servers: Stage, destination: str = "copy") -> Checkpoint | None:
    key = dg.AssetKey([servers.config().repo_name, destination])
    with dg.DagsterInstance.get() as instance:
        return CheckpointStore(instance, key).latest()


def run_states(servers: Stage) -> list[str]:
    """Of the destination's runs, the last one first."""
    with dg.DagsterInstance.get() as instance:
        return [run.status.value for run in instance.get_runs(dg.RunsFilter(job_name=follower(servers).job))]


def test_run_and_status(servers: Stage, tmp_path: Path) -> None:
    config = write(tmp_path, servers.fields())
    before = dvidsync("status", config)
    assert before.exit_code == DONE, before.output
    assert "checkpoint  none yet" in before.output
    servers.merge_next()
    done = dvidsync("run", config)
    assert done.exit_code == DONE, done.output
    assert "operations" in done.output
    assert "1 request\n" in done.output
    servers.assert_same()
    after = dvidsync("status", config)
    assert after.exit_code == DONE, after.output
    assert "epoch 1" in after.output
    assert "lag         none" in after.output
    assert f"dvidrepo-{servers.root}-repo-ops" in after.output


def test_windows(servers: Stage, tmp_path: Path) -> None:
    config = write(tmp_path, servers.fields())
    done = dvidsync("run", config, "--windows", "2026-01-01-00:00..2026-01-01-03:00")
    assert done.exit_code == DONE, done.output
    wrong = dvidsync("run", config, "--windows", "2026-01-01")
    assert wrong.exit_code == WRONG_CONFIGURATION
    assert "'2026-01-01' is no window" in wrong.output
    assert "Windows are hourly" in wrong.output
    assert dvidsync("run", config, "--windows", "2026-01-01-03:00..").exit_code == WRONG_CONFIGURATION


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chunk_records": 1}, "chunk_records: is 1"),
        ({"source": {"url": "http://127.0.0.1:1"}, "repo": "x"}, "repo: is not a root UUID"),
        ({"instances": ["nothing"]}, "nothing"),
        ({"branches": ["nothing"]}, "nothing"),
        ({"repo": "0" * 31 + "1"}, "repo: "),
    ],
)
def test_a_wrong_configuration(servers: Stage, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    wrong = dvidsync("run", write(tmp_path, {**servers.fields(), **changes}))
    assert wrong.exit_code == WRONG_CONFIGURATION, wrong.output
    assert words in wrong.output
    assert "Traceback" not in wrong.output


def test_a_file_that_is_not_there() -> None:
    wrong = dvidsync("run", "/nowhere/config.yaml")
    assert wrong.exit_code == WRONG_CONFIGURATION
    assert "cannot be read" in wrong.output


def test_an_unknown_destination(servers: Stage, tmp_path: Path) -> None:
    wrong = dvidsync("run", write(tmp_path, servers.fields()), "--destination", "other")
    assert wrong.exit_code == WRONG_CONFIGURATION
    assert "Known: copy" in wrong.output


@pytest.mark.parametrize("value", [None, "relative", "/nowhere"])
def test_without_a_dagster_home_it_says_what_to_do(
    servers: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("DAGSTER_HOME")
    else:
        monkeypatch.setenv("DAGSTER_HOME", value)
    wrong = dvidsync("run", write(tmp_path, servers.fields()))
    assert wrong.exit_code == WRONG_CONFIGURATION
    assert "export DAGSTER_HOME=" in wrong.output


def test_verbose_shows_where(servers: Stage, tmp_path: Path) -> None:
    wrong = dvidsync("run", write(tmp_path, {**servers.fields(), "chunk_records": 1}), "--verbose")
    assert "Traceback" in wrong.output


def test_the_json_of_2017_keeps_its_log_file(servers: Stage, tmp_path: Path) -> None:
    data_uuid = servers.data_uuid()
    first = {
        "source": servers.source.url.removeprefix("http://"),
        "destination": servers.destination.url.removeprefix("http://"),
        "repoinfo": {servers.root: {"branches": ["all"], "datauuids": [[INSTANCE, data_uuid]]}},
        "kafkaservers": [servers.broker.address],
        "log": "sync.log",
    }
    path = tmp_path / "old.json"
    path.write_text(json.dumps(first))
    done = dvidsync("run", str(path))
    assert done.exit_code == DONE, done.output
    kept = read_checkpoint_file(tmp_path / "sync.log", servers.root)
    assert kept is not None
    assert kept == checkpoint(servers, "destination")


def test_the_old_form_of_the_log_file_is_where_the_first_run_starts(servers: Stage, tmp_path: Path) -> None:
    topic = f"dvidrepo-{servers.root}-data-{servers.data_uuid()}"
    fields = servers.fields()
    fields["destinations"][0] |= {"start": "beginning", "checkpoint_file": str(tmp_path / "log")}
    (tmp_path / "log").write_text(json.dumps({topic: 10**6}))
    refused = dvidsync("run", write(tmp_path, fields))
    assert refused.exit_code == FAILED
    assert "offset 1000000 comes next after the checkpoint" in refused.output


def start(config: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from dvidsync_dagster.cli import main; main()", "run", config]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def wait_until_it_applies(process: subprocess.Popen[str], servers: Stage) -> None:
    """Waits until the destination holds up a merge. A run that ends before tells why."""
    while "POST merge" not in servers.destination.traffic()["requests"]:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read())
        time.sleep(0.05)


@pytest.fixture
def held_up(servers: Stage, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A `dvidsync run` that waits for the destination's answer to a merge."""
    servers.merge_next()
    servers.merge_next()
    servers.destination.ask_for_faults({"kind": "delay", "only": "/merge", "seconds": 600, "count": 9})
    servers.destination.traffic(begin_anew=True)
    process = start(write(tmp_path, servers.fields()))
    try:
        wait_until_it_applies(process, servers)
        yield process
    finally:
        process.kill()
        process.communicate()
        # What hangs in the server dies with it.
        servers.destination.kill()
        servers.destination.restart()


def test_a_killed_run_is_found_out_and_the_next_one_goes_on(
    servers: Stage, tmp_path: Path, held_up: subprocess.Popen[str]
) -> None:
    busy = dvidsync("run", write(tmp_path, servers.fields()))
    assert busy.exit_code == FAILED, busy.output
    assert "Wait for it" in busy.output
    looked = dvidsync("status", write(tmp_path, servers.fields()))
    assert re.search(r"  run         [0-9a-f-]{36} started", looked.output), looked.output
    held_up.kill()
    held_up.communicate()
    servers.destination.kill()
    servers.destination.restart()
    before = run_states(servers)
    looked = dvidsync("status", write(tmp_path, servers.fields()))
    assert re.search(r"  run         [0-9a-f-]{36} was killed; the next run", looked.output), looked.output
    assert run_states(servers) == before == ["STARTED"], "a look changes nothing"
    done = dvidsync("run", write(tmp_path, servers.fields()))
    assert done.exit_code == DONE, done.output
    servers.assert_same()
    with dg.DagsterInstance.get() as instance:
        assert run_states(servers) == ["SUCCESS", "FAILURE"]
        info = instance.event_log_storage.get_concurrency_info(follower(servers).pool)
        assert not info.claimed_slots
    reached = checkpoint(servers)
    assert reached is not None
    assert reached.epoch == 2


def test_a_terminated_run_ends_in_order(servers: Stage, held_up: subprocess.Popen[str]) -> None:
    held_up.send_signal(signal.SIGTERM)
    servers.destination.kill()
    servers.destination.restart()
    held_up.communicate()
    assert held_up.returncode == FAILED
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(job_name=follower(servers).job))
        assert run.status == dg.DagsterRunStatus.FAILURE


def test_what_is_skipped_or_quarantined_has_a_code_of_its_own(servers: Stage, tmp_path: Path) -> None:
    """The copy has an edit of its own, so that it cannot take one of the source's."""
    assert dvidsync("run", write(tmp_path, servers.fields())).exit_code == DONE
    servers.merge(61, 62, server=servers.destination)
    servers.merge(62, 63)
    stopped = dvidsync("run", write(tmp_path, servers.fields()))
    assert stopped.exit_code == CONFLICT
    assert "on_conflict: skip" in stopped.output
    fields = servers.fields()
    fields["destinations"][0]["on_conflict"] = "skip"
    skipped = dvidsync("run", write(tmp_path, fields))
    assert skipped.exit_code == LEFT_OUT, skipped.output
    assert "LEFT OUT: 1 operation skipped, 0 records quarantined" in skipped.output

    producer = KafkaProducer(bootstrap_servers=servers.broker.address, batch_size=0)
    topic = f"dvidrepo-{servers.root}-data-{servers.data_uuid()}"
    producer.send(topic, key=str(time.time_ns()).encode(), value=b"no JSON").get()
    producer.close()
    stopped = dvidsync("run", write(tmp_path, fields))
    assert stopped.exit_code == FAILED
    assert "on_undecodable: quarantine" in stopped.output
    quarantined = dvidsync("run", write(tmp_path, {**fields, "on_undecodable": "quarantine"}))
    assert quarantined.exit_code == LEFT_OUT, quarantined.output
    assert "0 operations skipped, 1 record quarantined" in quarantined.output
    assert dvidsync("run", write(tmp_path, fields)).exit_code == DONE
