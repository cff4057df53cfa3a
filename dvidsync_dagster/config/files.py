"""Configuration files: YAML (bare, or a Dagster component's), or the JSON of the first dvidsync."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dvidsync_dagster.config.first_dvidsync import from_first_config, is_first_config
from dvidsync_dagster.config.model import SyncConfig
from dvidsync_dagster.config.yaml_text import Malformed, read_documents
from dvidsync_dagster.errors import ConfigurationError

COMPONENT = "dvidsync_dagster.DvidSyncComponent"


def load_configs(
    path: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    fill_templates: Callable[[Any], Any] = lambda attributes: attributes,
) -> list[SyncConfig]:
    """Every configuration in a file: YAML or JSON, several in a YAML file with ``---`` between them.

    A document is either the fields themselves, or a component's ``type`` and ``attributes``, or the JSON
    of the first dvidsync (which may hold several repos). Only a component's attributes can hold templates.

    Raises:
        ConfigurationError: the file cannot be read, or a field in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        raise ConfigurationError(str(path), f"cannot be read: {why}", "Give the path of a file.") from None
    try:
        documents = read_documents(text)
    except Malformed as error:
        raise ConfigurationError(str(path), str(error), "Correct it.") from None
    if not documents:
        raise ConfigurationError(str(path), "is empty", "Give source, repo and destinations.")
    configs = [
        config
        for document in documents
        for config in _from_document(document, path.absolute().parent, environment, fill_templates)
    ]
    names = [config.repo_name for config in configs]
    if len(set(names)) < len(names):
        raise ConfigurationError("name", "is the same for two repos", "Give each a name of its own.")
    return configs


def _from_document(
    document: Any, folder: Path, environment: Mapping[str, str], fill_templates: Callable[[Any], Any]
) -> list[SyncConfig]:
    if is_first_config(document):
        return from_first_config(document, folder, environment)
    if isinstance(document, dict) and "attributes" in document:
        if not str(document.get("type")).endswith(".DvidSyncComponent"):
            raise ConfigurationError("type", "is another component", f"Use type: {COMPONENT}.")
        document = fill_templates(document["attributes"])
    return [SyncConfig.model_validate(document)]
