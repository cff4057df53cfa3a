"""What each `history` costs: requests and seconds, on recorded traffic.

    python -m benchmarks.history

The logs of the recordings `crowd` (eight people on bodies of their own) and `proofreading` (three on bodies
that they share) are followed by a fresh copy for each of `condensed`, `by_user` and `exact`. With DVID_BIN
naming a DVID binary the copies are real servers, else sandbox servers. Every copy must end as recorded.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import httpx

from benchmarks.setting import server_kind
from dvid_sandbox.broker import EmbeddedBroker
from dvid_sandbox.real_server import RealServer
from dvid_sandbox.replay import Replay
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.datatypes.server_side import History
from tests.one_run import followed
from tests.recorded import ADMIN_TOKEN, ADMIN_TOKEN_ENV, RecordedSource, RecordedStage, publish
from tests.recordings import Recording, crowd, proofreading


def main() -> None:
    os.environ[ADMIN_TOKEN_ENV] = ADMIN_TOKEN
    print(f"{'real DVID' if server_kind() is RealServer else 'sandbox'}, applying only")
    print(f"{'':14}{'history':12}{'operations':>11}{'requests':>10}{'seconds':>9}{'of exact':>10}")
    with EmbeddedBroker.start() as broker, tempfile.TemporaryDirectory() as folder:
        for recording in (crowd, proofreading):
            publish(recording, broker.address, 3)
            _measure(recording, broker.address, Path(folder) / recording.name)


def _measure(recording: Recording, broker: str, folder: Path) -> None:
    start = server_kind().start
    with ExitStack() as stack:
        before = start(folder / "before", admin_token=ADMIN_TOKEN)
        stack.enter_context(before)
        replay = Replay(before.url, recording, ADMIN_TOKEN)
        replay.set_up()
        _await_indices(before.url, recording)
        info = httpx.get(f"{before.url}/api/repo/{recording.root}/info").json()
        before.stop()
        source = RecordedSource(recording, broker, info)
        stack.callback(source.close)
        exact = 0.0
        for history in reversed(get_args(History)):
            copy = start(before.copy_to(folder / history), admin_token=ADMIN_TOKEN)
            with copy:
                this = RecordedStage(recording, source, copy)
                fields = this.fields()
                fields["destinations"][0]["history"] = history
                reports = followed(SyncConfig.model_validate(fields))
                this.assert_as_recorded()
            seconds = sum(report.seconds.get("apply", 0.0) for report in reports)
            operations = sum(report.operations for report in reports)
            requests = sum(report.requests for report in reports)
            exact = exact or seconds
            print(
                f"{recording.name:14}{history:12}{operations:>11}{requests:>10}{seconds:>9.2f}"
                f"{seconds / exact:>10.2f}"
            )


def _await_indices(url: str, recording: Recording) -> None:
    """DVID makes the indices of voxels that were posted behind its answer."""
    state = recording.before["data"][f"{recording.root}/segmentation"]
    wanted = len(set(state["mapping"].values()))
    path = f"{url}/api/node/{recording.root}/segmentation/existing-labels"
    while len(httpx.get(path).json()) < wanted:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
