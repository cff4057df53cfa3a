"""Copies of DVID servers that follow their source, driven by Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dvidsync_dagster.config import SyncConfig
    from dvidsync_dagster.orchestration.build import build_definitions
    from dvidsync_dagster.orchestration.component import DvidSyncComponent

__all__ = ["DvidSyncComponent", "SyncConfig", "build_definitions"]


def __getattr__(name: str) -> Any:
    """Import on first use: Dagster takes seconds to load, and most of the package does without it."""
    match name:
        case "DvidSyncComponent":
            from dvidsync_dagster.orchestration.component import DvidSyncComponent

            return DvidSyncComponent
        case "SyncConfig":
            from dvidsync_dagster.config import SyncConfig

            return SyncConfig
        case "build_definitions":
            from dvidsync_dagster.orchestration.build import build_definitions

            return build_definitions
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
