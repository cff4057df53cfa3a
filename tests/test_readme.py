"""What the README gives people to copy works as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import dagster as dg
import pytest

from demo.setting import DAGSTER_YAML
from dvidsync_dagster.config import load_configs
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.component import fill_templates

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def given(begin: str, end: str) -> str:
    found = re.search(rf"{begin}\n(.*?)^ *{end}$", README, re.S | re.M)
    assert found is not None
    return dedent(found[1])


def test_dagsters_settings_are_the_demos() -> None:
    assert given("<<'YAML'", "YAML") == DAGSTER_YAML


def test_the_configuration_loads_with_the_variables_that_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "neu3.yaml"
    path.write_text(given(r"`neu3\.yaml`:\n\n *```yaml", "```"))
    (config,) = load_configs(path, fill_templates=fill_templates)
    for name in re.findall(r"(\w+)=…", README):
        monkeypatch.setenv(name, name.lower())
    (training,) = config.destinations
    assert config.source.token() == "dvid_source_token"
    assert training.token() == "dvid_training_token"
    assert training.admin_token() == "dvid_training_admin"
    assert build_definitions(config).resolve_job_def("follow_neu3_training")


def test_nothing_is_sent_and_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
