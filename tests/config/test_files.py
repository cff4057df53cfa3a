"""Configuration files: YAML, a component's YAML, and the JSON of the first dvidsync."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dvidsync_dagster.config import InstanceChoice, load_configs
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.orchestration.templates import fill_templates

ROOT = "a78c418b6a194df1adfe21e5a081c877"
OTHER_ROOT = "b78c418b6a194df1adfe21e5a081c877"
LABELS = "f00c3e2ae9bc458aba9c81c843018f2d"
BARE = f"""
source: {{url: "http://s:8000"}}
repo: {ROOT}
destinations:
  - {{name: copy, url: "http://c:8000", start: {{time: 2026-01-31T00:00:00Z}}}}
windows: {{every: hourly, start_date: 2026-01-31}}
"""
FIRST: dict[str, Any] = {
    "source": "127.0.0.1:8000",
    "destination": "127.0.0.1:9000",
    "repoinfo": {ROOT: {"branches": ["all"], "datauuids": [["labels1", LABELS]]}},
    "kafkaservers": ["127.0.0.1:9092"],
    "log": "sync.log",
}


def write(folder: Path, text: str) -> Path:
    path = folder / "config"
    path.write_text(text)
    return path


def test_bare_yaml(tmp_path: Path) -> None:
    (config,) = load_configs(write(tmp_path, BARE))
    assert config.repo == ROOT
    assert config.windows.every == "hourly"


def test_a_components_yaml(tmp_path: Path) -> None:
    document = {"type": "dvidsync_dagster.DvidSyncComponent", "attributes": yaml.safe_load(BARE)}
    assert load_configs(write(tmp_path, yaml.dump(document))) == load_configs(write(tmp_path, BARE))


def test_templates_are_filled_in_a_components_attributes(tmp_path: Path) -> None:
    attributes = {**yaml.safe_load(BARE), "repo": "{{ root }}"}
    document = {"type": "dvidsync_dagster.DvidSyncComponent", "attributes": attributes}
    path = write(tmp_path, yaml.dump(document))
    (config,) = load_configs(path, fill_templates=lambda fields: {**fields, "repo": ROOT})
    assert config.repo == ROOT


def test_several_repos_in_one_file(tmp_path: Path) -> None:
    path = write(tmp_path, f"{BARE}---\n{BARE.replace(ROOT, OTHER_ROOT)}")
    assert [config.repo for config in load_configs(path)] == [ROOT, OTHER_ROOT]
    with pytest.raises(ConfigurationError, match="the same for two repos"):
        load_configs(write(tmp_path, f"{BARE}---\n{BARE}"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a: b: c", "line 1"),
        ("- 1", "named fields"),
        ("type: other.Component\nattributes: {}", "another component"),
        ("{", "neither YAML nor JSON"),
        ("[" * 50_000 + "]" * 50_000, "too many brackets"),
        ('{"repoinfo":' * 3000 + "1" + "}" * 3000, "too many brackets"),
        ("&a [*a]", "too many values"),
        (
            f"type: dvidsync_dagster.DvidSyncComponent\nattributes: &a {{repo: {ROOT}, source: *a}}",
            "too many values",
        ),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 10}]\n" for n in range(1, 9)),
            "too many values",
        ),
        (f"{BARE}chunk_records: 1{'0' * 6000}", "number or time that is out of range in line 7"),
        (BARE.replace("2026-01-31T00:00:00Z", "0001-01-01T00:00:00+14:00"), "before any mutation log"),
        (BARE.replace("2026-01-31T00:00:00Z", "2026-13-01T00:00:00Z"), "out of range in line 5"),
        (BARE.replace("2026-01-31T00:00:00Z", "'0001-01-01T00:00:00+14:00'"), "before any mutation log"),
        (BARE.replace("2026-01-31T00:00:00Z", "'9999-12-31T23:59:59-14:00'"), "too far in the future"),
        (f"{BARE}repo: {OTHER_ROOT}", "found `repo` twice, the first time in line 3"),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_configs(write(tmp_path, text))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ env.", "source.url: the template '{{ env.' fails: TemplateSyntaxError"),
        ("{{ env.NO_SUCH_VARIABLE }}", "source.url: the template '{{ env.NO_SUCH_VARIABLE }}' gives nothing"),
        ("{{ nothing }}", "source.url: the template '{{ nothing }}' fails: UndefinedError"),
    ],
)
def test_a_bad_template_is_named_with_its_field(tmp_path: Path, template: str, words: str) -> None:
    attributes = {**yaml.safe_load(BARE), "source": {"url": template}}
    document = {"type": "dvidsync_dagster.DvidSyncComponent", "attributes": attributes}
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        load_configs(write(tmp_path, yaml.dump(document)), fill_templates=fill_templates)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_configs(tmp_path / "nothing")


def test_the_json_of_2017(tmp_path: Path) -> None:
    (config,) = load_configs(write(tmp_path, json.dumps(FIRST)), {})
    assert config.source.url == "http://127.0.0.1:8000"
    assert config.source.token_env is None
    assert config.repo == ROOT
    assert config.branches == ["all"]
    assert config.instances == [InstanceChoice(name="labels1", data_uuid=LABELS)]
    assert config.kafka.servers == ["127.0.0.1:9092"]
    (destination,) = config.servers
    assert destination.url == "http://127.0.0.1:9000"
    assert destination.start == "beginning"
    assert destination.checkpoint_file == str(tmp_path / "sync.log")


def test_the_json_of_2017_takes_its_tokens_from_the_environment(tmp_path: Path) -> None:
    environment = {
        "DVIDSYNC_SOURCE_TOKEN": "s",
        "DVIDSYNC_DESTINATION_TOKEN": "d",
        "DVIDSYNC_DESTINATION_ADMIN_TOKEN": "a",
    }
    (config,) = load_configs(write(tmp_path, json.dumps(FIRST)), environment)
    assert config.source.token(environment) == "s"
    assert config.servers[0].token(environment) == "d"
    assert config.servers[0].admin_token(environment) == "a"


def test_the_json_of_2017_with_several_roots_and_brokers_as_text(tmp_path: Path) -> None:
    first = {
        **FIRST,
        "repoinfo": {
            ROOT: FIRST["repoinfo"][ROOT],
            OTHER_ROOT: {"branches": ["a", "b"], "datauuids": [["x", LABELS], ["y", ROOT]]},
        },
        "kafkaservers": "k1:9092, k2:9092",
    }
    one, other = load_configs(write(tmp_path, json.dumps(first)), {})
    assert (one.repo, other.repo) == (ROOT, OTHER_ROOT)
    assert other.branches == ["a", "b"]
    assert one.kafka.servers == ["k1:9092", "k2:9092"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"destinaton": "x"}, "destinaton"),
        ({"repoinfo": {}}, "repoinfo"),
        ({"repoinfo": {ROOT: {"datauuids": [["a"]]}}}, f"repoinfo.{ROOT}.datauuids"),
        ({"repoinfo": {"abc": {"datauuids": [["a", LABELS]]}}}, "repoinfo.abc"),
        ({"repoinfo": {ROOT: {"datauuids": []}}}, f"repoinfo.{ROOT}.datauuids"),
        ({"repoinfo": {ROOT: {"datauuids": [["a", "b"]]}}}, f"repoinfo.{ROOT}.datauuids"),
        ({"source": "http://a:b@c"}, "source"),
        ({"kafkaservers": ["k"]}, "kafkaservers"),
    ],
)
def test_a_wrong_json_of_2017_is_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_configs(write(tmp_path, json.dumps({**FIRST, **changes})), {})
    assert refused.value.field == field
