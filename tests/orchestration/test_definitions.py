"""What `workspace.yaml` loads: a configuration file, the `defs` folder, or an explanation."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from dvidsync_dagster import definitions
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.orchestration.component import SCAFFOLD

CHECKOUT = Path(__file__).resolve().parents[2]


def assets(loaded: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in loaded.resolve_asset_graph().get_all_asset_keys()}


def load() -> dg.Definitions:
    loaded = definitions.defs()
    assert isinstance(loaded, dg.Definitions)
    return loaded


def test_workspace_names_this_module() -> None:
    (entry,) = yaml.safe_load((CHECKOUT / "workspace.yaml").read_text())["load_from"]
    assert entry["python_module"]["module_name"] == definitions.__name__


def test_with_nothing_configured_it_explains_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DVIDSYNC_CONFIG", raising=False)
    monkeypatch.setattr(definitions, "_CHECKOUT", tmp_path)
    loaded = load()
    assert assets(loaded) == {"nothing_configured_yet"}
    (spec,) = loaded.resolve_all_asset_specs()
    assert spec.description is not None
    assert "DVIDSYNC_CONFIG" in spec.description


def test_a_configuration_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump(SCAFFOLD))
    monkeypatch.setenv("DVIDSYNC_CONFIG", str(path))
    loaded = load()
    assert assets(loaded) == {
        "kafka/repo_01234567",
        "repo_01234567/copy",
        "repo_01234567/copy/comparison",
        "repo_01234567/copy/conflicts",
    }
    for job in loaded.get_repository_def().get_all_jobs():
        assert job.executor_def == dg.in_process_executor


def test_a_configuration_file_is_loaded_once_in_a_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump(SCAFFOLD))
    monkeypatch.setenv("DVIDSYNC_CONFIG", str(path))
    assert load() is load()


def test_a_wrong_configuration_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump({**SCAFFOLD, "repo": "x"}))
    monkeypatch.setenv("DVIDSYNC_CONFIG", str(path))
    with pytest.raises(ConfigurationError, match="root UUID"):
        load()


def destinations(count: int) -> list[dict[str, object]]:
    (first,) = SCAFFOLD["destinations"]
    return [{**first, "name": f"copy{n}", "url": f"http://copy{n}.example.org:8000"} for n in range(count)]


@pytest.mark.parametrize("count", [2, 30])
def test_many_destinations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int) -> None:
    """Each has its assets, jobs, checks, schedules and sensor, and a second repo can name its own alike."""
    repos = [
        {**SCAFFOLD, "repo": digit * 32, "destinations": destinations(count), "verify_schedule": "30 3 * * *"}
        for digit in "01"
    ]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump_all(repos))
    monkeypatch.setenv("DVIDSYNC_CONFIG", str(path))
    repository = load().get_repository_def()
    names = [f"repo_{digit * 8}_copy{n}" for digit in "01" for n in range(count)]
    jobs = {job.name: job for job in repository.get_all_jobs()}
    assert {f"{kind}_{name}" for kind in ("follow", "verify", "repair") for name in names} <= set(jobs)
    assert len(repository.schedule_defs) == 2 * len(names)
    assert len(repository.sensor_defs) == len(names)
    for name in names:
        # What is written in the dialog that launches it is the same for all.
        assert [node.name for node in jobs[f"repair_{name}"].nodes] == ["repair"]
