"""What Dagster loads: the configuration that ``DVIDSYNC_CONFIG`` names, or the checkout's ``defs`` folder."""

from __future__ import annotations

import gc
import os
from functools import cache
from pathlib import Path

import dagster as dg

CONFIG = "DVIDSYNC_CONFIG"

_CHECKOUT = Path(__file__).resolve().parents[1]
_NOTHING_YET = f"""
Nothing is configured yet, so nothing is followed. Either

* write a configuration file (YAML, or the JSON of the first dvidsync), set the environment variable
  `{CONFIG}` to its path, and start Dagster again; or
* in a checkout, run `dg scaffold defs dvidsync_dagster.DvidSyncComponent my_repo`, fill in
  `defs/my_repo/defs.yaml`, and reload this code location.
"""


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of this code location.

    Raises:
        ConfigurationError: the configuration is wrong; Dagster shows the message for the code location.
    """
    named = os.environ.get(CONFIG)
    if named:
        return _of_file(Path(named))
    if (_CHECKOUT / "pyproject.toml").exists() and any((_CHECKOUT / "defs").rglob("defs.yaml")):
        return _in_one_process(dg.load_from_defs_folder(path_within_project=_CHECKOUT))
    nothing = dg.AssetSpec("nothing_configured_yet", description=_NOTHING_YET)
    return _in_one_process(dg.Definitions(assets=[nothing]))


@cache
def _of_file(path: Path) -> dg.Definitions:
    """Dagster asks five times in the process of one run; to load them again it starts another process."""
    # What Dagster has loaded stays. Python would look through all of it for cycles, again and again, while
    # the rest is loaded.
    gc.freeze()
    from dvidsync_dagster.config import load_configs
    from dvidsync_dagster.orchestration.build import build_definitions
    from dvidsync_dagster.orchestration.templates import fill_templates

    return _in_one_process(build_definitions(*load_configs(path, fill_templates=fill_templates)))


def _in_one_process(loaded: dg.Definitions) -> dg.Definitions:
    """Also "Materialize" and backfills: a step of its own would outlive a run that is killed."""
    if loaded.executor is not None:
        return loaded
    return dg.Definitions.merge(loaded, dg.Definitions(executor=dg.in_process_executor))
