"""Labelmaps: supervoxels split and joined, bodies regrouped, counters raised."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from dvidsync_dagster.datatypes.commands import Command
from dvidsync_dagster.datatypes.contract import DataRepair
from dvidsync_dagster.datatypes.labelmap.comparison import MAPPING, SIZES
from dvidsync_dagster.datatypes.labelmap.counter_repair import (
    CLEAVE,
    RENUMBER,
    RESERVE_LABELS,
    repair_counters,
)
from dvidsync_dagster.datatypes.labelmap.misplaced import Misplaced, misplaced_in, steps
from dvidsync_dagster.datatypes.labelmap.missing_splits import MissingSplit, missing_splits
from dvidsync_dagster.datatypes.labelmap.own_splits import OwnSplit, own_splits
from dvidsync_dagster.datatypes.labelmap.regrouping import Planned, plan_labels
from dvidsync_dagster.datatypes.labelmap.server.commands import (
    CleaveBody,
    Label,
    MergeBodies,
    RenumberBody,
    Signature,
)
from dvidsync_dagster.datatypes.labelmap.server.seen import Contact
from dvidsync_dagster.datatypes.labelmap.server.untouched import is_own, last_mods_of
from dvidsync_dagster.datatypes.repairing import carry_out_or_leave
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.items import Found, ServerPair, find
from dvidsync_dagster.differences.work import ChangeKind, OwnEdit, Work
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.outgoing_text import counted

INDEX = ChangeKind("put index right")
SPLIT = ChangeKind("split supervoxel")
JOIN = ChangeKind("join supervoxels")
MERGE = ChangeKind("merge")

_VOXELS = "Voxels are not repaired: copy them (`raw` or `blocks`), or make a fresh copy."
_TORN = (
    "The destination's mapping names them, its indices do not: a crash has torn an operation. Run "
    "`dvidsync run`, which mends what it can, and repair again."
)
_AGAIN = "What stood before it is done; repair again, which starts from a new comparison."


class LabelmapRepair(DataRepair):
    """Splits supervoxels, joins those that only the destination has split, and regroups bodies as the source
    has them. Else voxels stay as they are."""

    def version(self, pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
        found, _ = find(MAPPING, pair)
        own = own_splits(found, pair)
        missing = missing_splits(found, pair) if found is not None else []
        bodies = {each.body for each in missing}
        bodies |= {body for each in own for body in (*each.bodies, *each.homes_at_source)}
        bodies |= _moved_between(found) if found is not None else set()
        # Before anything is changed.
        _note_own_edits(sorted(bodies), pair, work)
        work.begin(pair.source.version, pair.source.name, bodies)
        if work.plan(pair.source.version, pair.source.name, JOIN, own):
            _join(own, pair, work, carry_out)
            found, _ = find(MAPPING, pair)
            missing = missing_splits(found, pair) if found is not None else []
        # Operations go by the indices. After a dry run no comparison shows those of other bodies.
        suspects = bodies | _of_other_sizes(pair) if work.dry_run else bodies
        misplaced = _put_indices_right(suspects, pair, work, carry_out)
        if found is not None:
            joined = {each for split in own for each in (split.whole, *split.parts, *split.at_source)}
            foreseen = joined | {
                each for split in missing for each in (split.whole, *split.volume, split.remain)
            }
            self._regroup(found, missing, misplaced if work.dry_run else (), foreseen, pair, work, carry_out)

    def left(self, pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
        """Indices that list what the mapping has elsewhere."""
        _put_indices_right(_of_other_sizes(pair), pair, work, carry_out)

    def _regroup(
        self,
        found: Found,
        missing: Sequence[MissingSplit],
        misplaced: Sequence[Misplaced],
        foreseen: Collection[int],
        pair: ServerPair,
        work: Work,
        carry_out: CarryOut,
    ) -> None:
        """`misplaced`: what a dry run has not put right; `foreseen`: supervoxels that it would have made or
        taken away."""
        version, name = pair.source.version, pair.source.name
        if work.plan(version, name, SPLIT, missing):
            _split(missing, pair, work, carry_out)
            still, _ = find(MAPPING, pair)
            if still is None:
                return
            found = still
        is_foreseen = np.isin(found.keys, np.array(sorted(foreseen), np.uint64)) & work.dry_run
        here, there = found.at_source & ~found.at_destination, ~found.at_source & found.at_destination
        for what, mask in (("only at the source", here), ("only at the destination", there)):
            left = found.keys[mask & ~is_foreseen].tolist()
            work.leave(version, name, f"supervoxels {what}", left, _VOXELS)
        planned = _plan(found.only(found.at_source & found.at_destination), misplaced, pair, work)
        _note(planned, version, name, work)
        if planned:
            work.begin(version, name, _moved_between(found))
            _carry_out(planned, pair, work, carry_out)

    def instance(
        self,
        pairs: Sequence[ServerPair],
        root: str,
        work: Work,
        carry_out: CarryOut,
        foreseen: Sequence[Command],
    ) -> None:
        repair_counters(pairs, root, work, carry_out, foreseen)

    def own(self, found: Found, pair: ServerPair, work: Work, try_out: CarryOut) -> npt.NDArray[np.bool_]:
        """Bodies that people changed, and what is in them on either side."""
        columns = (found.source, found.destination) if found.kind is MAPPING else (found.keys,)
        bodies = {body for column in columns for body in column.tolist() if body}
        own = np.array(list(_own_among(sorted(bodies), pair, work)), np.uint64)
        mask: npt.NDArray[np.bool_] = np.logical_or.reduce([np.isin(column, own) for column in columns])
        return mask

    def why_left(self, items: str) -> str | None:
        return _VOXELS if items == SIZES.name else None


def _moved_between(found: Found) -> set[int]:
    """The bodies of supervoxels that both have."""
    moved = found.only(found.at_source & found.at_destination)
    return {*moved.source.tolist(), *moved.destination.tolist()}


def _of_other_sizes(pair: ServerPair) -> set[int]:
    found, _ = find(SIZES, pair)
    return set(found.keys.tolist()) if found is not None else set()


def _put_indices_right(
    labels: Collection[int], pair: ServerPair, work: Work, carry_out: CarryOut
) -> Sequence[Misplaced]:
    """Make the indices of bodies at the destination agree with its mapping; what was misplaced in them."""
    version, name = pair.source.version, pair.source.name
    destination = Labelmap(pair.destination.client, pair.destination.name)
    misplaced = misplaced_in(labels, destination, version)
    if work.plan(version, name, INDEX, misplaced):
        touched = sorted({body for each in misplaced for body in (each.index, each.body)})
        signatures = _signatures([(body,) for body in touched], pair, work)
        made = steps(misplaced, version, name, signatures)
        items = [[f"index of body {body}"] for body, _ in made]
        carry_out_or_leave([step for _, step in made], items, INDEX, work, carry_out)
    return misplaced


def _plan(found: Found, misplaced: Sequence[Misplaced], pair: ServerPair, work: Work) -> list[Planned]:
    moves: dict[int, dict[int, list[int]]] = {}
    for supervoxel, here, there in zip(
        found.keys.tolist(), found.source.tolist(), found.destination.tolist(), strict=True
    ):
        moves.setdefault(there, {}).setdefault(here, []).append(supervoxel)
    if not moves:
        return []
    version, name = pair.source.version, pair.source.name
    destination = Labelmap(pair.destination.client, pair.destination.name)
    targets = {body for pieces in moves.values() for body in pieces}
    asked = sorted(moves.keys() | targets)
    with ThreadPoolExecutor(work.in_flight) as pool:
        answers = pool.map(lambda body: destination.supervoxels(version, body), asked)
        parts = {body: set(found or ()) for body, found in zip(asked, answers, strict=True)}
    for each in misplaced:
        if each.listed_in == version:
            parts.get(each.index, set()).discard(each.supervoxel)
        parts.get(each.body, set()).add(each.supervoxel)
    bodies = {body for body, supervoxels in parts.items() if supervoxels}
    torn = [body for body in moves if body not in bodies]
    work.leave(version, name, "bodies without an index", torn, _TORN)
    whole = {label: pieces for label, pieces in moves.items() if label in bodies}
    keeping = {body for body in bodies if parts[body].difference(*whole.get(body, {}).values())}
    return plan_labels(whole, keeping, bodies, version=version, instance=name)


def _note(planned: Sequence[Planned], version: str, name: str, work: Work) -> None:
    texts: dict[ChangeKind, list[str]] = {CLEAVE: [], MERGE: [], RENUMBER: []}
    for each in planned:
        kind, text = _noted(each)
        # Labels that are only taken are no change that anybody looks for.
        if kind in texts:
            texts[kind].append(text)
    for kind, items in texts.items():
        work.plan(version, name, kind, items)


def _noted(planned: Planned) -> tuple[ChangeKind, str]:
    match planned.command:
        case CleaveBody() as cleave:
            count = len(cleave.supervoxels or ())
            return CLEAVE, f"{counted(count, 'supervoxel')} off {cleave.orig} for {planned.bodies[0]}"
        case MergeBodies() as merge:
            return MERGE, f"{planned.bodies[0]} from {len(merge.labels) + 1} bodies"
        case RenumberBody() as renumber:
            return RENUMBER, f"{_label(renumber.orig)} to {_label(renumber.new)}"
        case _:
            return RESERVE_LABELS, "one label"


def _note_own_edits(bodies: Sequence[int], pair: ServerPair, work: Work) -> None:
    """Of these bodies, which are not as at the source."""
    version, name = pair.source.version, pair.source.name
    work.own_edits += [
        OwnEdit(version, name, f"body {body}", last.user, last.time)
        for body, last in _own_among(bodies, pair, work).items()
    ]


def _own_among(bodies: Sequence[int], pair: ServerPair, work: Work) -> dict[int, LastMod]:
    """The bodies that people at the destination changed last, with that change."""
    if not work.met_at:
        return {}
    version = pair.source.version
    destination = Labelmap(pair.destination.client, pair.destination.name)
    with ThreadPoolExecutor(work.in_flight) as pool:
        lasts = last_mods_of(destination, version, bodies, pool)
    contact = Contact(work.met_at)
    return {body: last for body, last in lasts.items() if last is not None and is_own(last, contact)}


def _label(label: Label) -> str:
    return str(label) if isinstance(label, int) else "a new label"


def _split(missing: Sequence[MissingSplit], pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
    """Split, signed as the source's last change of the bodies: so a run sees that it has nothing to add."""
    version, name = pair.source.version, pair.source.name
    signatures = _signatures([(each.body,) for each in missing], pair, work)
    outcomes = carry_out([each.step(version, name, signatures[(each.body,)]) for each in missing])
    for split, outcome in zip(missing, outcomes, strict=True):
        for refusal in outcome.refusals:
            work.refused(version, name, SPLIT, [split], f"{refusal.found}. {_VOXELS}")


def _join(own: Sequence[OwnSplit], pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
    version, name = pair.source.version, pair.source.name
    signatures = _signatures([(body,) for each in own for body in each.bodies], pair, work)
    steps = [each.step(version, name, signatures, place) for place, each in enumerate(own)]
    carry_out_or_leave(steps, [[each] for each in own], JOIN, work, carry_out)


def _carry_out(planned: Sequence[Planned], pair: ServerPair, work: Work, carry_out: CarryOut) -> None:
    signatures = _signatures([each.bodies for each in planned], pair, work)
    outcomes = carry_out([each.step(signatures[each.bodies]) for each in planned])
    refused: dict[ChangeKind, list[tuple[str, str]]] = {}
    for each, outcome in zip(planned, outcomes, strict=True):
        if outcome.refusals:
            kind, text = _noted(each)
            refused.setdefault(kind, []).append((text, outcome.refusals[0].found))
    for kind, own in refused.items():
        why = f"{own[0][1]}. {_AGAIN}"
        work.refused(pair.source.version, pair.source.name, kind, [text for text, _ in own], why)


def _signatures(
    bodies_of: Iterable[tuple[int, ...]], pair: ServerPair, work: Work
) -> Mapping[tuple[int, ...], Signature]:
    """By bodies that commands bring to the source's state: user and mutation id of the source's last
    change to them. So a run that reads the log again sees that it has nothing to add."""
    if work.dry_run:
        return defaultdict(Signature)
    source = Labelmap(pair.source.client, pair.source.name)
    groups = list(dict.fromkeys(bodies_of))
    bodies = list(dict.fromkeys(body for group in groups for body in group))
    with ThreadPoolExecutor(work.in_flight) as pool:
        answers = pool.map(lambda body: source.last_mod(pair.source.version, body), bodies)
        known = {body: last for body, last in zip(bodies, answers, strict=True) if last is not None}
    own = pair.destination.client
    signatures = {}
    for group in groups:
        changes = [known[body] for body in group if body in known]
        last = max(changes, key=lambda each: each.mutation_id, default=LastMod(0, "", "", ""))
        user = last.user or own.user
        if last.mutation_id:
            signatures[group] = Signature(user, last.app, (0, last.mutation_id))
        else:
            # The source tells of no change. With a tag the body no longer counts as changed by people here.
            signatures[group] = Signature(user, own.app, (0, 0))
    return signatures
