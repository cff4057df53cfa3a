"""All that is measured: each workload is a function from a size to a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import snapshot
from benchmarks.backlog import backlog
from benchmarks.compare import compare
from benchmarks.drain import drain
from benchmarks.people import BODIES, NEURONS, agglomeration, key_posts, labels, proofreading
from benchmarks.race import BOTH, Course, race
from benchmarks.result import Result
from benchmarks.setting import Setting
from benchmarks.tick import tick

VERSIONS = 3

SIZES = {"small": (0.01,), "usual": (0.1, 1.0), "large": (0.1, 1.0, 10.0)}
"""What is measured, as shares of the usual amount of work."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that is measured, at several sizes.

    Args:
        usual: how much work is usual.
        unit: what is counted.
        about: what it measures, and against what.
        only_large: it takes long also where the work is a tenth of the usual.
    """

    name: str
    run: Callable[[Setting, int], Result]
    usual: int
    unit: str
    about: str
    only_large: bool = False

    def sizes(self, size: str) -> list[int]:
        """How much work is measured: ascending; nothing where it would take too long."""
        if self.only_large:
            return [self.usual // 10, self.usual] if size == "large" else []
        return [round(self.usual * share) for share in SIZES[size]]


def labels_in_versions(setting: Setting, size: int) -> Result:
    """Label operations over committed versions."""
    return race(setting, Course("labels", size, labels(size), BODIES + size, VERSIONS, BOTH))


def labels_in_one(setting: Setting, size: int) -> Result:
    """The same in one open version, while people rest."""
    return race(setting, Course("open", size, labels(size), BODIES + size, 0, BOTH))


def values(setting: Setting, size: int) -> Result:
    """Keys, neurons and elements beside label operations."""
    return race(setting, Course("values", size, proofreading(size), BODIES + size, VERSIONS, BOTH))


def agglomerated(setting: Setting, size: int) -> Result:
    """Merges into few bodies."""
    return race(setting, Course("agglomeration", size, agglomeration(size), NEURONS + size, 0, BOTH))


def keys(setting: Setting, size: int) -> Result:
    """Posts of keys, most of them to a few."""
    return race(setting, Course("keys", size, key_posts(size), BODIES, 0, {"follow": "replay"}))


_OPERATIONS, _SUPERVOXELS = "operations", "supervoxels"

WORKLOADS = {
    each.name: each
    for each in (
        Workload(
            "labels",
            labels_in_versions,
            20_000,
            _OPERATIONS,
            "merges, 30 % cleaves, over three committed versions, beside one request for each",
        ),
        Workload("open", labels_in_one, 20_000, _OPERATIONS, "the same in one open version, people at rest"),
        Workload(
            "values",
            values,
            20_000,
            _OPERATIONS,
            "keys, neurons and elements beside label operations, over three committed versions",
        ),
        Workload("agglomeration", agglomerated, 20_000, _OPERATIONS, f"merges into {NEURONS} bodies"),
        Workload("keys", keys, 50_000, _OPERATIONS, "posts of keys, 80 % of them to 5 % of the keys"),
        Workload(
            "backlog",
            backlog,
            1_000_000,
            _OPERATIONS,
            "a whole run over merges, beside one request for each of the first 20,000",
            only_large=True,
        ),
        Workload(
            "drain",
            drain,
            400_000,
            "records",
            "reading a backlog in order, alone and into the archive, beside a poll loop that only counts",
        ),
        Workload(
            "tick", tick, 1_000, _OPERATIONS, "a run with nothing new after so many, beside Dagster alone"
        ),
        Workload(
            "tables", snapshot.tables, 1_000_000, _SUPERVOXELS, "a run into a snapshot, and what it writes"
        ),
        Workload(
            "first", snapshot.first, 1_000_000, _SUPERVOXELS, "the first snapshot, beside the download alone"
        ),
        Workload(
            "refresh", snapshot.refresh, 1_000_000, _SUPERVOXELS, "a run into a snapshot, beside a full dump"
        ),
        Workload(
            "compare", compare, 1_000_000, "bodies", "comparing two labelmaps, beside the download alone"
        ),
    )
}
