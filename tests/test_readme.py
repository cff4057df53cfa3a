"""What the README gives people to copy works as it stands, and what it lists is what the code has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import dvidsync_dagster
from demo.setting import DAGSTER_YAML
from dvidsync_dagster.cli import exit_codes
from dvidsync_dagster.config import (
    BucketConfig,
    DestinationConfig,
    KafkaConfig,
    PracticeConfig,
    SourceConfig,
    SyncConfig,
    WindowsConfig,
    load_configs,
)
from dvidsync_dagster.orchestration.build import build_definitions
from dvidsync_dagster.orchestration.templates import fill_templates

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()

PARTS: dict[str, list[type[BaseModel]]] = {
    "": [SyncConfig],
    "source.": [SourceConfig],
    "destinations[].": [DestinationConfig, BucketConfig],
    "destinations[].practice.": [PracticeConfig],
    "kafka.": [KafkaConfig],
    "windows.": [WindowsConfig],
}
"""The models of the configuration, by how the README begins the names of their fields."""

LITERAL = re.compile(r"`([^`]+)`")
NOTHING: tuple[object, ...] = (None, [], {}, PydanticUndefined)
"""The defaults that the README tells in words, or not at all: nothing is set, or the field must be."""


def given(begin: str, end: str) -> str:
    found = re.search(rf"{begin}\n(.*?)^ *{end}$", README, re.S | re.M)
    assert found is not None
    return dedent(found[1])


def rows(head: str) -> Iterator[list[str]]:
    """The cells of the table with this head, row by row."""
    lines = iter(README.splitlines())
    assert head in lines, f"the README has no table {head}"
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def names(cell: str) -> Iterator[str]:
    """`a.b`, `.c` are a.b and a.c."""
    before = ""
    for name in LITERAL.findall(cell):
        full = before + name[1:] if name.startswith(".") else name
        before = full[: full.rfind(".") + 1]
        yield full


def fields() -> dict[str, Any]:
    """The default of each field, by its name in the README. A part stands for its fields."""
    parts = {begin.rstrip("[].") for begin in PARTS}
    return {
        begin + (field.alias or name): field.get_default(call_default_factory=True)
        for begin, models in PARTS.items()
        for model in models
        for name, field in model.model_fields.items()
        if begin + name not in parts
    }


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
    (training,) = config.servers
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


def test_the_fields_are_those_of_the_configuration() -> None:
    told = [name for row in rows("| field | meaning | default |") for name in names(row[0])]
    assert sorted(told) == sorted(fields())


def test_the_defaults_are_those_of_the_configuration() -> None:
    """One in backquotes is the value; words stand for a field that is not set."""
    defaults = fields()
    for cell, _, told in rows("| field | meaning | default |"):
        for name in names(cell):
            value = defaults[name]
            literal = LITERAL.fullmatch(told)
            if literal is None:
                assert value in NOTHING, f"{name} has the default {value!r}, and the README says {told!r}"
            else:
                written = f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
                assert literal[1] == written, name


def test_the_exported_names_are_those_of_the_package() -> None:
    told = [name for row in rows("| name of `dvidsync_dagster` | what |") for name in names(row[0])]
    assert sorted(told) == sorted(dvidsync_dagster.__all__)
    for name in told:
        assert getattr(dvidsync_dagster, name).__name__ == name


def test_the_exit_codes_are_those_of_the_command() -> None:
    told = {int(code): meaning for code, meaning in rows("| exit code | meaning |")}
    codes = {name: value for name, value in vars(exit_codes).items() if name.isupper()}
    assert set(told) == {value for value in codes.values() if isinstance(value, int)}
    helps = exit_codes.RUN_EXIT_CODES + exit_codes.COMPARE_EXIT_CODES + exit_codes.STATUS_EXIT_CODES
    explained = {int(code): meaning for code, meaning in re.findall(r"^  (\d)  (.+)$", helps, re.M)}
    assert set(explained) == set(told)
    for code in (2, 5, 6, 7):
        assert told[code] == explained[code]
