"""Dagster's UI on a demo's instance, in a real browser: what people look for is on the page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ASSET = "demo/copy"
CLOUD = "demo/cloud"
MAPPING = f"{CLOUD}/segmentation/mapping"
PATIENCE_SECONDS = 240
# A page is rendered on a clock of its own, which runs ahead while nothing happens.
PAGE_MILLISECONDS = 30_000
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        missing = "no chromium on PATH"
        if os.environ.get("DVIDSYNC_REQUIRE_BROWSER") == "1":
            pytest.fail(f"DVIDSYNC_REQUIRE_BROWSER=1, but {missing}")
        pytest.skip(missing)
    return found


@dataclass(frozen=True)
class Ui:
    """A demo that serves its UI."""

    url: str

    def ask(self, query: str) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/graphql", json={"query": query}, timeout=60)
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data


@pytest.fixture(scope="module")
def ui(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("demo")
    process = subprocess.Popen(
        [sys.executable, "-m", "demo", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        told = []
        for line in process.stdout:
            told.append(line)
            if served := re.match(rf"(http://\S+)/assets/{ASSET}", line):
                yield Ui(served[1])
                break
        else:
            raise AssertionError("".join(told))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def page(chromium: str, url: str, profile: Path) -> str:
    """The text of the page once its scripts have run."""
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", "--window-size=1600,2000"]
    command += [f"--virtual-time-budget={PAGE_MILLISECONDS}", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return re.sub(r"<[^>]+>", " ", done.stdout)


def picture(chromium: str, url: str, profile: Path, name: str) -> None:
    """Keep a picture of the page in the folder that DVIDSYNC_SCREENSHOTS names, if it names one."""
    folder = os.environ.get("DVIDSYNC_SCREENSHOTS")
    if folder:
        command = [chromium, *FLAGS, f"--user-data-dir={profile}", "--window-size=1600,1400"]
        command += [f"--virtual-time-budget={PAGE_MILLISECONDS}", f"--screenshot={folder}/{name}.png", url]
        subprocess.run(command, capture_output=True, check=True, timeout=120)


def shown(chromium: str, url: str, profile: Path, *words: str) -> str:
    """The page, once it shows all these words. A busy machine may need a second look."""
    looks = Retrying(
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_fixed(1),
        retry=retry_if_result(lambda text: not all(word in text for word in words)),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else "",
    )
    return str(looks(page, chromium, url, profile))


def test_the_destination_and_its_metadata(ui: Ui, chromium: str, tmp_path: Path) -> None:
    words = ("dvidsync/checkpoint", "dvidsync/lag_records", "dvidsync/operations", "dvidsync/requests")
    text = shown(chromium, f"{ui.url}/assets/{ASSET}", tmp_path, *words, "follow_demo_copy")
    for word in (*words, "Every minute", "follow_demo_copy"):
        assert word in text, text


def test_the_graph(ui: Ui, chromium: str, tmp_path: Path) -> None:
    words = ("mutation_log", "copy", "spare", "cloud", "mapping", "Kafka")
    # The graph of all groups shows large ones closed.
    text = shown(chromium, f"{ui.url}/locations/dvidsync/asset-groups/demo/lineage", tmp_path, *words)
    for word in words:
        assert word in text, text
    assert "Welcome to Dagster" not in text


def test_the_comparison(ui: Ui, chromium: str, tmp_path: Path) -> None:
    url = f"{ui.url}/assets/{ASSET}/comparison?view=checks&checkDetail=copies_agree"
    text = shown(chromium, url, tmp_path, "copies_agree", "dvidsync/differences")
    for word in ("copies_agree", "dvidsync/differences"):
        assert word in text, text
    told = ui.ask(
        f"{{assetCheckExecutions(assetKey: {{path: {json.dumps([*ASSET.split('/'), 'comparison'])}}}, "
        'checkName: "copies_agree", limit: 20){status evaluation{success description}}}'
    )
    evaluations = [each["evaluation"] for each in told["assetCheckExecutions"] if each["evaluation"]]
    assert any(each["success"] and "they agree" in each["description"] for each in evaluations), evaluations


def test_the_runs_are_there_and_the_schedule_is_on(ui: Ui) -> None:
    told = ui.ask(
        '{runsOrError(filter: {pipelineName: "follow_demo_copy", statuses: [SUCCESS]})'
        "{... on Runs{results{runId}}}"
        "repositoriesOrError{... on RepositoryConnection{nodes{schedules{name scheduleState{status}}}}}}"
    )
    runs = told["runsOrError"]["results"]
    assert len(runs) >= 2
    (repository,) = told["repositoriesOrError"]["nodes"]
    states = {each["name"]: each["scheduleState"]["status"] for each in repository["schedules"]}
    assert states["follow_demo_copy_schedule"] == "RUNNING"


def test_a_failed_run_says_why_and_what_to_do(ui: Ui, chromium: str, tmp_path: Path) -> None:
    """The destination whose server was down for a while."""
    told = ui.ask(
        '{runsOrError(filter: {pipelineName: "follow_demo_spare", statuses: [FAILURE], '
        'tags: [{key: "dvidsync/cause", value: "outage"}]}){... on Runs{results{runId}}}}'
    )
    (run,) = told["runsOrError"]["results"]
    words = ("Outage.", "Cause: GET http://", "What to do: Nothing is lost")
    text = shown(chromium, f"{ui.url}/runs/{run['runId']}", tmp_path, *words)
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("check", ["lag", "log_complete", "nothing_left_out"])
def test_no_check_failed_because_a_server_was_down(ui: Ui, check: str) -> None:
    told = ui.ask(
        '{assetCheckExecutions(assetKey: {path: ["demo", "spare"]}, '
        f'checkName: "{check}", limit: 20){{status}}}}'
    )
    assert {each["status"] for each in told["assetCheckExecutions"]} == {"SUCCEEDED"}


PAGES = {
    "catalog": ("assets", ["cloud", "mapping", "bodies", "demo_cloud_tables"]),
    "destination": (
        f"assets/{CLOUD}",
        ["holds a snapshot of branch master", "dvidsync/checkpoint", "Delta Lake"],
    ),
    "destination_lineage": (f"assets/{CLOUD}?view=lineage", ["mapping", "bodies", "versions"]),
    "table": (
        f"assets/{MAPPING}",
        [
            "One supervoxel of segmentation and its body",
            "Columns",
            "int64",
            "Row count",
            "dvidsync/rows_written",
        ],
    ),
    "table_events": (f"assets/{MAPPING}?view=events", ["rows written", "dvidsync/preview"]),
    "comparison": (
        f"assets/{CLOUD}/comparison?view=checks&checkDetail=copies_agree",
        ["copies_agree", "differences"],
    ),
    "maintenance": ("locations/dvidsync/jobs/maintain_demo_cloud", ["maintain", "small ones"]),
    "runs": ("runs", ["follow_demo_cloud", "Success"]),
    "jobs": ("jobs", ["maintain_demo_cloud", "verify_demo_cloud"]),
    "automation": ("automation", ["maintain_demo_cloud_schedule"]),
}
"""Of a bucket: their addresses, and what people look for there."""


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_of_a_bucket(ui: Ui, chromium: str, tmp_path: Path, name: str) -> None:
    address, words = PAGES[name]
    text = shown(chromium, f"{ui.url}/{address}", tmp_path, *words)
    picture(chromium, f"{ui.url}/{address}", tmp_path, name)
    for word in words:
        assert word in text, text
