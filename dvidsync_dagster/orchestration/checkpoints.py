"""Checkpoints and ownership of a destination, kept in Dagster's event log.

A run first *claims* its destination: an observation of the asset, with the next epoch. Each chunk that is
done leaves a materialization with the checkpoint, the epoch and the owner. From these alone any process can
tell who owns the destination (the newest claim) and how far it is (the last checkpoint of the newest owner
that left one). The order of the events is not trusted beyond that: a process that outlived its run may add
a checkpoint late, and a wipe may take everything away.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import dagster as dg

from dvidsync_dagster.errors import CheckpointError, DvidSyncError, OwnershipLost
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json
from dvidsync_dagster.orchestration.metadata import CHECKPOINT, EPOCH, OWNER

_FIRST_PAGE, _PAGE = 10, 100
"""Events that are read at a time. Mostly the last one is all that is wanted, and each takes a millisecond."""
_RECENT = _FIRST_PAGE
"""Claims of which the newest is one: it is not the last if somebody wrote an older one down late."""
_ATTEMPTS = 10

Record = Callable[[dg.AssetObservation | dg.AssetMaterialization], None]
"""Commits an event at once: ``context.log_event``, or outside a run ``report_runless_asset_event``."""


@dataclass(frozen=True)
class OwnerClaim:
    """One run's claim on its destination. `position` is its place in the event log."""

    epoch: int
    owner: str
    run_id: str
    position: int = 0


class CheckpointStore:
    """The claims and checkpoints of one destination."""

    def __init__(self, instance: dg.DagsterInstance, asset_key: dg.AssetKey) -> None:
        self._instance = instance
        self._key = asset_key

    def claim(self, record: Record) -> OwnerClaim:
        """Take the destination over: whoever owned it stops at its next look.

        Two that claim at once may both write the same epoch; the one that the log holds second tries again.

        Raises:
            OwnershipLost: others kept taking it over.
        """
        owner = uuid.uuid4().hex
        for _ in range(_ATTEMPTS):
            newest = self._owner()
            epoch = newest.epoch + 1 if newest else 1
            metadata = {EPOCH: dg.MetadataValue.int(epoch), OWNER: dg.MetadataValue.text(owner)}
            text = f"A run takes the destination over: epoch {epoch}."
            record(dg.AssetObservation(asset_key=self._key, metadata=metadata, description=text))
            newest = self._owner()
            if newest is not None and (newest.epoch, newest.owner) == (epoch, owner):
                return newest
        raise OwnershipLost(f"{self._text}: other runs kept taking it over. Let one run at a time start.")

    def check_owner(self, claim: OwnerClaim) -> None:
        """Make sure that the destination is still this claim's.

        Raises:
            OwnershipLost: a newer run claimed it, or its history was wiped.
        """
        newest = self._owner()
        if newest is None:
            raise OwnershipLost(
                f"{self._text}: its history in Dagster was wiped while this run (epoch {claim.epoch}) was "
                f"going on. Start a new run."
            )
        if (newest.epoch, newest.owner) != (claim.epoch, claim.owner):
            raise OwnershipLost(
                f"{self._text}: run {newest.run_id or 'unknown'} (epoch {newest.epoch}) has taken over from "
                f"this one (epoch {claim.epoch}). Nothing to do: that run goes on."
            )

    def latest(self, claim: OwnerClaim | None = None) -> Checkpoint | None:
        """How far the destination is, or None if there is no checkpoint (never run, or wiped).

        It is clean only if nobody else owned the destination after it was written.

        Args:
            claim: the asking run's own, which does not count as somebody else.

        Raises:
            CheckpointError: the newest checkpoint cannot be read.
        """
        found, others = self._latest(claim)
        return replace(found, clean=False) if found is not None and others else found

    @property
    def ended_in_order(self) -> bool:
        """Whether the run that wrote the newest checkpoint did, whoever came after it. Raises as `latest`."""
        found, _ = self._latest(None)
        return found is not None and found.clean

    def _latest(self, claim: OwnerClaim | None) -> tuple[Checkpoint | None, int]:
        """The newest checkpoint, and how many others have owned the destination since."""
        checkpoints = self._checkpoints()
        pending = next(checkpoints, None)
        found: dict[str, dg.EventLogRecord] = {}
        others = 0
        for past in self._claims():
            while pending is not None and pending.storage_id > past.position:
                found.setdefault(_text_of(pending, OWNER), pending)
                pending = next(checkpoints, None)
            if past.owner in found:
                return self._parse(found[past.owner]), others
            if claim is None or past.owner != claim.owner:
                others += 1
        return None, others

    @property
    def _text(self) -> str:
        return self._key.to_user_string()

    def _owner(self) -> OwnerClaim | None:
        """The newest claim. Of two with one epoch the first: the second tries again."""
        newest: OwnerClaim | None = None
        for claim in islice(self._claims(), _RECENT):
            if newest is None or claim.epoch >= newest.epoch:
                newest = claim
        return newest

    def _claims(self) -> Iterator[OwnerClaim]:
        """All claims, the last one first."""
        for event in self._pages(self._instance.fetch_observations):
            observation = event.asset_observation
            if observation is None:
                continue
            epoch = observation.metadata.get(EPOCH)
            if isinstance(epoch, dg.IntMetadataValue) and isinstance(epoch.value, int):
                yield OwnerClaim(epoch.value, _text_of(event, OWNER), event.run_id, event.storage_id)

    def _checkpoints(self) -> Iterator[dg.EventLogRecord]:
        """All materializations that carry a checkpoint, the last one first."""
        for event in self._pages(self._instance.fetch_materializations):
            if event.asset_materialization is not None and CHECKPOINT in event.asset_materialization.metadata:
                yield event

    def _pages(self, fetch: Callable[..., dg.EventRecordsResult]) -> Iterator[dg.EventLogRecord]:
        cursor, limit = None, _FIRST_PAGE
        while True:
            page = fetch(self._key, limit=limit, cursor=cursor)
            yield from page.records
            if not page.has_more:
                return
            cursor, limit = page.cursor, _PAGE

    def _parse(self, event: dg.EventLogRecord) -> Checkpoint:
        assert event.asset_materialization is not None
        stored = event.asset_materialization.metadata[CHECKPOINT]
        try:
            return checkpoint_from_json(stored.value)
        except DvidSyncError as error:
            raise CheckpointError(f"{self._text}, run {event.run_id}: {error}") from error


def _text_of(event: dg.EventLogRecord, key: str) -> str:
    told = event.asset_materialization or event.asset_observation
    value = told.metadata.get(key) if told is not None else None
    return value.value or "" if isinstance(value, dg.TextMetadataValue) else ""
