"""The JSON of the first dvidsync (2017), accepted as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from dvidsync_dagster.config.fields import Part, WrongValue
from dvidsync_dagster.config.model import SyncConfig
from dvidsync_dagster.errors import ConfigurationError

SOURCE_TOKEN = "DVIDSYNC_SOURCE_TOKEN"
DESTINATION_TOKEN = "DVIDSYNC_DESTINATION_TOKEN"
DESTINATION_ADMIN_TOKEN = "DVIDSYNC_DESTINATION_ADMIN_TOKEN"


class FirstRepo(Part):
    """What was selected of one repo."""

    branches: list[str] = Field(
        default_factory=lambda: ["all"], description='the branches to follow, or ["all"]'
    )
    datauuids: list[list[str]] = Field(description="the instances to follow, as pairs [NAME, DATAUUID]")

    @field_validator("datauuids")
    @classmethod
    def _check_pairs(cls, pairs: list[list[str]]) -> list[list[str]]:
        if not all(len(pair) == 2 for pair in pairs):
            raise WrongValue("holds what is not a pair", "Write each instance as [NAME, DATAUUID].")
        return pairs


class FirstConfig(Part):
    """``{source, destination, repoinfo, kafkaservers, log}``."""

    source: str = Field(description="the source's address as HOST:PORT or URL")
    destination: str = Field(description="the destination's address as HOST:PORT or URL")
    repoinfo: dict[str, FirstRepo] = Field(description="by root UUID, the branches and datauuids to follow")
    kafkaservers: list[str] | None = Field(default=None, description='the brokers, such as ["kafka1:9092"]')
    log: str | None = Field(default=None, description="the file that keeps the checkpoint")

    @field_validator("repoinfo")
    @classmethod
    def _check_repos(cls, repos: dict[str, FirstRepo]) -> dict[str, FirstRepo]:
        if not repos:
            raise WrongValue("names no repo", "Add a root UUID with its branches and datauuids.")
        return repos

    @field_validator("kafkaservers", mode="before")
    @classmethod
    def _split_servers(cls, servers: object) -> object:
        return [part.strip() for part in servers.split(",")] if isinstance(servers, str) else servers


def is_first_config(data: Any) -> bool:
    """Whether `data` is a configuration of the first dvidsync."""
    return isinstance(data, dict) and "repoinfo" in data


def from_first_config(
    data: Mapping[str, Any], folder: Path, environment: Mapping[str, str] = os.environ
) -> list[SyncConfig]:
    """One configuration per root.

    A `log` without a folder stands in `folder`. Tokens are those of the environment's ``DVIDSYNC_…_TOKEN``
    variables, where they are set.

    Raises:
        ConfigurationError: a field is wrong.
    """
    first = FirstConfig.model_validate(data)

    def named(variable: str) -> str | None:
        return variable if environment.get(variable) else None

    configs = []
    for root, repo in first.repoinfo.items():
        try:
            config = SyncConfig.model_validate(
                {
                    "source": {"url": _with_scheme(first.source), "token_env": named(SOURCE_TOKEN)},
                    "repo": root,
                    "branches": repo.branches,
                    "instances": [{"name": name, "data_uuid": uuid} for name, uuid in repo.datauuids],
                    "kafka": {"servers": first.kafkaservers},
                    "destinations": [
                        {
                            "name": "destination",
                            "url": _with_scheme(first.destination),
                            "token_env": named(DESTINATION_TOKEN),
                            "admin_token_env": named(DESTINATION_ADMIN_TOKEN),
                            "start": "beginning",
                            "checkpoint_file": str(folder / first.log) if first.log else None,
                        }
                    ],
                }
            )
        except ConfigurationError as error:
            raise ConfigurationError(_first_field(error.field, root), error.found, error.remedy) from None
        configs.append(config)
    return configs


def _first_field(field: str, root: str) -> str:
    """The name that a field has in the JSON of 2017."""
    for start, name in (
        ("source", "source"),
        ("destinations", "destination"),
        ("branches", f"repoinfo.{root}.branches"),
        ("instances", f"repoinfo.{root}.datauuids"),
        ("kafka.servers", "kafkaservers"),
    ):
        if field.startswith(start):
            return name
    return f"repoinfo.{root}"


def _with_scheme(address: str) -> str:
    return address if "://" in address else f"http://{address}"
