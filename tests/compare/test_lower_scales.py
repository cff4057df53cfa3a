"""Labelmaps at lower resolutions: a split that did not derive them shows where it is asked for."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from dvid_sandbox.launcher import DvidServer, SandboxServer
from dvid_sandbox.proofreaders import make_repo
from dvid_sandbox.real_server import RealServer, dvid_binary
from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.differences.findings import Comparison
from tests.two_servers import Editor

DEEP = "deep"


def deep_labelmap(editor: Editor) -> None:
    """128^3 voxels in bodies of 64^3, at three resolutions."""
    settings = {"typename": "labelmap", "dataname": DEEP, "MaxDownresLevel": "2"}
    url = f"{editor.server.url}/api/repo/{editor.root}/instance"
    httpx.post(url, json=settings).raise_for_status()
    z, y, x = np.indices((128, 128, 128)) // 64
    labels = (4 * z + 2 * y + x + 1).astype("<u8")
    editor.post(f"{DEEP}/raw/0_1_2/128_128_128/0_0_0", labels.tobytes())


def split(editor: Editor, **query: str) -> None:
    """Half of supervoxel 1, with the same ids everywhere."""
    runs = b"".join(np.array([0, y, z, 32], "<i4").tobytes() for z in range(64) for y in range(64))
    volume = bytes([0, 3, 0, 0]) + bytes(4) + np.array([64 * 64], "<u4").tobytes() + runs
    editor.post(f"{DEEP}/split-supervoxel/1", volume, split="101", remain="102", **query)


@pytest.mark.parametrize(
    "kind",
    [
        SandboxServer,
        pytest.param(
            RealServer,
            marks=[pytest.mark.dvid, pytest.mark.skipif(dvid_binary() is None, reason="no DVID_BIN")],
        ),
    ],
)
def test_a_split_that_left_them_out(kind: type[DvidServer], tmp_path: Path) -> None:
    with kind.start(tmp_path / "source") as source:
        root = make_repo(source.url, source.admin_token, size=64, cube=16).root
        deep_labelmap(Editor(source, root))
        source.stop()
        copied = source.copy_to(tmp_path / "copy")
        source.restart()
        with kind.start(copied) as copy:
            config = SyncConfig.model_validate(
                {
                    "source": {"url": source.url},
                    "repo": root,
                    "destinations": [{"name": "copy", "url": copy.url, "start": "beginning"}],
                }
            )

            def compared(*, lower_scales: bool) -> Comparison:
                return compare(config, config.destinations[0], lower_scales=lower_scales)

            assert compared(lower_scales=True).agree
            split(Editor(source, root), downres="false")
            split(Editor(copy, root))
            assert compared(lower_scales=False).agree
            found = compared(lower_scales=True)
            assert {(row.instance, row.what) for row in found.differences} == {
                (DEEP, "blocks with other supervoxels at scale 1"),
                (DEEP, "blocks with other supervoxels at scale 2"),
            }
