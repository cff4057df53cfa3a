"""The Dagster component: from YAML to definitions, and its scaffold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing.utils import component_defs, create_defs_folder_sandbox
from pydantic import BaseModel

import dvidsync_dagster
from dvidsync_dagster import DvidSyncComponent, SyncConfig
from dvidsync_dagster.config import (
    BucketConfig,
    DestinationConfig,
    InstanceChoice,
    KafkaConfig,
    PracticeConfig,
    SourceConfig,
    StartTime,
    WindowsConfig,
)
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.orchestration.component import SCAFFOLD

ROOT = "a78c418b6a194df1adfe21e5a081c877"
ATTRIBUTES: Mapping[str, Any] = {
    "source": {"url": "{{ env.SOURCE_URL }}", "token_env": "SOURCE_TOKEN"},
    "repo": ROOT,
    "instances": ["segmentation", {"name": "synapses", "data_uuid": ROOT}],
    "kafka": {"servers": ["kafka1:9092"]},
    "destinations": [
        {"name": "copy", "url": "http://c:8000", "start": {"time": "2026-01-31T00:00:00Z"}},
        {
            "name": "training",
            "url": "http://d:8000",
            "start": "now",
            "on_conflict": "skip",
            "practice": {"from": "{{ env.PRACTICE_FROM }}", "renew": "weekly", "keep": None},
        },
        {"name": "cloud", "bucket": "gs://neu3-live", "releases": "committed"},
    ],
    "windows": {"every": "hourly", "start_date": "2026-01-31"},
}


@pytest.fixture(autouse=True)
def _source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_URL", "http://source:8000")
    monkeypatch.setenv("SOURCE_TOKEN", "hunter2")
    monkeypatch.setenv("PRACTICE_FROM", "latest commit")


def test_a_components_yaml_is_the_configuration() -> None:
    component = DvidSyncComponent.resolve_from_yaml(yaml.dump(dict(ATTRIBUTES)))
    copy, training, cloud = ATTRIBUTES["destinations"]
    filled = {**training, "practice": {**training["practice"], "from": "latest commit"}}
    expected = SyncConfig.model_validate(
        {
            **ATTRIBUTES,
            "source": {"url": "http://source:8000", "token_env": "SOURCE_TOKEN"},
            "destinations": [copy, filled, cloud],
        }
    )
    assert component.model_dump() == expected.model_dump()


@pytest.mark.parametrize(
    "part",
    [SyncConfig, SourceConfig, DestinationConfig, BucketConfig, KafkaConfig, WindowsConfig, PracticeConfig],
)
def test_the_schema_knows_every_field(part: type[Any]) -> None:
    schema = DvidSyncComponent.model().model_json_schema()
    known = [set(schema["properties"]), *(set(d.get("properties", ())) for d in schema["$defs"].values())]
    assert {field.alias or name for name, field in part.model_fields.items()} in known


def described(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every field at every depth, with what the schema says of it."""
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from described(inner)
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()


def test_the_schema_describes_every_field_and_its_default() -> None:
    told = list(described(DvidSyncComponent.model().model_json_schema()))
    assert len(told) > 40
    assert [name for name, field in told if not field.get("description")] == []
    assert [name for name, field in told if "DAGSTER" in json.dumps(field.get("default"))] == []
    parts: list[type[BaseModel]] = [
        SyncConfig,
        SourceConfig,
        DestinationConfig,
        BucketConfig,
        KafkaConfig,
        WindowsConfig,
        StartTime,
        InstanceChoice,
        PracticeConfig,
    ]
    known = {
        (field.alias or name, field.description)
        for part in parts
        for name, field in part.model_fields.items()
    }
    assert {(name, field["description"]) for name, field in told} == known


def test_definitions() -> None:
    component = DvidSyncComponent.resolve_from_yaml(yaml.dump(dict(ATTRIBUTES)))
    definitions = component_defs(component=component)
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {
        "kafka/repo_a78c418b",
        "repo_a78c418b/copy",
        "repo_a78c418b/copy/comparison",
        "repo_a78c418b/copy/conflicts",
        "repo_a78c418b/training",
        "repo_a78c418b/training/comparison",
        "repo_a78c418b/training/conflicts",
        "repo_a78c418b/cloud",
        "repo_a78c418b/cloud/comparison",
        "repo_a78c418b/cloud/conflicts",
    }
    copy = graph.get(dg.AssetKey(["repo_a78c418b", "copy"]))
    assert copy.parent_keys == {dg.AssetKey(["kafka", "repo_a78c418b"])}
    assert copy.backfill_policy == dg.BackfillPolicy.single_run()
    assert isinstance(copy.partitions_def, dg.TimeWindowPartitionsDefinition)
    assert {schedule.name for schedule in definitions.schedules or ()} == {
        "follow_repo_a78c418b_copy_schedule",
        "follow_repo_a78c418b_training_schedule",
        "follow_repo_a78c418b_cloud_schedule",
        "verify_repo_a78c418b_copy_schedule",
        "verify_repo_a78c418b_training_schedule",
        "verify_repo_a78c418b_cloud_schedule",
        "maintain_repo_a78c418b_cloud_schedule",
        "practice_repo_a78c418b_training_schedule",
    }
    assert "hunter2" not in repr(component)


class Ours(DvidSyncComponent):
    """As the docstring of the component shows it."""

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return (
            super()
            .get_asset_spec(spec)
            .replace_attributes(group_name="segmentation", owners=["team:connectomics"])
        )


class OtherKeys(DvidSyncComponent):
    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(key="mine")


def test_how_assets_are_shown_can_be_changed() -> None:
    definitions = component_defs(component=Ours.resolve_from_yaml(yaml.dump(dict(ATTRIBUTES))))
    graph = definitions.resolve_asset_graph()
    copy = graph.get(dg.AssetKey(["repo_a78c418b", "copy"]))
    assert (copy.group_name, copy.owners) == ("segmentation", ["team:connectomics"])
    assert copy.backfill_policy == dg.BackfillPolicy.single_run()
    assert definitions.resolve_job_def("follow_repo_a78c418b_copy")


def test_keys_stay_as_checkpoints_are_found_by_them() -> None:
    component = OtherKeys.resolve_from_yaml(yaml.dump(dict(ATTRIBUTES)))
    with pytest.raises(ConfigurationError, match="Leave keys as they are"):
        component_defs(component=component)


def test_a_wrong_field_is_named_with_its_whole_path() -> None:
    destinations = [{**ATTRIBUTES["destinations"][0], "requests_in_flight": 100}]
    with pytest.raises(ConfigurationError) as refused:
        DvidSyncComponent.resolve_from_yaml(yaml.dump({**ATTRIBUTES, "destinations": destinations}))
    assert refused.value.field == "destinations[0].requests_in_flight"


def test_digits_stay_text() -> None:
    root = "00000000000000000000000000000001"
    assert DvidSyncComponent.resolve_from_yaml(yaml.dump({**ATTRIBUTES, "repo": root})).repo == root


def test_a_wrong_cron_line_is_refused() -> None:
    component = DvidSyncComponent.resolve_from_yaml(yaml.dump({**ATTRIBUTES, "schedule": "every hour"}))
    with pytest.raises(ConfigurationError, match="is not a cron line"):
        component_defs(component=component)


def test_no_schedule() -> None:
    destinations = [
        {**each, "maintenance_schedule": None} if "bucket" in each else {**each, "practice": {}}
        for each in ATTRIBUTES["destinations"]
    ]
    by_hand = {"schedule": None, "verify_schedule": None, "destinations": destinations}
    component = DvidSyncComponent.resolve_from_yaml(yaml.dump({**ATTRIBUTES, **by_hand}))
    assert not component_defs(component=component).schedules


def test_the_scaffold_loads() -> None:
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(DvidSyncComponent)
        written = yaml.safe_load((path / "defs.yaml").read_text())
        assert written == {"type": written["type"], "attributes": SCAFFOLD}
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, definitions):
            assert isinstance(component, DvidSyncComponent)
            assert definitions.resolve_job_def("follow_repo_01234567_copy")


def test_the_package_imports_dagster_on_first_use_alone() -> None:
    code = "import sys, dvidsync_dagster, dvidsync_dagster.config; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {"DvidSyncComponent", "SyncConfig", "build_definitions"} <= set(dir(dvidsync_dagster))
    with pytest.raises(AttributeError):
        dvidsync_dagster.nothing  # noqa: B018
