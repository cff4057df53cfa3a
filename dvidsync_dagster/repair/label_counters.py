"""The label counter of a labelmap, and the highest label of each of its versions."""

from __future__ import annotations

from dvidsync_dagster.compare.instances import Twins
from dvidsync_dagster.compare.scene import Scene
from dvidsync_dagster.datatypes.labelmap.counter_rule import CounterState, Ids, PickedBy
from dvidsync_dagster.differences.items import Pair
from dvidsync_dagster.differences.work import Work
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RequestRefused

_RESERVE = "reserve labels"
_TOKEN = "It takes the destination's admin token: name its variable in `admin_token_env`."
_AHEAD = "Raised so far, it would take the destination's label counter along, past the source's."


def repair_counters(scene: Scene, twins: Twins, work: Work) -> None:
    """Raise both to the source's. Neither is ever lowered. Raises ServerError, OwnershipLost."""
    versions = scene.shared_versions()
    if not versions:
        return
    source = Labelmap(scene.source, twins.source.name)
    # What is reserved in a version raises its highest label: so where the source's is highest.
    takes_labels = [version for version in versions if not scene.copy_repo.versions[version].locked]
    where = max(takes_labels, key=source.max_label, default=versions[0])
    _repair_counter(scene.pair(where, twins), work)
    raised = {
        where if change.what == _RESERVE else change.version
        for change in work.changes
        if change.instance == twins.source.name and change.what in (_RESERVE, "cleave", "renumber")
    }
    for version in versions:
        # In a dry run these still stand as they did.
        if not (work.dry_run and raised & scene.source_repo.ancestors(version)):
            _repair_max_label(scene.pair(version, twins), scene.copy_repo.root, work)


def _repair_counter(pair: Pair, work: Work) -> None:
    """To lower it would hand out ids twice. In a dry run the cleaves that are planned count as done: each
    takes an id."""
    copy = Labelmap(pair.copy.client, pair.copy.name)
    here = Labelmap(pair.source.client, pair.source.name).next_label(pair.source.version)
    there = copy.next_label(pair.copy.version)
    name = pair.source.name
    if work.dry_run:
        planned = (each for each in work.changes if (each.instance, each.what) == (name, "cleave"))
        there += sum(each.count for each in planned)
    if there > here:
        why = "It is not lowered: ids could come twice. Ids stay the source's, at a renumber for each cleave."
        work.leave("", name, "label counter", [f"next label: {here} here, {there} there"], why)
        return
    reserved = [f"{there} to {here - 1}"]
    if there < here and work.plan("", name, _RESERVE, reserved):
        work.still_owner()
        try:
            copy.reserve(pair.copy.version, here - there)
        except RequestRefused as refusal:
            work.leave("", name, _RESERVE, reserved, str(refusal))


def _repair_max_label(pair: Pair, root: str, work: Work) -> None:
    version, name = pair.source.version, pair.source.name
    copy = Labelmap(pair.copy.client, pair.copy.name)
    here = Labelmap(pair.source.client, name).max_label(version)
    there = copy.max_label(version)
    if here <= there:
        return
    what, wanted = "raise maxlabel", [f"from {there} to {here}"]
    if not pair.copy.client.has_admin_token:
        work.leave(version, name, what, wanted, _TOKEN)
    elif not work.dry_run and _would_move_counter(copy, root, here):
        work.leave(version, name, what, wanted, _AHEAD)
    elif work.plan(version, name, what, wanted):
        work.still_owner()
        try:
            copy.raise_max_label(version, here)
        except RequestRefused as refusal:
            work.leave(version, name, what, wanted, str(refusal))


def _would_move_counter(copy: Labelmap, root: str, label: int) -> bool:
    state = CounterState(copy.next_label(root), copy.next_label_was_set(root))
    return Ids(label, label, PickedBy.REQUEST).move(state)
