"""`dvidsync verify` and `dvidsync repair`: what they print, what they leave, how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner, Result

from dvidsync_dagster.cli import main
from dvidsync_dagster.cli.exit_codes import DIFFERENT, DONE, FAILED, OUTAGE, WRONG_CONFIGURATION
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.comparing import copies_agree_key
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from tests.two_servers import KEYS, TOKEN_ENV, TwoServers, two_sandboxes

ABSENT = "a" * 32


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoServers]:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with two_sandboxes(tmp_path) as servers:
        monkeypatch.setenv(TOKEN_ENV, servers.destination.server.admin_token)
        yield servers


@pytest.fixture
def config(servers: TwoServers, tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump(servers.config().model_dump(mode="json", exclude_unset=True)))
    return str(path)


def dvidsync(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def as_json(result: Result) -> Any:
    (told,) = json.loads(result.stdout).values()
    return told


def follower(servers: TwoServers) -> Follower:
    config = servers.config()
    return destination_follower(config, config.destinations[0])


def test_verify_and_repair(servers: TwoServers, config: str) -> None:
    agree = dvidsync("verify", config)
    assert agree.exit_code == DONE, agree.output
    assert "they agree: 5 instances" in agree.output

    servers.source.merge(10, 11)
    servers.destination.delete(f"{KEYS}/key/c")
    different = dvidsync("verify", config)
    assert different.exit_code == DIFFERENT, different.output
    assert "11: in body 10 here, in body 11 there" in different.output

    told = as_json(dvidsync("verify", config, "--json"))
    assert not told["agree"]
    assert {
        "version": servers.root,
        "instance": KEYS,
        "what": "keys only at the source",
        "count": 1,
        "examples": ["c"],
    } in told["differences"]

    before = servers.differences()
    for dry_run in ((), ("--dry-run",)):
        planned = dvidsync("repair", config, *dry_run)
        assert planned.exit_code == DIFFERENT, planned.output
        assert "2 changes would be made" in planned.output
        assert servers.differences() == before

    done = dvidsync("repair", config, "--apply")
    assert done.exit_code == DONE, done.output
    assert "2 changes were made" in done.output
    assert not servers.differences()
    assert dvidsync("verify", config).exit_code == DONE
    nothing = dvidsync("repair", config)
    assert nothing.exit_code == DONE, nothing.output
    assert "0 changes would be made" in nothing.output


def test_what_cannot_be_repaired_shows_in_the_exit_code(servers: TwoServers, config: str) -> None:
    servers.destination.merge(10, 11)
    planned = dvidsync("repair", config, "--dry-run", "--json")
    assert planned.exit_code == DIFFERENT, planned.output
    assert [row["what"] for row in as_json(planned)["left"]] == ["label counter"]
    done = dvidsync("repair", config, "--apply", "--json")
    assert done.exit_code == DIFFERENT, done.output
    told = as_json(done)
    assert [row["what"] for row in told["left"]] == ["label counter"]
    assert [row["what"] for row in told["after"]["differences"]] == ["label counter ahead of the source's"]
    assert not servers.differences(next_labels=False)


def test_what_agreed_before_is_not_read_again(servers: TwoServers, config: str) -> None:
    for editor in (servers.source, servers.destination):
        editor.commit()
    first = as_json(dvidsync("verify", config, "--json"))
    assert (first["compared"], first["agreed_before"]) == (5, 0)
    second = as_json(dvidsync("verify", config, "--json"))
    assert (second["compared"], second["agreed_before"]) == (0, 5)
    everything = as_json(dvidsync("verify", config, "--json", "--all"))
    assert (everything["compared"], everything["agreed_before"]) == (5, 0)


def test_a_wrong_configuration(servers: TwoServers, config: str) -> None:
    wrong = dvidsync("verify", config, "--destination", "other")
    assert wrong.exit_code == WRONG_CONFIGURATION
    servers.destination.server.stop()
    for gone in (dvidsync("verify", config), dvidsync("repair", config)):
        assert gone.exit_code == OUTAGE, gone.output
        assert f"Outage: GET {servers.destination.server.url}" in gone.output
        assert "Traceback" not in gone.output


def test_a_repo_that_is_not_there(servers: TwoServers, config: str) -> None:
    path = Path(config)
    path.write_text(path.read_text().replace(servers.root, ABSENT))
    absent = dvidsync("verify", config)
    assert absent.exit_code == WRONG_CONFIGURATION, absent.output
    assert f"repo: {ABSENT} is not at {servers.source.server.url} (source.url)" in absent.output


def test_repair_waits_for_nobody(servers: TwoServers, config: str) -> None:
    """A run that is under way there is not disturbed."""
    one = follower(servers)
    servers.source.merge(10, 11)
    before = servers.differences()
    with dg.DagsterInstance.get() as instance:
        job = build_definitions(servers.config()).resolve_job_def(one.job)
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    busy = dvidsync("repair", config, "--apply")
    assert busy.exit_code == FAILED
    assert "one at a time" in busy.output
    assert servers.differences() == before


def test_a_repair_claims_the_destination(servers: TwoServers, config: str) -> None:
    servers.source.merge(10, 11)
    with dg.DagsterInstance.get() as instance:
        store = CheckpointStore(instance, follower(servers).key)
        claim = store.claim(instance.report_runless_asset_event)
        assert dvidsync("repair", config).exit_code == DIFFERENT
        store.check_owner(claim)
        assert dvidsync("repair", config, "--apply").exit_code == DONE
        with pytest.raises(Exception, match="has taken over"):
            store.check_owner(claim)


def test_the_check_and_the_repair_in_dagster(servers: TwoServers) -> None:
    one = follower(servers)
    definitions = build_definitions(servers.config())
    name = f"{one.config.repo_name}_{one.name}"
    servers.source.merge(10, 11)
    with dg.DagsterInstance.get() as instance:

        def agree() -> bool:
            job = definitions.resolve_job_def(f"verify_{name}")
            (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
            assert evaluation.asset_check_key == copies_agree_key(one)
            assert evaluation.passed == ("dvidsync/differences_table" not in evaluation.metadata)
            return evaluation.passed

        def mend(**config: bool) -> None:
            ops = {"repair": {"config": config}} if config else {}
            job = definitions.resolve_job_def(f"repair_{name}")
            result = job.execute_in_process(instance=instance, run_config={"ops": ops})
            (output,) = [
                event.step_output_data for event in result.filter_events(lambda e: e.is_successful_output)
            ]
            told = output.metadata["dvidsync/dry_run"].value
            assert told is config.get("dry_run", True)

        assert not agree()
        mend()
        assert not agree()
        mend(dry_run=False)
        assert agree()


def test_a_run_that_follows_does_not_compare_everything(servers: TwoServers) -> None:
    one = follower(servers)
    job = build_definitions(servers.config()).resolve_job_def(one.job)
    assert not [node.name for node in job.nodes if "copies_agree" in node.name]
