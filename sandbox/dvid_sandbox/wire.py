"""DVID's binary forms: protobuf messages, sparse volumes as runs, blob references."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

from dvid_sandbox.exchange import Refused

_FIELDS = {
    "KeyValue": {"key": (1, "string"), "value": (2, "bytes")},
    "KeyRange": {"key": (1, "string"), "byte_start": (2, "uint64"), "byte_end": (3, "uint64")},
    "Keys": {"keys": (1, "*string"), "key_ranges": (2, "*KeyRange")},
    "KeyValues": {"kvs": (1, "*KeyValue")},
    "MappingOp": {"mutid": (1, "uint64"), "mapped": (2, "uint64"), "original": (3, "*uint64")},
    "MappingOps": {"mappings": (1, "*MappingOp")},
    "SVCount": {"counts": (1, "map uint64 uint32"), "surface_mutid": (2, "uint64")},
    "LabelIndex": {
        "blocks": (1, "map uint64 SVCount"),
        "label": (2, "uint64"),
        "last_mutid": (3, "uint64"),
        "last_mod_time": (4, "string"),
        "last_mod_user": (5, "string"),
        "last_mod_app": (6, "string"),
    },
    "LabelIndices": {"indices": (1, "*LabelIndex")},
}
_SCALARS = {
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
}


def _describe_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(
        name=name, number=number, label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    )
    if kind.startswith("*"):
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        kind = kind[1:]
    if kind.startswith("map "):
        _, key, value = kind.split()
        entry = message.nested_type.add(name=name.capitalize() + "Entry")
        entry.options.map_entry = True
        _describe_field(entry, "key", 1, key)
        _describe_field(entry, "value", 2, value)
        field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        kind = f"{message.name}.{entry.name}"
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".sandbox.{kind}"


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="sandbox.proto", package="sandbox", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _describe_field(message, field, number, kind)
    # A pool of its own: the client's messages have the same names.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sandbox.{name}"))
        for name in _FIELDS
    }


_CLASSES = _message_classes()
KeyValues: Any = _CLASSES["KeyValues"]
Keys: Any = _CLASSES["Keys"]
MappingOps: Any = _CLASSES["MappingOps"]
LabelIndex: Any = _CLASSES["LabelIndex"]
LabelIndices: Any = _CLASSES["LabelIndices"]


def parse(kind: Any, body: bytes) -> Any:
    """A message of a kind such as `Keys`.

    Raises:
        Refused: it is not one.
    """
    try:
        return kind.FromString(body)
    except Exception as error:
        raise Refused(f"proto: cannot parse invalid wire-format data: {error}") from None


Runs = NDArray[np.int32]
"""Shape (N, 4): x, y, z of a run's first voxel, and its length along x."""


def read_runs(body: bytes) -> Runs:
    """A sparse volume as the split requests bring it: header of 12 bytes, then the runs.

    Raises:
        Refused: it is too short or of another encoding.
    """
    if len(body) < 12:
        raise Refused("EOF" if not body else "unexpected EOF")
    if body[0] != 0:
        raise Refused(f"sparse vol is not binary: {body[0]}")
    (count,) = struct.unpack_from("<I", body, 8)
    if len(body) < 12 + 16 * count:
        raise Refused("EOF" if len(body) == 12 else "unexpected EOF")
    return np.frombuffer(body, "<i4", count * 4, 12).reshape(-1, 4)


def write_runs(runs: Runs) -> bytes:
    """The answer of GET sparsevol."""
    return struct.pack("<BBBBII", 0, 3, 0, 0, 0, len(runs)) + runs.astype("<i4").tobytes()


_FNV_PRIME = (1 << 88) + 0x13B
_FNV_BASIS = 0x6C62272E07BB014262B821756295C58D
_MASK = (1 << 128) - 1


def blob_reference(content: bytes) -> str:
    """The FNV-1 hash of the content in 128 bits, in URL-safe base64."""
    value = _FNV_BASIS
    for byte in content:
        value = ((value * _FNV_PRIME) & _MASK) ^ byte
    return base64.urlsafe_b64encode(value.to_bytes(16, "big")).decode()
