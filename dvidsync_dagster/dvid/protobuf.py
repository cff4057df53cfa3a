"""DVID's protobuf messages to bytes and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.message import DecodeError as DecodeError

from dvidsync_dagster.dvid.proto.keyvalue_pb2 import Keys, KeyValues
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex, LabelIndices, MappingOps


def mapping_ops(groups: Mapping[int, Sequence[int]], mutation_id: int) -> bytes:
    """`MappingOps`: for each body the supervoxels that are mapped to it."""
    message = MappingOps()
    for mapped, original in groups.items():
        message.mappings.add(mutid=mutation_id, mapped=mapped, original=original)
    return message.SerializeToString()


def empty_index(label: int) -> bytes:
    """`LabelIndices` with one index without blocks, which deletes the label's index."""
    return label_indices_of([LabelIndex(label=label)])


def label_indices_of(indices: Sequence[LabelIndex]) -> bytes:
    """`LabelIndices` with indices that were read and changed."""
    return LabelIndices(indices=indices).SerializeToString()


def counts_of(block: LabelIndex.Block) -> dict[int, int]:
    """The voxels by supervoxel in a block of a `LabelIndex`."""
    return {entry.key: entry.value for entry in block.value.counts}


def set_counts(block: LabelIndex.Block, counts: Mapping[int, int]) -> None:
    """Give a block of a `LabelIndex` other voxels by supervoxel."""
    del block.value.counts[:]
    for supervoxel, voxels in counts.items():
        block.value.counts.add(key=supervoxel, value=voxels)


def label_indices(content: bytes) -> LabelIndices:
    """Raises DecodeError for bytes that are none."""
    return LabelIndices.FromString(content)


def label_index(content: bytes) -> LabelIndex:
    """Raises DecodeError for bytes that are none."""
    return LabelIndex.FromString(content)


def key_values(values: Sequence[tuple[str, bytes]]) -> bytes:
    """`KeyValues`, as `POST keyvalues` takes them."""
    message = KeyValues()
    for key, value in values:
        message.kvs.add(key=key, value=value)
    return message.SerializeToString()


def parse_key_values(content: bytes) -> list[tuple[str, bytes]]:
    """Raises DecodeError for bytes that are no `KeyValues`."""
    return [(pair.key, pair.value) for pair in KeyValues.FromString(content).kvs]


def keys(names: Sequence[str]) -> bytes:
    """`Keys`, as `GET keyvalues` takes them."""
    return Keys(keys=names).SerializeToString()
