"""The label counter of a labelmap, and the highest label of each of its versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvidsync_dagster.datatypes.commands import Command, Step
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, Ids, PickedBy
from dvidsync_dagster.datatypes.labelmap.foreseen import counter_after
from dvidsync_dagster.datatypes.labelmap.server.commands import LabelCommand, RaiseHighest, ReserveBelow
from dvidsync_dagster.datatypes.repairing import carry_out_or_leave
from dvidsync_dagster.datatypes.server_side import CarryOut
from dvidsync_dagster.differences.items import ServerPair
from dvidsync_dagster.differences.work import ChangeKind, Work
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.repo import read_repo_info

CLEAVE = ChangeKind("cleave")
RENUMBER = ChangeKind("renumber")
RESERVE_LABELS = ChangeKind("reserve labels")
RAISE_HIGHEST = ChangeKind("raise maxlabel")

_NOT_LOWERED = (
    "It is not lowered: ids could come twice. Ids stay the source's, at a renumber for each cleave."
)
_TOKEN = "It takes the destination's admin token: name its variable in `admin_token_env`."
_AHEAD = "Raised so far, it would take the destination's label counter along, past the source's."


def repair_counters(
    pairs: Sequence[ServerPair], root: str, work: Work, carry_out: CarryOut, foreseen: Sequence[Command]
) -> None:
    """Raise both to the source's. Neither is ever lowered. Raises ServerError, OwnershipLost. See
    `DataRepair.instance`."""
    if not pairs:
        return
    first = pairs[0]
    source_repo = read_repo_info(first.source.client, root)
    destination_repo = read_repo_info(first.destination.client, root)
    highest = {pair.source.version: _source(pair).max_label(pair.source.version) for pair in pairs}
    # What is reserved in a version raises its highest label: so where the source's is highest.
    takes_labels = [pair for pair in pairs if not destination_repo.versions[pair.source.version].locked]
    where = max(takes_labels, key=lambda pair: highest[pair.source.version], default=first)
    _repair_counter(where, root, work, carry_out, foreseen)
    raised = _raised(first.source.name, where.source.version, work)
    for pair in pairs:
        # In a dry run these still stand as they did.
        if not (work.dry_run and raised & source_repo.ancestors(pair.source.version)):
            _repair_highest(pair, root, highest, work, carry_out)


def _source(pair: ServerPair) -> Labelmap:
    return Labelmap(pair.source.client, pair.source.name)


def _destination(pair: ServerPair) -> Labelmap:
    return Labelmap(pair.destination.client, pair.destination.name)


def _raised(name: str, reserved_in: str, work: Work) -> set[str]:
    """The versions whose highest label the changes raise."""
    raised = {change.version for change in work.planned(name, CLEAVE, RENUMBER)}
    return raised | {reserved_in} if work.planned(name, RESERVE_LABELS) else raised


def _repair_counter(
    pair: ServerPair, root: str, work: Work, carry_out: CarryOut, foreseen: Sequence[Command]
) -> None:
    """To lower it would hand out ids twice."""
    version, name = pair.source.version, pair.source.name
    destination = _destination(pair)
    here, there = _source(pair).next_label(version), destination.next_label(version)
    own = [each for each in foreseen if isinstance(each, LabelCommand) and each.instance == name]
    if own:
        state = CounterState(there, destination.next_label_was_set(root))
        there = counter_after(state, own, here, lambda label: _in_use(destination, version, label)).next_label
    if there > here and not work.shares_ids:
        work.leave("", name, "label counter", [f"next label: {here} here, {there} there"], _NOT_LOWERED)
    elif there < here:
        reserved = [f"{there} to {here - 1}"]
        if work.plan("", name, RESERVE_LABELS, reserved):
            step = Step(ReserveBelow(version=version, instance=name, next_label=here))
            carry_out_or_leave([step], [reserved], RESERVE_LABELS, work, carry_out, version="")


def _repair_highest(
    pair: ServerPair, root: str, highest: Mapping[str, int], work: Work, carry_out: CarryOut
) -> None:
    version, name = pair.source.version, pair.source.name
    destination = _destination(pair)
    here, there = highest[version], destination.max_label(version)
    if here <= there:
        return
    wanted = [f"from {there} to {here}"]
    if not pair.destination.client.has_admin_token:
        work.leave(version, name, RAISE_HIGHEST, wanted, _TOKEN)
    elif not (work.dry_run or work.shares_ids) and _would_move_counter(destination, root, here):
        work.leave(version, name, RAISE_HIGHEST, wanted, _AHEAD)
    elif work.plan(version, name, RAISE_HIGHEST, wanted):
        step = Step(RaiseHighest(version=version, instance=name, max_label=here))
        carry_out_or_leave([step], [wanted], RAISE_HIGHEST, work, carry_out)


def _would_move_counter(destination: Labelmap, root: str, label: int) -> bool:
    state = CounterState(destination.next_label(root), destination.next_label_was_set(root))
    return Ids(label, label, PickedBy.REQUEST).move(state)


def _in_use(destination: Labelmap, version: str, label: int) -> bool:
    return destination.mapping(version, [label]) != [0]
