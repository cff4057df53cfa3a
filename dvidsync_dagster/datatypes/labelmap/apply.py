"""Labelmap operations repeated at a destination, one instance at a time.

Every request carries the source's user, and in `app` the tag that tells a later run how far a body is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from dvidsync_dagster.datatypes.labelmap.claims import REACH
from dvidsync_dagster.datatypes.labelmap.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.messages import (
    BodyMutation,
    BurnLabels,
    Cleave,
    LabelMutation,
    Merge,
    RaiseMaxLabel,
    Renumber,
    ReserveLabels,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.tags import tagged
from dvidsync_dagster.dvid import sparsevol
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.plan.outcome import ALREADY_THERE, DONE, Outcome, Refusal, refused


@dataclass(frozen=True, slots=True)
class LabelmapWriter:
    """Applies the steps of one labelmap instance.

    Args:
        source, destination: the instance on both servers.
        counter: the destination's label counter.
        is_there: looks at the destination and tells whether one operation has been applied.
        note: says something once per run.
    """

    source: Labelmap
    destination: Labelmap
    counter: LabelCounter
    is_there: Callable[[BodyMutation], bool]
    note: Callable[[str], None]

    def apply(
        self, request: LabelMutation, members: Sequence[object] = (), *, doubtful: bool = False
    ) -> Outcome:
        """Repeat an operation.

        Args:
            members: what it is made of, if it stands for several.
            doubtful: it may be half done already; look before repeating.

        Raises:
            AnswerLost, ServerUnreachable, ServerFailed: the destination did not answer; look again later.
        """
        try:
            return self._apply(request, members, doubtful)
        except RequestRefused as refusal:
            return refused(str(refusal))

    def _apply(self, request: LabelMutation, members: Sequence[object], doubtful: bool) -> Outcome:
        match request:
            case Merge() as merge:
                return self._merge(merge, members)
            case Cleave() as cleave:
                with self.counter.lock:
                    return self._cleave(cleave, doubtful)
            case Renumber() as renumber:
                return self._renumber(renumber, doubtful)
            case SplitSupervoxel() as split:
                return self._split_supervoxel(split)
            case Split() as split:
                with self.counter.lock:
                    return self._split(split)
            case ReserveLabels() | BurnLabels() | RaiseMaxLabel() | SetNextLabel() as change:
                with self.counter.lock:
                    return self._move_counter(change)
        raise TypeError(f"no labelmap operation: {request!r}")

    # Bodies

    def _merge(self, merge: Merge, members: Sequence[object]) -> Outcome:
        try:
            self.destination.merge(merge.version, merge.target, merge.labels, **_signature(merge))
            return DONE
        except RequestRefused as refusal:
            if len(members) > 1:
                return self._one_by_one(members)
            if self.is_there(merge):
                return ALREADY_THERE
            if "already in index" in refusal.text:
                return self._drop_merged_indices(merge)
            return refused(refusal.text)

    def _one_by_one(self, members: Sequence[object]) -> Outcome:
        """A combined request is refused whole if one label is: take it apart."""
        already_there = 0
        refusals: list[Refusal] = []
        for position, member in enumerate(members):
            assert isinstance(member, Merge)
            outcome = self.apply(member)
            already_there += outcome.already_there
            refusals += [Refusal(position, refusal.found) for refusal in outcome.refusals]
        return Outcome(already_there, tuple(refusals))

    def _drop_merged_indices(self, merge: Merge) -> Outcome:
        """A server that was killed in mid-merge can keep the indices of what it merged."""
        for label in merge.labels:
            if self.destination.last_mod(merge.version, label) is not None:
                self.destination.delete_index(merge.version, label)
        return DONE

    def _cleave(self, cleave: Cleave, doubtful: bool) -> Outcome:
        supervoxels = self._cleaved_supervoxels(cleave)
        if doubtful:
            outcome = self._finish_cleave(cleave, supervoxels)
            if outcome is not None:
                return outcome
        self.counter.prepare(cleave.version, cleave.new)
        try:
            label = self.destination.cleave(cleave.version, cleave.orig, supervoxels, **_signature(cleave))
        except RequestRefused as refusal:
            self.counter.read_again(cleave.version)
            return ALREADY_THERE if self.is_there(cleave) else refused(refusal.text)
        self.counter.took(label)
        return DONE if label == cleave.new else self._rename(cleave, cleave.new, label)

    def _finish_cleave(self, cleave: Cleave, supervoxels: tuple[int, ...]) -> Outcome | None:
        """What an interrupted run or a killed server left of a cleave; None if there is nothing of it."""
        bodies = set(self.destination.mapping(cleave.version, supervoxels))
        if bodies == {cleave.new}:
            return ALREADY_THERE
        index = self.destination.supervoxels(cleave.version, cleave.new)
        if index is not None and set(supervoxels) <= set(index) and bodies == {cleave.orig}:
            return self.mend_cleave(cleave, supervoxels)
        if len(bodies) == 1 and index is None:
            (body,) = bodies
            made = self.destination.last_mod(cleave.version, body) if body not in (0, cleave.orig) else None
            if made is not None and made.app == _signature(cleave)["app"]:
                return self._rename(cleave, cleave.new, body)
        return None

    def mend_cleave(self, cleave: Cleave, supervoxels: tuple[int, ...]) -> Outcome:
        """Both indices are new, the mapping is old: a server that was killed left it so. Posting the cleave
        again would answer 200 and map the supervoxels to a further label with an empty index."""
        self.destination.map_supervoxels(cleave.version, {cleave.new: supervoxels, 0: [cleave.new]})
        return DONE

    def torn_cleave(self, cleave: Cleave) -> bool:
        """True if the indices say that the cleave is done and the mapping says that it is not."""
        supervoxels = self._cleaved_supervoxels(cleave)
        if set(self.destination.mapping(cleave.version, supervoxels)) != {cleave.orig}:
            return False
        index = self.destination.supervoxels(cleave.version, cleave.new)
        return index is not None and set(supervoxels) <= set(index)

    def mend_if_torn(self, cleave: Cleave) -> bool:
        """Mend a cleave that a killed server left torn; True if it was."""
        only_started = cleave.supervoxels is None and not cleave.data_ref
        if only_started or not self.torn_cleave(cleave):
            return False
        self.mend_cleave(cleave, self._cleaved_supervoxels(cleave))
        return True

    def _cleaved_supervoxels(self, cleave: Cleave) -> tuple[int, ...]:
        if cleave.supervoxels is not None:
            return cleave.supervoxels
        where = f"blob {cleave.data_ref} of {self.source.name} (cleave {cleave.mutation_id})"
        try:
            found = orjson.loads(self.source.blob(cleave.version, cleave.data_ref))["CleavedSupervoxels"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ServerFailed(where, f"is no announcement of a cleave: {error!r}") from error
        if not isinstance(found, list) or not all(type(item) is int and 0 < item < 2**64 for item in found):
            raise ServerFailed(where, "holds something else than supervoxels")
        return tuple(found)

    def _rename(self, mutation: BodyMutation, wanted: int, got: int) -> Outcome:
        """The server picked another label than the source did."""
        try:
            self.destination.renumber(mutation.version, wanted, got, **_signature(mutation))
        except RequestRefused as refusal:
            return refused(f"the body is there as {got}, but cannot get its label {wanted}: {refusal.text}")
        self.counter.passed(wanted)
        return DONE

    def _renumber(self, renumber: Renumber, doubtful: bool) -> Outcome:
        try:
            self.destination.renumber(renumber.version, renumber.new, renumber.orig, **_signature(renumber))
        except RequestRefused as refusal:
            if self.is_there(renumber):
                return ALREADY_THERE
            if doubtful and "already exists" in refusal.text:
                made = self.destination.last_mod(renumber.version, renumber.new)
                if made is not None and made.app == _signature(renumber)["app"]:
                    left = self.destination.last_mod(renumber.version, renumber.orig)
                    if left is None or left.mutation_id > made.mutation_id:
                        # The old label has been given to another body since.
                        return ALREADY_THERE
                    # A killed server wrote the new index and did not delete the old one.
                    self.destination.delete_index(renumber.version, renumber.orig)
                    return DONE
            return refused(refusal.text)
        with self.counter.lock:
            self.counter.passed(renumber.new)
        return DONE

    def _split_supervoxel(self, split: SplitSupervoxel) -> Outcome:
        volume = self._volume(split, split.volume)
        with self.counter.lock:
            self._pass_given_ids(split)
            try:
                self.destination.split_supervoxel(
                    split.version,
                    split.supervoxel,
                    split.split,
                    split.remain,
                    sparsevol.request_body(volume),
                    **_signature(split),
                )
            except RequestRefused as refusal:
                self.counter.read_again(split.version)
                return ALREADY_THERE if self.is_there(split) else refused(refusal.text)
            self.counter.passed(max(split.taken))
            return DONE

    def _split(self, split: Split) -> Outcome:
        """The `split` endpoint picks ids of its own, so: split each supervoxel, then cleave the split parts.

        Each of these requests is judged alone, so that an interrupted one goes on where it was.
        """
        self._pass_given_ids(split)
        volume = self._volume(split, split.volume)
        where = f"split {split.mutation_id} of body {split.target}"
        bodies = self.destination.mapping(split.version, [part for part, _, _ in split.parts])
        for (supervoxel, part, remain), body in zip(split.parts, bodies, strict=True):
            if body == 0:
                continue
            inside = sparsevol.intersect(
                volume,
                sparsevol.parse_runs(
                    self.destination.sparsevol(split.version, supervoxel), where, header=True
                ),
            )
            try:
                self.destination.split_supervoxel(
                    split.version,
                    supervoxel,
                    part,
                    remain,
                    sparsevol.request_body(inside),
                    **_signature(split),
                )
            except RequestRefused as refusal:
                self.counter.read_again(split.version)
                return refused(refusal.text)
            self.counter.passed(max(part, remain))
        parts = tuple(part for _, part, _ in split.parts)
        bodies_now = set(self.destination.mapping(split.version, parts))
        if bodies_now == {split.new}:
            return ALREADY_THERE
        if bodies_now == {split.target}:
            self.counter.prepare(split.version, split.new)
            try:
                label = self.destination.cleave(split.version, split.target, parts, **_signature(split))
            except RequestRefused as refusal:
                self.counter.read_again(split.version)
                return refused(refusal.text)
            self.counter.took(label)
        elif len(bodies_now) == 1 and 0 not in bodies_now:
            (label,) = bodies_now
        else:
            return refused(f"the split parts belong to bodies {sorted(bodies_now)[:5]}")
        return DONE if label == split.new else self._rename(split, split.new, label)

    def _pass_given_ids(self, split: SplitSupervoxel | Split) -> None:
        """A counter that was set does not move past ids that a request names. The source's did, if it had
        picked them; and a cleave that got such an id would take the supervoxel's mapping with it."""
        last = max(split.taken)
        if self.counter.was_set and self.counter.expected <= last <= self.counter.expected + REACH:
            self.counter.bring_to(split.version, last + 1)

    def _volume(self, mutation: SplitSupervoxel | Split, reference: str) -> sparsevol.Runs:
        where = f"blob {reference} of {self.source.name} ({mutation.action} {mutation.mutation_id})"
        return sparsevol.parse_runs(self.source.blob(mutation.version, reference), where, header=False)

    # The counter

    def _move_counter(self, change: ReserveLabels | BurnLabels | RaiseMaxLabel | SetNextLabel) -> Outcome:
        name = self.destination.name
        match change:
            case ReserveLabels():
                self.counter.burned(change.last)
            case BurnLabels():
                self.counter.burned(max(change.labels))
            case RaiseMaxLabel() if self.destination.client.has_admin_token:
                self.destination.raise_max_label(change.version, change.max_label)
                self.counter.passed(change.max_label)
            case RaiseMaxLabel():
                self.note(
                    f"{name}: maxlabel was raised at the source, which needs an admin token at the "
                    f"destination (admin_token_env); without it maxlabel differs, labels do not"
                )
                if not self.counter.was_set:
                    self.counter.burned(change.max_label)
            case SetNextLabel() if self.destination.client.has_admin_token:
                self.counter.set_to(change.version, change.next_label, change.ceiling)
            case SetNextLabel():
                self.note(
                    f"{name}: set-nextlabel was used at the source, which needs an admin token at the "
                    f"destination (admin_token_env); without it its counter can run ahead, and labels that "
                    f"it picks are renumbered to the source's"
                )
                self.counter.burned(change.next_label)
        return DONE


def _signature(mutation: BodyMutation) -> dict[str, str]:
    """User, and app with the tag, as a body keeps them."""
    return {"user": mutation.user, "app": tagged(mutation.app, mutation.rank)}
