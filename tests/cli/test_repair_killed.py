"""A repair that is killed between its changes: what it left half done is not taken for the source's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dvidsync_dagster.cli.exit_codes import CONFLICT, DONE, LEFT_OUT
from tests.cli.test_cli import dvidsync
from tests.cli.test_conflicts import fields_of, rows
from tests.hostile.proxy import Answer, proxy
from tests.stage import stage

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize("on_conflict", ["skip", "stop"])
def test_nothing_goes_on_with_what_a_killed_repair_left_half_done(tmp_path: Path, on_conflict: str) -> None:
    with stage(tmp_path / "stage") as servers, proxy(servers.destination.url) as between:
        fields = fields_of(servers, on_conflict)
        fields["destinations"][0] |= {"url": between.url, "practice": {"branch": "practice"}}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.dump(fields))
        config = str(path)
        servers.merge(40, 41)
        assert dvidsync("run", config).exit_code == DONE

        # People's own work: two cleaves and two renumbers take it back. The repair dies after the first.
        servers.merge(1, 10, 20, server=servers.destination)
        repair = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from dvidsync_dagster.cli import main; main()",
                "repair",
                config,
                "--apply",
            ],
            env={**os.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def die_at_the_second(method: str, path: str) -> Answer | None:
            if method == "POST" and "/renumber" in path:
                os.kill(repair.pid, signal.SIGKILL)
                return Answer(500)
            return None

        between.rule = die_at_the_second
        assert repair.wait() == -signal.SIGKILL
        between.rule = None
        half_done = servers.bodies(servers.destination)
        assert half_done[20] == 1, "the repair died too late: the test proves nothing"

        servers.merge(7, 1)
        ran = dvidsync("run", config)
        assert ran.exit_code == (LEFT_OUT if on_conflict == "skip" else CONFLICT), ran.output
        assert "a repair began to change" in ran.output or "a repair has begun to change" in ran.output
        assert servers.bodies(servers.destination) == half_done

        mended = dvidsync("repair", config, "--apply")
        assert mended.exit_code == DONE, mended.output
        servers.assert_same()
        servers.merge(7, 10)
        ran = dvidsync("run", config)
        assert ran.exit_code == DONE, ran.output
        assert "a repair began" not in ran.output
        servers.assert_same()
        assert {row["state"] for row in rows(config)} == {"closed"}
