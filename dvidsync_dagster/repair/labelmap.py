"""Labelmaps: bodies regrouped."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dvidsync_dagster.compare.labelmap import find_mapping
from dvidsync_dagster.datatypes.labelmap.server.tags import tagged
from dvidsync_dagster.differences.items import Found, Pair
from dvidsync_dagster.differences.work import Work
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.errors import RequestRefused
from dvidsync_dagster.repair.label_plan import Cleave, Merge, Renumber, Step, plan_labels
from dvidsync_dagster.repair.label_steps import LabelSteps

LABELS_PER_MERGE = 50_000
"""A merge message over 980 kB never reaches Kafka."""

VOXELS = "Voxels are not repaired: copy them (`raw` or `blocks`), or make a fresh copy."


@dataclass(frozen=True)
class _ServerBodies:
    """The bodies of one version at the destination.

    Each request carries user and mutation id of the source's last change to the bodies that it brings to the
    source's state. So a run that reads the log again sees that it has nothing to add.
    """

    source: Labelmap
    copy: Labelmap
    version: str

    def next_label(self) -> int:
        return self.copy.next_label(self.version)

    def in_use(self, label: int) -> bool:
        there = self.copy.supervoxels(self.version, label) is not None
        return there or self.copy.mapping(self.version, [label]) != [0]

    def reserve(self, count: int) -> int:
        return self.copy.reserve(self.version, count)[0]

    def cleave(self, label: int, supervoxels: Sequence[int], bodies: Sequence[int]) -> int:
        user, app = self._signature(bodies)
        return self.copy.cleave(self.version, label, supervoxels, user=user, app=app)

    def merge(self, target: int, labels: Sequence[int], bodies: Sequence[int]) -> None:
        user, app = self._signature(bodies)
        for start in range(0, len(labels), LABELS_PER_MERGE):
            some = labels[start : start + LABELS_PER_MERGE]
            self.copy.merge(self.version, target, some, user=user, app=app)

    def renumber(self, new: int, old: int, bodies: Sequence[int]) -> None:
        user, app = self._signature(bodies)
        self.copy.renumber(self.version, new, old, user=user, app=app)

    def _signature(self, bodies: Sequence[int]) -> tuple[str, str]:
        known = [last for body in bodies if (last := self.source.last_mod(self.version, body)) is not None]
        last = max(known, key=lambda each: each.mutation_id, default=LastMod(0, "", "", ""))
        app = tagged(last.app, (0, last.mutation_id)) if last.mutation_id else self.copy.client.app
        return last.user or self.copy.client.user, app


def repair_labelmap(pair: Pair, work: Work) -> None:
    """Regroup the bodies of one version. Raises ServerError, OwnershipLost."""
    version, name = pair.source.version, pair.source.name
    copy = Labelmap(pair.copy.client, pair.copy.name)
    source = Labelmap(pair.source.client, name)
    found, _ = find_mapping(pair)
    if found is not None:
        here, there = found.at_source & ~found.at_copy, ~found.at_source & found.at_copy
        for what, mask in (("only at the source", here), ("only at the destination", there)):
            work.leave(version, name, f"supervoxels {what}", found.keys[mask].tolist(), VOXELS)
        steps = _plan(found.only(found.at_source & found.at_copy), copy, version, work)
        _note(steps, version, name, work)
        if steps and not work.dry_run:
            _take(steps, _ServerBodies(source, copy, version), source.next_label(version), name, work)


def _plan(found: Found, copy: Labelmap, version: str, work: Work) -> list[Step]:
    moves: dict[int, dict[int, list[int]]] = {}
    for supervoxel, here, there in zip(
        found.keys.tolist(), found.source.tolist(), found.copy.tolist(), strict=True
    ):
        moves.setdefault(there, {}).setdefault(here, []).append(supervoxel)
    if not moves:
        return []
    targets = {body for pieces in moves.values() for body in pieces}
    asked = sorted(moves.keys() | targets)
    with ThreadPoolExecutor(work.in_flight) as pool:
        parts = dict(zip(asked, pool.map(lambda body: copy.supervoxels(version, body), asked), strict=True))
    bodies = {body for body, supervoxels in parts.items() if supervoxels}
    torn = [body for body in moves if body not in bodies]
    work.leave(
        version,
        copy.name,
        "bodies without an index",
        torn,
        "The destination's mapping names them, its indices do not: a crash has torn an operation. Run "
        "`dvidsync run`, which mends what it can, and repair again.",
    )
    whole = {label: pieces for label, pieces in moves.items() if label in bodies}
    keeping = {body for body in bodies if set(parts[body] or ()).difference(*whole.get(body, {}).values())}
    return plan_labels(whole, keeping, bodies)


def _note(steps: Sequence[Step], version: str, name: str, work: Work) -> None:
    cleaves = [step for step in steps if isinstance(step, Cleave)]
    merges = [step for step in steps if isinstance(step, Merge)]
    renumbers = [step for step in steps if isinstance(step, Renumber)]
    work.plan(
        version,
        name,
        "cleave",
        [f"{len(step.supervoxels)} supervoxels off {step.label} for {step.body}" for step in cleaves],
    )
    work.plan(
        version,
        name,
        "merge",
        [f"{step.body} from {len(step.labels) + 1} bodies" for step in merges],
    )
    work.plan(version, name, "renumber", [f"{_shown(step.old)} to {_shown(step.new)}" for step in renumbers])


def _shown(label: object) -> str:
    return str(label) if isinstance(label, int) else "a new label"


def _take(steps: Sequence[Step], bodies: _ServerBodies, ceiling: int, name: str, work: Work) -> None:
    taking = LabelSteps(bodies, ceiling=ceiling, in_flight=work.in_flight, still_owner=work.still_owner)
    try:
        taking.take(steps)
    except RequestRefused as refusal:
        why = f"{refusal}. What stood before it is done; repair again, which starts from a new comparison."
        work.leave(bodies.version, name, "a label operation", [refusal.request], why)
