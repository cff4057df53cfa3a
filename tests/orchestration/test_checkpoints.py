"""Claims and checkpoints in the event log: who owns a destination, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import dagster as dg
import pytest

from dvidsync_dagster.errors import CheckpointError, OwnershipLost
from dvidsync_dagster.log.checkpoint import Checkpoint, PartitionPosition
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore, OwnerClaim
from dvidsync_dagster.run.report import ChunkReport, Lag

KEY = dg.AssetKey(["repo", "copy"])
HOUR = 3600 * 10**9


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


@pytest.fixture
def store(instance: dg.DagsterInstance) -> CheckpointStore:
    return CheckpointStore(instance, KEY)


def claim(instance: dg.DagsterInstance) -> OwnerClaim:
    return CheckpointStore(instance, KEY).claim(instance.report_runless_asset_event)


def leave(
    instance: dg.DagsterInstance, owner: OwnerClaim, offset: int, *, window: str = "w", clean: bool = False
) -> Checkpoint:
    """Store a checkpoint as a run does."""
    checkpoint = Checkpoint(
        epoch=owner.epoch,
        positions={"topic": {0: PartitionPosition(offset, ((offset + 2, offset + 4),))}},
        key_ns=offset * HOUR,
        clean=clean,
    )
    report = ChunkReport(checkpoint, 0, 1, Lag(0, 0.0), Lag(0, 0.0), records=1)
    metadata = {**meta.chunk_metadata(report, checkpoint), meta.OWNER: dg.MetadataValue.text(owner.owner)}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key=KEY, partition=window, metadata=metadata)
    )
    return checkpoint


def test_no_checkpoint_is_none_not_an_offset(store: CheckpointStore) -> None:
    assert store.latest() is None


def test_a_claim_alone_is_no_checkpoint(instance: dg.DagsterInstance, store: CheckpointStore) -> None:
    claim(instance)
    assert store.latest() is None


def test_the_checkpoint_comes_back_as_it_was(instance: dg.DagsterInstance, store: CheckpointStore) -> None:
    stored = leave(instance, claim(instance), 5, clean=True)
    assert store.latest() == stored


def test_each_claim_has_the_next_epoch(instance: dg.DagsterInstance) -> None:
    assert [claim(instance).epoch for _ in range(3)] == [1, 2, 3]


def test_the_furthest_of_many_chunks(instance: dg.DagsterInstance, store: CheckpointStore) -> None:
    owner = claim(instance)
    for offset in range(1, 130):
        last = leave(instance, owner, offset)
    assert store.latest() == last


def test_a_checkpoint_is_found_behind_many_runs_that_left_none(
    instance: dg.DagsterInstance, store: CheckpointStore
) -> None:
    stored = leave(instance, claim(instance), 5, clean=True)
    for _ in range(25):
        last = claim(instance)
    assert last.epoch == 26
    store.check_owner(last)
    assert store.latest() == replace(stored, clean=False)


def test_a_backfill_of_old_windows_keeps_the_checkpoint(
    instance: dg.DagsterInstance, store: CheckpointStore
) -> None:
    leave(instance, claim(instance), 90, window="new")
    backfill = claim(instance)
    kept = leave(instance, backfill, 90, window="old")
    assert store.latest() == kept


def test_a_process_that_outlived_its_run_does_not_move_the_checkpoint(
    instance: dg.DagsterInstance, store: CheckpointStore
) -> None:
    outlived = claim(instance)
    leave(instance, outlived, 10)
    newer = claim(instance)
    ahead = leave(instance, newer, 20)
    leave(instance, outlived, 15)
    leave(instance, outlived, 99)
    assert store.latest() == ahead
    with pytest.raises(OwnershipLost, match=r"\(epoch 2\) has taken over"):
        store.check_owner(outlived)
    store.check_owner(newer)


def test_after_a_wipe_there_is_none_and_the_old_process_stops(
    instance: dg.DagsterInstance, store: CheckpointStore
) -> None:
    outlived = claim(instance)
    claim(instance)
    outlived = claim(instance)
    leave(instance, outlived, 10)
    instance.wipe_assets([KEY])
    assert store.latest() is None
    with pytest.raises(OwnershipLost, match="wiped"):
        store.check_owner(outlived)
    # It had looked just before the wipe, and stores what it did.
    leave(instance, outlived, 11)
    assert store.latest() is None
    fresh = claim(instance)
    assert fresh.epoch == 1
    leave(instance, outlived, 12)
    restarted = leave(instance, fresh, 3)
    assert store.latest() == restarted


def test_a_checkpoint_is_not_clean_if_somebody_else_owned_the_destination_since(
    instance: dg.DagsterInstance, store: CheckpointStore
) -> None:
    stored = leave(instance, claim(instance), 5, clean=True)
    mine = claim(instance)
    assert store.latest(mine) == stored
    following = claim(instance)
    found = store.latest(following)
    assert found is not None
    assert found.positions == stored.positions
    assert not found.clean


def test_a_materialization_by_hand_is_no_checkpoint(
    instance: dg.DagsterInstance, store: CheckpointStore
) -> None:
    stored = leave(instance, claim(instance), 5)
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=KEY, partition="w"))
    instance.report_runless_asset_event(dg.AssetObservation(asset_key=KEY))
    assert store.latest() == stored


def test_a_damaged_checkpoint_is_an_error(instance: dg.DagsterInstance, store: CheckpointStore) -> None:
    owner = claim(instance)
    metadata = {
        meta.CHECKPOINT: dg.MetadataValue.json({"format": 99}),
        meta.OWNER: dg.MetadataValue.text(owner.owner),
    }
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=KEY, metadata=metadata))
    with pytest.raises(CheckpointError, match="repo/copy"):
        store.latest()


def test_of_those_that_claim_at_once_one_owns(instance: dg.DagsterInstance, store: CheckpointStore) -> None:
    barrier = Barrier(4)

    def at_once(_: int) -> OwnerClaim | None:
        barrier.wait()
        try:
            return claim(instance)
        except OwnershipLost:
            return None

    with ThreadPoolExecutor(4) as pool:
        claims = [won for won in pool.map(at_once, range(4)) if won is not None]
    owners = []
    for each in claims:
        try:
            store.check_owner(each)
        except OwnershipLost:
            continue
        owners.append(each)
    assert len(owners) == 1
    assert owners[0].epoch == max(each.epoch for each in claims)


def test_two_claims_of_one_epoch_have_one_owner(instance: dg.DagsterInstance, store: CheckpointStore) -> None:
    """Both read before either wrote."""
    claims = [OwnerClaim(1, name, "") for name in ("first", "second")]
    for each in claims:
        instance.report_runless_asset_event(
            dg.AssetObservation(asset_key=KEY, metadata={meta.EPOCH: each.epoch, meta.OWNER: each.owner})
        )
    store.check_owner(claims[0])
    with pytest.raises(OwnershipLost):
        store.check_owner(claims[1])
    assert claim(instance).epoch == 2
