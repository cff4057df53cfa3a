"""How a real `dvidsync` process ends, by what ended it: four causes, four exit codes, and what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from dvidsync_dagster.cli.exit_codes import CONFLICT, DONE, LOGIN, OUTAGE, WRONG_CONFIGURATION
from tests.stage import Stage, stage

TOKEN_ENV = "DVID_ENDINGS_TOKEN"
WRONG = "not-the-token-of-this-server"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as servers:
        yield servers


class Commands:
    """Commands of one configuration, in one Dagster home."""

    def __init__(self, folder: Path, fields: dict[str, Any]) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.config = folder / "config.yaml"
        self.write(fields)

    def write(self, fields: dict[str, Any]) -> None:
        self.config.write_text(yaml.dump(fields))

    def __call__(self, command: str, stdout: int = subprocess.PIPE) -> tuple[int, str]:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from dvidsync_dagster.cli import main; main()",
                command,
                str(self.config),
            ],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DAGSTER_HOME": str(self.home), TOKEN_ENV: WRONG},
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert WRONG not in (done.stdout or "") + done.stderr
        return done.returncode, done.stderr


@pytest.fixture
def dvidsync(servers: Stage, tmp_path: Path) -> Commands:
    return Commands(tmp_path, servers.fields())


@contextmanager
def asking_for_a_token(servers: Stage) -> Iterator[None]:
    servers.destination.token = "another"
    servers.destination.restart()
    try:
        yield
    finally:
        servers.destination.token = None
        servers.destination.restart()


@pytest.mark.parametrize("command", ["run", "verify"])
def test_an_outage(servers: Stage, dvidsync: Commands, command: str) -> None:
    servers.destination.stop()
    try:
        code, said = dvidsync(command)
    finally:
        servers.destination.restart()
    assert code == OUTAGE, said
    assert "/copy: Outage: " in said
    assert f"{servers.destination.url}/api/server/info" in said
    assert "the next run goes on from the last chunk" in said
    assert "onfiguration is wrong" not in said


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_login_that_is_refused(servers: Stage, dvidsync: Commands, command: str) -> None:
    fields = servers.fields()
    fields["destinations"][0]["token_env"] = TOKEN_ENV
    dvidsync.write(fields)
    with asking_for_a_token(servers):
        code, said = dvidsync(command)
    assert code == LOGIN, said
    assert "/copy: Login refused: " in said
    assert "destinations[copy].token_env" in said
    assert "Renew the token" in said
    assert "repo:" not in said


def test_a_wrong_configuration(servers: Stage, dvidsync: Commands) -> None:
    root = f"{int(servers.root, 16) ^ 1:032x}"
    dvidsync.write({**servers.fields(), "repo": root})
    code, said = dvidsync("run")
    assert code == WRONG_CONFIGURATION, said
    assert f"The configuration is wrong: repo: {root} is not at {servers.source.url}" in said


def test_a_conflict(servers: Stage, dvidsync: Commands) -> None:
    code, said = dvidsync("run")
    assert code == DONE, said
    servers.merge(61, 62, server=servers.destination)
    servers.merge(62, 63)
    code, said = dvidsync("run")
    assert code == CONFLICT, said
    assert "/copy: The destination cannot take an operation: " in said
    assert "on_conflict: skip" in said


def test_of_several_the_worst_counts_and_each_is_told(servers: Stage, dvidsync: Commands) -> None:
    """One destination does not answer, another one asks for a token that nobody has."""
    fields = servers.fields()
    (copy,) = fields["destinations"]
    nobody = {**copy, "name": "gone", "url": "http://127.0.0.1:9"}
    dvidsync.write({**fields, "destinations": [nobody, {**copy, "token_env": TOKEN_ENV}]})
    with asking_for_a_token(servers):
        code, said = dvidsync("run")
    assert code == LOGIN, said
    assert "/gone: Outage: " in said
    assert "/copy: Login refused: " in said
    assert httpx.get(f"{servers.destination.url}/api/server/info").status_code == 200


def test_a_reader_that_goes_away_is_no_failure(servers: Stage, tmp_path: Path) -> None:
    """As `dvidsync status CONFIG | head -1` does it."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        code, errors = Commands(tmp_path, servers.fields())("status", stdout=writes)
    finally:
        os.close(writes)
    assert (code, errors) == (DONE, "")
