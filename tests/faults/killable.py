"""Work at a source that a copy has still to follow, and runs that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from dvid_sandbox.proofreaders import WEIGHTS, Proofreaders
from tests.stage import INSTANCE, Stage, stage
from tests.state import contradictions, differences, read_state

LABELS = {kind: share for kind, share in WEIGHTS.items() if kind not in ("post_key", "post_elements")}
TOKEN_ENV = "DVIDSYNC_TEST_ADMIN_TOKEN"
REPOSITORY = Path(__file__).parents[2]


@dataclass
class KillableRuns:
    """`checkpoint` is the file in which the runs keep it."""

    stage: Stage
    checkpoint: Path
    chunk_records: int
    apply: str = "replay"

    def start(self) -> subprocess.Popen[str]:
        fields = self.stage.fields() | {"instances": [INSTANCE], "chunk_records": self.chunk_records}
        fields["destinations"][0] |= {"admin_token_env": TOKEN_ENV, "apply": self.apply}
        command = [sys.executable, "-m", "tests.faults.child", json.dumps(fields), str(self.checkpoint)]
        return subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self) -> None:
        """A run that nothing disturbs.

        Raises:
            AssertionError: it failed; with what it printed.
        """
        status, printed = self.try_to_run()
        assert status == 0, printed

    def try_to_run(self) -> tuple[int, str]:
        process = self.start()
        printed, _ = process.communicate(timeout=120)
        return process.returncode, printed

    def tries(self) -> int:
        """How many operations were tried at the copy: its mutation ids."""
        info = httpx.get(f"{self.stage.destination.url}/api/repo/{self.stage.root}/info").json()
        return int(info["MutationID"])

    def kill_after(self, operations: int) -> bool:
        """Kill a run with SIGKILL when it has tried so many operations; False if it ended before."""
        before = self.tries()
        process = self.start()
        try:
            while process.poll() is None:
                if self.tries() >= before + operations:
                    process.kill()
                    return True
                time.sleep(0.002)
            return False
        finally:
            process.kill()
            process.communicate()

    def differences(self) -> list[str]:
        source, copy = (
            read_state(server.url, self.stage.root, server.admin_token, indices=True, instances=[INSTANCE])
            for server in (self.stage.source, self.stage.destination)
        )
        return differences(source, copy) + contradictions(copy)


@contextmanager
def scene(
    folder: Path,
    *,
    seed: int,
    work: int = 150,
    people: int = 4,
    chunk_records: int = 100,
    weights: Mapping[str, float] = LABELS,
) -> Iterator[KillableRuns]:
    """The people have done their work; the copy has nothing of it."""
    with stage(folder) as on_stage:
        source = on_stage.source
        with Proofreaders(
            source.url,
            on_stage.root,
            seed=seed,
            people=people,
            weights=dict(weights),
            admin_token=source.admin_token,
        ) as crowd:
            crowd.work(work)
        source.restart()
        yield KillableRuns(on_stage, folder / "checkpoint.json", chunk_records)
