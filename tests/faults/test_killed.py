"""Whatever is killed, and whenever: the next clean run ends with the source's bodies, ids and counters."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import httpx
import pytest

from tests.faults.killable import LABELS, TOKEN_ENV, scene

NO_SPLITS = {kind: share for kind, share in LABELS.items() if kind != "split"}


@pytest.fixture(autouse=True)
def admin_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_ENV, "adm")


@pytest.mark.parametrize("keep", ["every checkpoint", "none", "one that is set back"])
def test_the_syncing_process(tmp_path: Path, keep: str) -> None:
    random = Random(keep)
    with scene(tmp_path, seed=random.randrange(100)) as here:
        old = ""
        for _ in range(4):
            if keep == "none":
                here.checkpoint.unlink(missing_ok=True)
            elif keep == "one that is set back" and old:
                here.checkpoint.write_text(old)
            elif here.checkpoint.exists():
                old = old or here.checkpoint.read_text()
            here.kill_after(random.randint(1, 40))
        if keep == "one that is set back" and old:
            here.checkpoint.write_text(old)
        if keep == "none":
            here.checkpoint.unlink(missing_ok=True)
        here.run()
        assert here.differences() == []


FAULTS: list[dict[str, object]] = [
    {"kind": "kill-before"},
    {"kind": "kill-after"},
    {"kind": "drop-before"},
    {"kind": "drop-after"},
    {"kind": "unavailable", "count": 3},
    {"kind": "kill-torn", "at": "announced"},
    {"kind": "kill-torn", "at": "mapping", "only": "/merge"},
    {"kind": "kill-torn", "at": "target index", "only": "/merge"},
    {"kind": "kill-torn", "at": "indices", "only": "/cleave"},
    {"kind": "kill-torn", "at": "mapping", "only": "/renumber"},
    {"kind": "kill-torn", "at": "new index", "only": "/renumber"},
]


QUICK = [
    fault for fault in FAULTS if fault["kind"] in ("drop-before", "drop-after") or "indices" in fault.values()
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: " ".join(map(str, fault.values())))
def test_the_destination(tmp_path: Path, fault: dict[str, object]) -> None:
    if fault not in QUICK and os.environ.get("DVIDSYNC_ALL_FAULTS") != "1":
        pytest.skip("DVIDSYNC_ALL_FAULTS=1 runs it: a run waits 20 s for a server that is dead")
    random = Random(str(fault))
    with scene(tmp_path, seed=random.randrange(100), work=120) as here:
        copy = here.stage.destination
        after = 0 if fault.get("only") else random.randint(0, 30)
        copy.ask_for_faults({**fault, "after": after})
        here.try_to_run()
        if str(fault["kind"]).startswith("kill"):
            copy.wait_for_death()
        copy.restart()
        here.run()
        assert here.differences() == []


def test_the_broker_in_mid_drain(tmp_path: Path) -> None:
    with scene(tmp_path, seed=5, work=60) as here:
        here.run()
        before = here.checkpoint.read_text()
        here.stage.broker.kill()
        status, printed = here.try_to_run()
        assert status != 0
        assert "BrokerUnreachable" in printed
        assert here.checkpoint.read_text() == before
        assert httpx.get(f"{here.stage.destination.url}/api/server/info").status_code == 200
        assert here.differences() == []
