"""The instance's settings that the README gives people are the demo's, and keep Dagster quiet."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import dagster as dg
import pytest

from dvidsync_dagster.sandbox.demo.setting import DAGSTER_YAML

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_has_the_demos() -> None:
    found = re.search(r"<<'YAML'\n(.*?)^ *YAML$", README.read_text(), re.S | re.M)
    assert found is not None
    assert dedent(found[1]) == DAGSTER_YAML


def test_nothing_is_sent_and_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
