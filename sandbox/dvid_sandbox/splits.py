"""The two operations that change voxels: split-supervoxel and split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dvid_sandbox.blocks import Block, BlockPoint, Labels, decode_block, encode_block, zyx
from dvid_sandbox.exchange import Answer, Exchange, Refused
from dvid_sandbox.indices import LabelIndex
from dvid_sandbox.instance import Place
from dvid_sandbox.mutations import announcement, complete, modified_by, only_post, operand
from dvid_sandbox.reading import read_uint
from dvid_sandbox.resolutions import put_blocks
from dvid_sandbox.runs import BlockRuns, partition
from dvid_sandbox.wire import read_runs

if TYPE_CHECKING:
    from dvid_sandbox.labelmap import Labelmap


@dataclass
class Parts:
    """The ids of the two parts of a supervoxel; 0 is not known yet."""

    split: int = 0
    remain: int = 0


def _given(exchange: Exchange, name: str) -> int:
    text = exchange.query.get(name, "")
    try:
        return read_uint(text) if text else 0
    except Refused:
        raise Refused(f"bad {name} query string provided: {text}") from None


def split_supervoxel(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    only_post(exchange, "Split")
    wanted = Parts(_given(exchange, "split"), _given(exchange, "remain"))
    supervoxel = operand(exchange, "split target")
    parts = Parts()
    try:
        mutation_id = _split_supervoxel(lm, exchange, place, supervoxel, wanted, parts)
    except Refused as error:
        raise Refused(f"split supervoxel {supervoxel} -> {parts.split}, {parts.remain}: {error}") from None
    return Answer.json(
        f'{{"SplitSupervoxel": {parts.split}, "RemainSupervoxel": {parts.remain}, '
        f'"MutationID": {mutation_id}}}'
    )


def _take(lm: Labelmap, place: Place, wanted: int) -> int:
    if wanted:
        lm.counters.raise_max(place.version, wanted)
        return wanted
    return lm.counters.new_label(place.version)


def _split_supervoxel(
    lm: Labelmap, exchange: Exchange, place: Place, supervoxel: int, wanted: Parts, parts: Parts
) -> int:
    """Fills `parts` as the ids are taken, which is before everything is checked."""
    version = place.version
    runs = read_runs(exchange.body)
    size = int(runs[:, 3].sum())
    if size == 0:
        raise Refused(f"split on supervoxel {supervoxel} has zero voxels in split sparse volume")
    body = lm.body_of(version, supervoxel)
    index = lm.indices.get(version, body)
    if index is None:
        raise Refused(
            f'unable to split supervoxel {supervoxel} for data "{lm.name}": missing label index {body}'
        )
    whole = index.voxels_of(supervoxel)
    if size >= whole:
        raise Refused(
            f"split on supervoxel {supervoxel} was given split volume of {size} >= {whole} of supervoxel"
        )
    parts.split = _take(lm, place, wanted.split)
    parts.remain = _take(lm, place, wanted.remain)

    blob = lm.put_blob(runs.tobytes())
    mutation_id = lm.repo.new_mutation_id()
    fields = {
        "Supervoxel": supervoxel,
        "Body": body,
        "SplitSupervoxel": parts.split,
        "RemainSupervoxel": parts.remain,
        "Split": blob,
    }
    message = announcement(exchange, place, "split-supervoxel", mutation_id, fields)
    lm.publish(exchange, message)
    exchange.reached("announced")

    in_split, in_remain = _split_counts(index, supervoxel, partition(runs, lm.edge))
    rewritten = _split_voxels(lm, place, supervoxel, parts, partition(runs, lm.edge), in_split, in_remain)
    put_blocks(lm, version, rewritten, lower=exchange.query.get("downres") != "false")
    exchange.reached("voxels")
    lm.mapping.put(version, parts.split, body)
    lm.mapping.put(version, parts.remain, body)
    lm.mapping.put(version, supervoxel, 0)
    lm.splits.setdefault(version, []).append((mutation_id, supervoxel, parts.remain, parts.split))
    exchange.reached("mapping")

    own = lm.indices.own(version, body)
    assert own is not None
    del own.supervoxels[supervoxel]
    for label, blocks in ((parts.split, in_split), (parts.remain, in_remain)):
        if blocks:
            own.supervoxels[label] = blocks
    own.modified = modified_by(exchange, mutation_id)
    lm.put_index(version, own)
    complete(lm, exchange, place, message, SplitSize=size, RemainSize=whole - size)
    return mutation_id


def _split_counts(
    index: LabelIndex, supervoxel: int, volume: dict[BlockPoint, BlockRuns]
) -> tuple[dict[int, int], dict[int, int]]:
    """Voxels by block of the split and the remaining part, as the index alone tells them."""
    in_split: dict[int, int] = {}
    in_remain: dict[int, int] = {}
    for number, voxels in index.supervoxels[supervoxel].items():
        runs = volume.get(decode_block(number))
        if runs is None:
            in_remain[number] = voxels
            continue
        if runs.size > voxels:
            raise Refused(
                f"tried to split {runs.size} voxels from supervoxel {supervoxel}, but label index only has "
                f"{voxels} voxels"
            )
        in_split[number] = runs.size
        if runs.size < voxels:
            in_remain[number] = voxels - runs.size
    return in_split, in_remain


def _split_voxels(
    lm: Labelmap,
    place: Place,
    supervoxel: int,
    parts: Parts,
    volume: dict[BlockPoint, BlockRuns],
    in_split: dict[int, int],
    in_remain: dict[int, int],
) -> dict[BlockPoint, Block]:
    """The rewritten blocks.

    Raises:
        Refused: the sparse volume does not lie inside the supervoxel.
    """
    rewritten: dict[BlockPoint, Block] = {}
    errors: list[str] = []
    for number in sorted(in_split.keys() | in_remain.keys()):
        point = decode_block(number)
        block = lm.volume.get(place.version, point)
        if block is None:
            continue
        labels = block.labels.reshape(-1)
        runs = volume.get(point)
        split = kept = 0
        mine = labels == supervoxel
        if runs is not None:
            chosen = np.zeros(labels.size, bool)
            chosen[runs.voxels] = True
            chosen &= mine
            labels[chosen] = parts.split
            split = int(chosen.sum())
            mine &= ~chosen
        labels[mine] = parts.remain
        kept = int(mine.sum())
        expected = in_split.get(number, 0), in_remain.get(number, 0)
        if (split, kept) != expected:
            errors.append(
                f"ran supervoxel {supervoxel} split on block {point}: got {split} split, {kept} remain "
                f"voxels, different from label index {expected[0]} split, {expected[1]} remain"
            )
        rewritten[point] = Block.of(labels.reshape((lm.edge,) * 3))
    if errors:
        raise Refused(f"supervoxel split of {supervoxel}: {len(errors)} errors, last one: {errors[-1]}")
    return rewritten


def split(lm: Labelmap, exchange: Exchange, place: Place) -> Answer:
    if not lm.settings.split_endpoint:
        raise Refused("Split endpoint deactivated in this DVID server's configuration.")
    only_post(exchange, "Split")
    label = operand(exchange, "sparse volume.")
    try:
        new_label, mutation_id = _split(lm, exchange, place, label)
    except Refused as error:
        raise Refused(f"split label {label}: {error}") from None
    return Answer.json(f'{{"label": {new_label}, "MutationID": {mutation_id}}}')


def _split(lm: Labelmap, exchange: Exchange, place: Place, label: int) -> tuple[int, int]:
    version = place.version
    new_label = lm.counters.new_label(version)
    runs = read_runs(exchange.body)
    size = int(runs[:, 3].sum())
    if size == 0:
        raise Refused("bad split since split volume was zero voxels")
    index = lm.indices.own(version, label)
    if index is None:
        raise Refused(f'unable to modify split index for data "{lm.name}": missing label {label}')
    mutation_id = lm.repo.new_mutation_id()
    whole = index.voxels
    if size >= whole:
        raise Refused(f"split volume of {size} voxels >= {whole} of label {label}")
    volume = partition(runs, lm.edge)
    parts = _parts_by_supervoxel(lm, place, volume)
    for supervoxel in parts:
        if supervoxel not in index.supervoxels:
            raise Refused(
                f"supervoxel {supervoxel} was part of split volume yet was not part of body label {label}"
            )
    fields = {
        "Target": label,
        "NewLabel": new_label,
        "Split": lm.put_blob(runs.tobytes()),
        "SVSplits": {
            str(each): {"Split": parts[each].split, "Remain": parts[each].remain}
            for each in sorted(parts, key=str)
        },
    }
    message = announcement(exchange, place, "split", mutation_id, fields)
    lm.publish(exchange, message)
    exchange.reached("announced")

    new = LabelIndex(new_label, modified=modified_by(exchange, mutation_id))
    index.modified = new.modified
    _rewrite_split(lm, place, volume, parts, index, new)
    lm.put_index(version, index)
    lm.put_index(version, new)
    exchange.reached("indices")
    for supervoxel, part in parts.items():
        lm.mapping.put(version, part.split, new_label)
        lm.mapping.put(version, part.remain, label)
        lm.mapping.put(version, supervoxel, 0)
        lm.splits.setdefault(version, []).append((mutation_id, supervoxel, part.remain, part.split))
    for subscriber in lm.repo.subscribers(lm):
        subscriber.label_split(
            exchange,
            place,
            mutation_id,
            label,
            new_label,
            lambda point: lm.label_at(version, point) == new_label,
            list(volume),
        )
    complete(lm, exchange, place, message)
    return new_label, mutation_id


def _parts_by_supervoxel(lm: Labelmap, place: Place, volume: dict[BlockPoint, BlockRuns]) -> dict[int, Parts]:
    """New ids for each supervoxel under the sparse volume, in the order in which its runs meet them."""
    parts: dict[int, Parts] = {}
    for point, runs in volume.items():
        block = lm.volume.get(place.version, point)
        if block is None:
            raise Refused(f"split on block {point} attempted but block doesn't exist")
        met, first = np.unique(block.voxels[runs.voxels], return_index=True)
        for number in met[np.argsort(first)]:
            supervoxel = int(block.palette[number])
            if supervoxel and supervoxel not in parts:
                parts[supervoxel] = Parts(
                    lm.counters.new_label(place.version), lm.counters.new_label(place.version)
                )
    return parts


def _rewrite_split(
    lm: Labelmap,
    place: Place,
    volume: dict[BlockPoint, BlockRuns],
    parts: dict[int, Parts],
    index: LabelIndex,
    new: LabelIndex,
) -> None:
    """Gives the voxels their new supervoxels, and moves the counts between the two indices."""
    numbers = {number for supervoxel in parts for number in index.supervoxels[supervoxel]}
    rewritten: dict[BlockPoint, Block] = {}
    for point in sorted((decode_block(number) for number in numbers), key=zyx):
        block = lm.volume.get(place.version, point)
        if block is None:
            raise Refused(f"block {point} doesn't exist for split modification")
        labels: Labels = block.labels.reshape(-1)
        chosen = np.zeros(labels.size, bool)
        if point in volume:
            chosen[volume[point].voxels] = True
        number = encode_block(point)
        for supervoxel, part in parts.items():
            mine = labels == supervoxel
            inside = mine & chosen
            labels[inside] = part.split
            labels[mine & ~chosen] = part.remain
            split_voxels, all_voxels = int(inside.sum()), int(mine.sum())
            if split_voxels:
                new.supervoxels.setdefault(part.split, {})[number] = split_voxels
            if all_voxels > split_voxels:
                index.supervoxels.setdefault(part.remain, {})[number] = all_voxels - split_voxels
        rewritten[point] = Block.of(labels.reshape((lm.edge,) * 3))
    put_blocks(lm, place.version, rewritten)
    for supervoxel in parts:
        del index.supervoxels[supervoxel]
