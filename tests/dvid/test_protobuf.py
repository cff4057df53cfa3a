"""DVID's protobuf messages: their bytes, and the classes that are made from the .proto files."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dvidsync_dagster
from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.protobuf import DecodeError

CHECKOUT = Path(dvidsync_dagster.__file__).parent.parent
PROTO = Path("dvidsync_dagster/dvid/proto")

INDEX = bytes.fromhex(
    "0a35"  # one index
    "0a12 0809 120e 0a0408081009 0a0408021003 1004"  # block 9: supervoxel 8 with 9 voxels, 2 with 3
    "0a12 0803 120e 0a0408081009 0a0408021003 1004"  # block 3: entries keep their order
    "1005 1806 220174 2a0175 320161"  # body 5, mutation 6, time, user, app
)


def test_the_bytes_are_those_on_the_wire() -> None:
    """Written before there were generated classes."""
    assert protobuf.mapping_ops({7: [1, 2**63], 0: [300]}, 99).hex() == (
        "0a11086310071a0b01808080808080808080010a0608631a02ac02"
    )
    assert protobuf.empty_index(2**64 - 1).hex() == "0a0b10ffffffffffffffffff01"
    assert protobuf.keys(["a", "é"]).hex() == "0a01610a02c3a9"
    pairs = [("a", b"1"), ("é", b""), ("", b"x")]
    content = protobuf.key_values(pairs)
    assert content.hex() == "0a060a01611201310a040a02c3a90a03120178"
    assert protobuf.parse_key_values(content) == pairs


def test_an_index_is_posted_as_it_was_read() -> None:
    (index,) = protobuf.label_indices(INDEX).indices
    assert (index.label, index.last_mutid, index.last_mod_user) == (5, 6, "u")
    assert [block.key for block in index.blocks] == [9, 3]
    assert protobuf.label_indices_of([index]) == INDEX


def test_a_field_that_is_not_known_here_is_kept() -> None:
    more = bytes([0x0A, 0x35 + 2]) + INDEX[2:] + bytes.fromhex("7801")
    (index,) = protobuf.label_indices(more).indices
    assert protobuf.label_indices_of([index]) == more


def test_an_index_with_other_counts() -> None:
    (index,) = protobuf.label_indices(INDEX).indices
    protobuf.set_counts(index.blocks[1], {2: 7, 1: 1})
    assert protobuf.label_indices_of([index]) == INDEX.replace(
        bytes.fromhex("0803 120e 0a0408081009 0a0408021003"),
        bytes.fromhex("0803 120e 0a0408021007 0a0408011001"),
    )


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=9), st.binary(max_size=9))))
def test_key_values_come_back(pairs: list[tuple[str, bytes]]) -> None:
    assert protobuf.parse_key_values(protobuf.key_values(pairs)) == pairs


@pytest.mark.parametrize("content", [b"\x0a", b"<html>", b"\x0a\x02\x0a\xff"])
def test_bytes_that_are_no_message(content: bytes) -> None:
    for parse in (protobuf.parse_key_values, protobuf.label_indices):
        with pytest.raises(DecodeError):
            parse(content)


def test_the_classes_are_what_the_proto_files_give(tmp_path: Path) -> None:
    """`make proto` makes them anew."""
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools is not installed: it is in the dependency group `proto`")
    shutil.copytree(CHECKOUT / PROTO, tmp_path / PROTO, ignore=shutil.ignore_patterns("*_pb2.*"))
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--mypy_out=.", *_sources()],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        check=True,
    )
    assert _made(tmp_path) == _made(CHECKOUT)


def _sources() -> list[str]:
    return sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / PROTO).glob("*.proto"))


def _made(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / PROTO).glob("*_pb2.py*")}
