"""`dvidsync quarantine`: list, show, skip, retry and drop, from the command line and as a job."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from kafka import KafkaProducer

from dvid_sandbox.messages import published
from dvidsync_dagster.cli.exit_codes import DONE, FAILED, LEFT_OUT, WRONG_CONFIGURATION
from dvidsync_dagster.log.quarantine import Quarantine
from dvidsync_dagster.log.record import Record
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.followers import destination_follower
from dvidsync_dagster.orchestration.quarantine_job import QUARANTINE_OP
from dvidsync_dagster.orchestration.ticks import next_run_tags
from tests.cli.test_cli import dvidsync, write
from tests.forging import now, publish, topic_of
from tests.stage import INSTANCE, Stage, stage

pytestmark = pytest.mark.usefixtures("home")

KEYS = "segmentation_annotations"
LATER = "5" * 32


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path / "stage") as servers:
        yield servers


def forge(servers: Stage, instance: str | None, value: bytes) -> str:
    place = publish(
        servers.broker.address,
        servers.source.topic_prefix,
        servers.source.url,
        servers.root,
        instance,
        value,
        key=now(),
        headers=[("who", b"\x1b[31mme")],
    )
    return "/".join(map(str, place))


def at_home(servers: Stage) -> dict[str, Any]:
    """The quarantine is where it is by default."""
    fields = servers.fields()
    del fields["quarantine"]
    return fields


def states(config: str) -> dict[str, str]:
    listed = dvidsync("quarantine", "list", config, "--json")
    assert listed.exit_code == DONE, listed.output
    return {row["record"]: row["state"] for rows in json.loads(listed.output).values() for row in rows}


def test_a_record_is_looked_at_and_let_pass(servers: Stage, tmp_path: Path, home: Path) -> None:
    """One record that stopped everything."""
    config = write(tmp_path, at_home(servers))
    first = forge(servers, INSTANCE, b"no \x1b[31mJSON\n\xff")
    second = forge(servers, INSTANCE, b"[]")
    servers.merge_next()
    stopped = dvidsync("run", config)
    assert stopped.exit_code == FAILED
    assert f"dvidsync quarantine show {first}" in stopped.output
    assert (home / "quarantine" / servers.root / "copy").is_dir()
    assert states(config) == {first: "stopped", second: "stopped"}
    shown = dvidsync("quarantine", "show", first, config, "--save", str(tmp_path / "value"))
    assert r"no \x1b[31mJSON\n\xff" in shown.output
    assert r"who: 7 bytes: \x1b[31mme" in shown.output
    assert (tmp_path / "value").read_bytes() == b"no \x1b[31mJSON\n\xff"
    assert dvidsync("quarantine", "skip", first, config).exit_code == DONE
    stopped = dvidsync("run", config)
    assert stopped.exit_code == FAILED
    assert f"skip {second}" in stopped.output
    dvidsync("quarantine", "skip", second, config)
    passed = dvidsync("run", config)
    assert passed.exit_code == LEFT_OUT, passed.output
    assert "`dvidsync quarantine list`" in passed.output
    servers.assert_same()
    assert states(config) == {first: "skipped", second: "skipped"}
    assert dvidsync("run", config).exit_code == DONE
    assert dvidsync("quarantine", "drop", first, second, config).exit_code == DONE
    assert states(config) == {}


@pytest.mark.parametrize("record", ["topic/0/1", "nonsense", "topic/0/-1", "t/0/\u0661"])
def test_a_record_that_is_not_kept(servers: Stage, tmp_path: Path, record: str) -> None:
    config = write(tmp_path, servers.fields())
    for command in ("show", "skip", "drop"):
        wrong = dvidsync("quarantine", command, record, config)
        assert wrong.exit_code == WRONG_CONFIGURATION, wrong.output
        assert record in wrong.output


def test_each_destination_has_its_own(servers: Stage, tmp_path: Path) -> None:
    fields = servers.fields()
    fields["destinations"].append({"name": "other", "url": "http://127.0.0.1:9", "start": "beginning"})
    config = write(tmp_path, {**fields, "on_undecodable": "quarantine"})
    record = forge(servers, INSTANCE, b"no JSON")
    assert dvidsync("run", config, "--destination", "copy").exit_code == LEFT_OUT
    listed = dvidsync("quarantine", "list", config)
    assert re.search(r"/copy: 1 record in .*/copy\n.*/other: 0 records", listed.output, re.S), listed.output
    assert dvidsync("quarantine", "drop", record, config, "--destination", "other").exit_code != DONE
    assert dvidsync("quarantine", "drop", record, config).exit_code == DONE


def test_what_can_be_decoded_by_now_is_applied(servers: Stage, tmp_path: Path) -> None:
    """A version that the source has later on; a body that has changed since is left alone."""
    fields = {**servers.fields(), "on_undecodable": "quarantine"}
    config = write(tmp_path, fields)
    root, url = servers.root, servers.source.url
    key = forge(
        servers, KEYS, json.dumps({"Action": "postkv", "UUID": LATER, "Key": "k", "Bytes": 1}).encode()
    )
    merge = {"Action": "merge-complete", "UUID": LATER, "MutationID": 7, "Target": 5, "Labels": [6]}
    body = forge(servers, INSTANCE, json.dumps(merge).encode())
    never = forge(servers, INSTANCE, b"no JSON")
    assert dvidsync("run", config).exit_code == LEFT_OUT
    httpx.post(f"{url}/api/node/{root}/commit?u=amy", json={"note": ""}).raise_for_status()
    new = {"note": "", "uuid": LATER}
    httpx.post(f"{url}/api/node/{root}/newversion?u=amy", json=new).raise_for_status()
    httpx.post(f"{url}/api/node/{LATER}/{KEYS}/key/k?u=amy", content=b"v").raise_for_status()
    assert dvidsync("run", config).exit_code == DONE
    httpx.delete(f"{servers.destination.url}/api/node/{LATER}/{KEYS}/key/k?u=amy").raise_for_status()
    retried = dvidsync("quarantine", "retry", config)
    assert retried.exit_code == LEFT_OUT, retried.output
    assert "1 record applied, 2 left" in retried.output
    assert f"{body}: its bodies have changed" in retried.output
    assert f"{never}: no JSON" in retried.output
    assert states(config) == {key: "applied", body: "quarantined", never: "quarantined"}
    copied = httpx.get(f"{servers.destination.url}/api/node/{LATER}/{KEYS}/key/k")
    assert copied.content == b"v"
    again = dvidsync("quarantine", "retry", config, "--record", key)
    assert again.exit_code == DONE, again.output
    assert dvidsync("run", config).exit_code == DONE


def test_an_operation_on_bodies_that_nobody_touched_since(servers: Stage, tmp_path: Path) -> None:
    only_keys = write(tmp_path, {**servers.fields(), "instances": [KEYS]})
    servers.merge(1, 2)
    servers.merge(3, 4)
    servers.merge(5, 6)
    servers.merge(5, 7)
    assert dvidsync("run", only_keys).exit_code == DONE
    assert servers.bodies(servers.destination)[2] == 2
    kept = Quarantine(servers.fields()["quarantine"], servers.root, "copy")
    for record in published(servers.broker.address, servers.source.topic_prefix, 1000):
        value = json.loads(record["value"])
        if value["Action"] == "merge-complete" and value["Target"] != 3:
            content = record["value"].encode()
            kept_record = Record(int(record["key"]), record["topic"], 0, value["MutationID"], content)
            kept.keep([(kept_record, "of another kind")], "quarantined")
    config = write(tmp_path, servers.fields())
    retried = dvidsync("quarantine", "retry", config)
    assert retried.exit_code == LEFT_OUT, retried.output
    assert "2 records applied, 1 left" in retried.output
    bodies = servers.bodies(servers.destination)
    assert [bodies[label] for label in (2, 4, 6, 7)] == [1, 4, 6, 5]


def test_the_job(servers: Stage) -> None:
    config = servers.config(on_undecodable="stop")
    first, second = forge(servers, INSTANCE, b"no JSON <b>"), forge(servers, KEYS, b"no JSON")
    jobs = build_definitions(config)
    name = f"{config.repo_name}_copy"

    def run(**settings: Any) -> list[dict[str, Any]]:
        with dg.DagsterInstance.get() as instance:
            result = jobs.resolve_job_def(f"quarantine_{name}").execute_in_process(
                instance=instance, run_config={"ops": {QUARANTINE_OP: {"config": settings}}}
            )
        (output,) = [
            event.step_output_data.metadata for event in result.all_events if event.is_successful_output
        ]
        kept = output["dvidsync/kept_table"]
        assert isinstance(kept, dg.TableMetadataValue)
        return [dict(row.data) for row in kept.records]

    assert run() == []
    with dg.DagsterInstance.get() as instance:
        each = destination_follower(config, config.destinations[0])
        followed = jobs.resolve_job_def(each.job).execute_in_process(
            instance=instance, tags=next_run_tags(instance, each), raise_on_error=False
        )
        assert not followed.success
    assert {row["record"]: row["state"] for row in run()} == {first: "stopped", second: "stopped"}
    assert {row["record"]: row["state"] for row in run(action="skip", records=[first])} == {
        first: "skipped",
        second: "stopped",
    }
    assert [row["found"][:7] for row in run(action="retry")] == ["the des", "runs st"]
    assert [row["record"] for row in run(action="drop", records=[second])] == [first]


def test_a_flood_stays_out_of_the_event_log_and_of_memory(servers: Stage, tmp_path: Path, home: Path) -> None:
    """20 MB of it were 191 MB in the event log, and 632 MB of memory."""
    config = write(tmp_path, {**at_home(servers), "on_undecodable": "quarantine", "chunk_records": 20_000})
    flood(servers, 10_000)
    before = size(home) - size(home / "quarantine")
    done = dvidsync("run", config)
    assert done.exit_code == LEFT_OUT, done.output
    told = re.search(r"([\d,]+) records? quarantined", done.output)
    assert told, done.output
    quarantined = int(told[1].replace(",", ""))
    assert quarantined > 9_900, "the embedded broker counts some batches short"
    assert size(home) - size(home / "quarantine") - before < 5_000_000
    assert len(done.output) < 5_000
    started = time.monotonic()
    assert len(states(config)) == quarantined
    assert time.monotonic() - started < 20


def flood(servers: Stage, count: int) -> None:
    topic = topic_of(servers.source.topic_prefix, servers.source.url, servers.root, INSTANCE)
    producer = KafkaProducer(bootstrap_servers=servers.broker.address, linger_ms=20)
    before = time.time_ns() - 10 * 10**9
    for number in range(count):
        producer.send(topic, key=b"%d" % (before + number), value=b"x" * 1000)
    producer.flush()
    producer.close()


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
