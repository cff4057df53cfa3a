"""The few protobuf messages of DVID that a copy speaks, declared from their field numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError as DecodeError

_PACKAGE = "dvidsync"
_Field = descriptor_pb2.FieldDescriptorProto


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="dvidsync/dvid.proto", package=_PACKAGE, syntax="proto3")

    def add(name: str, *fields: tuple[str, int, int, bool, str]) -> None:
        message = file.message_type.add(name=name)
        for field, number, kind, repeated, type_name in fields:
            message.field.add(
                name=field,
                number=number,
                type=kind,
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
                type_name=f".{_PACKAGE}.{type_name}" if type_name else None,
            )

    uint64, uint32, text, raw, nested = (
        _Field.TYPE_UINT64,
        _Field.TYPE_UINT32,
        _Field.TYPE_STRING,
        _Field.TYPE_BYTES,
        _Field.TYPE_MESSAGE,
    )
    add(
        "MappingOp",
        ("mutid", 1, uint64, False, ""),
        ("mapped", 2, uint64, False, ""),
        ("original", 3, uint64, True, ""),
    )
    add("MappingOps", ("mappings", 1, nested, True, "MappingOp"))
    # Maps, written out as the repeated entries that they are on the wire.
    add("SVCountEntry", ("key", 1, uint64, False, ""), ("value", 2, uint32, False, ""))
    add("SVCount", ("counts", 1, nested, True, "SVCountEntry"), ("surface_mutid", 2, uint64, False, ""))
    add("BlockEntry", ("key", 1, uint64, False, ""), ("value", 2, nested, False, "SVCount"))
    add(
        "LabelIndex",
        ("blocks", 1, nested, True, "BlockEntry"),
        ("label", 2, uint64, False, ""),
        ("last_mutid", 3, uint64, False, ""),
        ("last_mod_time", 4, text, False, ""),
        ("last_mod_user", 5, text, False, ""),
        ("last_mod_app", 6, text, False, ""),
    )
    add("LabelIndices", ("indices", 1, nested, True, "LabelIndex"))
    add("KeyValue", ("key", 1, text, False, ""), ("value", 2, raw, False, ""))
    add("KeyValues", ("kvs", 1, nested, True, "KeyValue"))
    add("Keys", ("keys", 1, text, True, ""))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}")
        )
        for message in file.message_type
    }


_CLASSES = _message_classes()


def mapping_ops(groups: Mapping[int, Sequence[int]], mutation_id: int) -> bytes:
    """`MappingOps`: for each body the supervoxels that are mapped to it."""
    message = _CLASSES["MappingOps"]()
    for mapped, original in groups.items():
        message.mappings.add(mutid=mutation_id, mapped=mapped, original=original)
    return bytes(message.SerializeToString())


def empty_index(label: int) -> bytes:
    """`LabelIndices` with one index without blocks, which deletes the label's index."""
    message = _CLASSES["LabelIndices"]()
    message.indices.add(label=label)
    return bytes(message.SerializeToString())


def one_index(index: Any) -> bytes:
    """`LabelIndices` with one index that was read and changed."""
    message = _CLASSES["LabelIndices"]()
    message.indices.add().CopyFrom(index)
    return bytes(message.SerializeToString())


def set_counts(block: Any, counts: Mapping[int, int]) -> None:
    """Give a block of a `LabelIndex` other voxels by supervoxel."""
    del block.value.counts[:]
    for supervoxel, voxels in counts.items():
        block.value.counts.add(key=supervoxel, value=voxels)


def label_indices(content: bytes) -> Any:
    """Decode `LabelIndices`; `.indices` are `LabelIndex` messages."""
    message = _CLASSES["LabelIndices"]()
    message.ParseFromString(content)
    return message


def key_values(values: Sequence[tuple[str, bytes]]) -> bytes:
    """`KeyValues`, as `POST keyvalues` takes them."""
    message = _CLASSES["KeyValues"]()
    for key, value in values:
        message.kvs.add(key=key, value=value)
    return bytes(message.SerializeToString())


def parse_key_values(content: bytes) -> list[tuple[str, bytes]]:
    message = _CLASSES["KeyValues"]()
    message.ParseFromString(content)
    return [(pair.key, pair.value) for pair in message.kvs]


def keys(names: Sequence[str]) -> bytes:
    """`Keys`, as `GET keyvalues` takes them."""
    return bytes(_CLASSES["Keys"](keys=list(names)).SerializeToString())
