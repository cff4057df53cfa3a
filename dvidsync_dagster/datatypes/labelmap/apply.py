"""Labelmap operations repeated at a destination, one instance at a time.

Every request carries the source's user, and in `app` the tag that tells a later run how far a body is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dvidsync_dagster.datatypes.labelmap.blobs import cleaved_supervoxels, split_volume
from dvidsync_dagster.datatypes.labelmap.counter import LabelCounter
from dvidsync_dagster.datatypes.labelmap.events import (
    BodyEvent,
    BurnLabels,
    Cleave,
    LabelEvent,
    Merge,
    RaiseMaxLabel,
    Renumber,
    ReserveLabels,
    SetNextLabel,
    Split,
    SplitSupervoxel,
)
from dvidsync_dagster.datatypes.labelmap.tags import tagged
from dvidsync_dagster.datatypes.labelmap.torn_split import TornSplit
from dvidsync_dagster.dvid import sparsevol
from dvidsync_dagster.dvid.labelmap import Labelmap, LastMod
from dvidsync_dagster.errors import RefusalReason, RequestRefused, ServerFailed
from dvidsync_dagster.plan.outcome import ALREADY_THERE, DONE, Outcome, Refusal, refused, refused_by


@dataclass(frozen=True, slots=True)
class LabelmapWriter:
    """Applies the steps of one labelmap instance.

    Args:
        source, destination: the instance on both servers.
        counter: the destination's label counter.
        is_there: looks at the destination and tells whether one operation has been applied.
        goes_on: a refused operation is left out; if not, nothing that comes after it may be applied, as its
            tag would hide what is missing.
        note: says something once per run.
    """

    source: Labelmap
    destination: Labelmap
    counter: LabelCounter
    is_there: Callable[[BodyEvent], bool]
    goes_on: bool
    note: Callable[[str], None]

    def apply(
        self, request: LabelEvent, members: Sequence[object] = (), *, doubtful: bool = False
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
            return Outcome(refusals=(Refusal(0, str(refusal), refusal.reason),))

    def _apply(self, request: LabelEvent, members: Sequence[object], doubtful: bool) -> Outcome:
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
                    self.counter.follow(change)
                    return DONE
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
            done = self._made(merge, merge.target) is not None
            done |= refusal.reason is RefusalReason.ALREADY_IN_INDEX
            if done and self._drop_merged_indices(merge):
                return DONE
            return refused_by(refusal)

    def _one_by_one(self, members: Sequence[object]) -> Outcome:
        """A combined request is refused whole if one label is: take it apart."""
        already_there = 0
        refusals: list[Refusal] = []
        for position, member in enumerate(members):
            assert isinstance(member, Merge)
            outcome = self.apply(member)
            already_there += outcome.already_there
            refusals += [replace(refusal, member=position) for refusal in outcome.refusals]
            if refusals and not self.goes_on:
                break
        return Outcome(already_there, tuple(refusals))

    def _drop_merged_indices(self, merge: Merge) -> bool:
        """A server that was killed in mid-merge can keep indices of what it merged; True if it was so."""
        merged = set(self.destination.supervoxels(merge.version, merge.target) or ())
        found = {label: self.destination.supervoxels(merge.version, label) for label in merge.labels}
        left = [label for label, parts in found.items() if parts is not None and merged.issuperset(parts)]
        for label in left:
            self.destination.delete_index(merge.version, label)
        return bool(left)

    def _cleave(self, cleave: Cleave, doubtful: bool) -> Outcome:
        return self._cleave_off(cleave, cleave.orig, cleaved_supervoxels(cleave, self.source), doubtful)

    def _cleave_off(
        self, event: Cleave | Split, orig: int, supervoxels: tuple[int, ...], doubtful: bool
    ) -> Outcome:
        if doubtful:
            outcome = self._finish_cleave(event, orig, supervoxels)
            if outcome is not None:
                return outcome
        self.counter.prepare(event.version, event.new)
        if self.counter.next_label != event.new:
            # Its id is gone already, perhaps by an earlier try: one that is refused would burn another.
            stray = self._elsewhere(event.version, orig, supervoxels)
            if stray is not None:
                return ALREADY_THERE if self.is_there(event) else refused(stray)
        try:
            label = self.destination.cleave(event.version, orig, supervoxels, **_signature(event))
        except RequestRefused as refusal:
            self.counter.read_again(event.version)
            return ALREADY_THERE if self.is_there(event) else refused_by(refusal)
        if label != event.new and supervoxels and self._made(event, label) is None:
            raise ServerFailed(f"POST cleave/{orig}", f"answered with body {label}, which is another one")
        self.counter.took(label)
        # Where nothing was cleaved there is no body to rename.
        if label == event.new or not supervoxels:
            return DONE
        return self._rename(event, event.new, label)

    def _elsewhere(self, version: str, orig: int, supervoxels: tuple[int, ...]) -> str | None:
        """Why a cleave would be refused: a supervoxel that is in another body."""
        for supervoxel, body in zip(supervoxels, self.destination.mapping(version, supervoxels), strict=True):
            if body != orig:
                where = f"which is in body {body}, not in {orig}" if body else "which does not exist"
                return f"cannot cleave supervoxel {supervoxel}, {where}"
        return None

    def _finish_cleave(
        self, event: Cleave | Split, orig: int, supervoxels: tuple[int, ...]
    ) -> Outcome | None:
        """What an interrupted run or a killed server left of a cleave; None if there is nothing of it."""
        version, new = event.version, event.new
        bodies = set(self.destination.mapping(version, supervoxels))
        index = self.destination.supervoxels(version, new)
        if bodies == {new} and index is not None:
            return ALREADY_THERE
        if bodies == {orig}:
            got = new if index is not None else self._last_label(event)
            if got is not None and self.mend_if_torn(event, got):
                return DONE if got == new else self._rename(event, new, got)
        elif len(bodies) == 1 and index is None:
            (body,) = bodies
            # A renumber that a killed server left torn has changed the mapping only.
            got = self._last_label(event) if body == new else body
            if got is not None and got not in (0, orig) and self._made(event, got) is not None:
                return self._rename(event, new, got)
        return None

    def _last_label(self, event: Cleave | Split) -> int | None:
        """The label that the server gave last, if it was for this."""
        self.counter.read_again(event.version)
        label = self.counter.next_label - 1
        return label if self._made(event, label) is not None else None

    def _made(self, event: BodyEvent, label: int) -> LastMod | None:
        """The last change of a body here, if it was this one."""
        last = self.destination.last_mod(event.version, label) if label else None
        return last if last is not None and last.app == _signature(event)["app"] else None

    # What a killed server left half done

    def mend_if_torn(self, event: BodyEvent, got: int | None = None) -> bool:
        """Mend an operation that looks done and is not; True if it was so.

        Args:
            got: the label that a cleave got here, if not the source's.
        """
        match event:
            case Cleave() if event.supervoxels is not None or event.data_ref:
                parts = cleaved_supervoxels(event, self.source)
                mended = self._mend_cleave(event.version, event.orig, got or event.new, parts)
            case Split():
                parts = tuple(part for _, part, _ in event.parts)
                mended = self._mend_cleave(event.version, event.target, got or event.new, parts)
            case SplitSupervoxel():
                with self.counter.lock:
                    (cut,) = self._cuts(event)
                    mended = self._mend_cut(event, cut)
            case _:
                return False
        return mended

    def _mend_cleave(self, version: str, orig: int, new: int, supervoxels: tuple[int, ...]) -> bool:
        """Both indices can be new and the mapping old. Posting the cleave again would answer 200 and map the
        supervoxels to a further label with an empty index."""
        if set(self.destination.mapping(version, supervoxels)) != {orig}:
            return False
        index = self.destination.supervoxels(version, new)
        if index is None or not set(supervoxels) <= set(index):
            return False
        self.destination.map_supervoxels(version, {new: supervoxels, 0: [new]})
        self._tell_of_torn()
        return True

    def _mend_cut(self, event: SplitSupervoxel | Split, cut: TornSplit) -> bool:
        if not cut.is_torn():
            return False
        cut.take_back()
        self._post_cut(event, cut)
        self._tell_of_torn()
        return True

    def _tell_of_torn(self) -> None:
        self.note(
            f"{self.destination.name}: mended what a killed server left torn. If the destination was killed, "
            f"make a new version there before further work: its own log may be damaged"
        )

    # Cleaves, renumbers, splits

    def _rename(self, event: BodyEvent, wanted: int, got: int) -> Outcome:
        """The server picked another label than the source did."""
        try:
            self.destination.renumber(event.version, wanted, got, **_signature(event))
        except RequestRefused as refusal:
            found = f"the body is there as {got}, but cannot get its label {wanted}: {refusal.text}"
            return Outcome(refusals=(Refusal(0, found, refusal.reason),))
        self.counter.passed(wanted)
        return DONE

    def _renumber(self, renumber: Renumber, doubtful: bool) -> Outcome:
        try:
            self.destination.renumber(renumber.version, renumber.new, renumber.orig, **_signature(renumber))
        except RequestRefused as refusal:
            if self.is_there(renumber):
                return ALREADY_THERE
            if doubtful and refusal.reason is RefusalReason.LABEL_EXISTS:
                made = self._made(renumber, renumber.new)
                if made is not None:
                    left = self.destination.last_mod(renumber.version, renumber.orig)
                    if left is None or left.mutation_id > made.mutation_id:
                        # The old label has been given to another body since.
                        return ALREADY_THERE
                    # A killed server wrote the new index and did not delete the old one.
                    self.destination.delete_index(renumber.version, renumber.orig)
                    return DONE
            return refused_by(refusal)
        with self.counter.lock:
            self.counter.passed(renumber.new)
        return DONE

    def _split_supervoxel(self, split: SplitSupervoxel) -> Outcome:
        with self.counter.lock:
            self.counter.pass_ids_of(split)
            (cut,) = self._cuts(split)
            found = self._cut(split, cut)
            if found is None:
                return DONE
            return ALREADY_THERE if self.is_there(split) else refused_by(found)

    def _split(self, split: Split) -> Outcome:
        """The `split` endpoint picks ids of its own, so: split each supervoxel, then cleave the split parts.

        Each of these requests is judged alone, so that an interrupted one goes on where it was.
        """
        self.counter.pass_ids_of(split)
        cuts = self._cuts(split)
        bodies = self.destination.mapping(split.version, [cut.supervoxel for cut in cuts])
        for cut, body in zip(cuts, bodies, strict=True):
            if body == 0:
                self._mend_cut(split, cut)
            elif (found := self._cut(split, cut)) is not None:
                return refused_by(found)
        parts = tuple(cut.split for cut in cuts)
        return self._cleave_off(split, split.target, parts, doubtful=True)

    def _cuts(self, event: SplitSupervoxel | Split) -> list[TornSplit]:
        body, parts = event.survivors[0], event.parts
        return [TornSplit(self.destination, event.version, body, *part) for part in parts]

    def _cut(self, event: SplitSupervoxel | Split, cut: TornSplit) -> RequestRefused | None:
        """Split one supervoxel; what the server refused it for, else None."""
        try:
            self._post_cut(event, cut)
        except RequestRefused as refusal:
            self.counter.read_again(cut.version)
            if refusal.reason not in _TORN_SPLIT or not self._mend_cut(event, cut):
                return refusal
        return None

    def _post_cut(self, event: SplitSupervoxel | Split, cut: TornSplit) -> None:
        volume = split_volume(event, self.source)
        if isinstance(event, Split):
            where = f"split {event.mutation_id} of body {event.target}"
            whole = self.destination.sparsevol(event.version, cut.supervoxel)
            volume = sparsevol.intersect(volume, sparsevol.parse_runs(whole, where, header=True))
        self.destination.split_supervoxel(
            event.version,
            cut.supervoxel,
            cut.split,
            cut.remain,
            sparsevol.request_body(volume),
            **_signature(event),
        )
        self.counter.passed(cut.split, cut.remain)


_TORN_SPLIT = (RefusalReason.SUPERVOXEL_SPLIT, RefusalReason.OUTSIDE_SUPERVOXEL)
"""Why a supervoxel split is refused that a killed server left half done."""


def _signature(event: BodyEvent) -> dict[str, str]:
    """User, and app with the tag, as a body keeps them."""
    return {"user": event.user, "app": tagged(event.app, event.rank)}
