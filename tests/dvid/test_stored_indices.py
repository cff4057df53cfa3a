"""Indices that are unpacked together are those that are unpacked one by one."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidsync_dagster.dvid import stored_indices
from dvidsync_dagster.dvid.stored_indices import each_index, joined_indices
from dvidsync_dagster.errors import ServerFailed

MARK = b"between indices"
# What LZ4 makes shorter, what it does not, and what looks like the marks between two.
PLAIN = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda part, times: part * times, st.binary(min_size=1, max_size=9), st.integers(1, 200)),
    st.sampled_from([b"", MARK, MARK * 3, b"aaaa" + MARK + b"nnnn"]),
)
NO_ANSWER = (ServerFailed, struct.error, lz4.block.LZ4BlockError)


def stored(label: int, plain: bytes | None, how: int = 0x80) -> bytes:
    """As an answer has it."""
    content = b""
    if plain is not None:
        content = struct.pack("<BI", how, len(plain)) + lz4.block.compress(plain, store_size=False)
    return struct.pack("<QQ", len(content), label) + content


def together(content: bytes, labels: Sequence[int]) -> list[bytes]:
    return [
        part.content[start:end].tobytes()
        for part in joined_indices(content, "path", labels)
        for start, end in zip(part.starts.tolist(), part.ends.tolist(), strict=True)
    ]


@given(st.lists(st.one_of(PLAIN, PLAIN, PLAIN, st.none()), max_size=12), st.sampled_from([1, 60, 1 << 20]))
def test_together_is_as_one_by_one(indices: list[bytes | None], at_once: int) -> None:
    labels = list(range(1, len(indices) + 1))
    content = b"".join(map(stored, labels, indices))
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(stored_indices, "_AT_ONCE", at_once)
        assert together(content, labels) == [plain or b"" for plain in indices]
    assert list(each_index(content, "path", labels)) == [plain or b"" for plain in indices]


def test_many_are_unpacked_by_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(packed: bytes, uncompressed_size: int) -> bytes:
        calls.append(uncompressed_size)
        plain: bytes = lz4.block.decompress(packed, uncompressed_size=uncompressed_size)
        return plain

    monkeypatch.setattr(stored_indices, "decompress", counted)
    indices = [b"an index with something in it, something in it: %d" % number for number in range(1_000)]
    labels = list(range(1, 1_001))
    assert together(b"".join(map(stored, labels, indices)), labels) == indices
    assert len(calls) == 1


@given(
    st.lists(PLAIN, min_size=1, max_size=6),
    st.integers(0, 2**20),
    st.binary(min_size=1, max_size=3),
)
def test_a_broken_answer_is_as_one_by_one(indices: list[bytes], place: int, other: bytes) -> None:
    """Some bytes are others: then all is told, or an error, and never what belongs to another label."""
    labels = list(range(1, len(indices) + 1))
    content = bytearray(b"".join(map(stored, labels, indices)))
    place %= len(content)
    content[place : place + len(other)] = other
    try:
        expected = list(each_index(bytes(content), "path", labels))
    except NO_ANSWER:
        expected = None
    try:
        found = together(bytes(content), labels)
    except NO_ANSWER:
        found = None
    if expected is not None:
        assert found == expected
    elif found is not None:
        # LZ4 may copy from the index before where alone there is nothing to copy from.
        assert len(found) == len(indices)
        differing = [number for number, plain in enumerate(indices) if found[number] != plain]
        assert len(differing) <= 2


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (stored(7, b"abc"), "ends before the index of label 8"),
        (stored(7, b"abc") + stored(9, b"abc"), "in place of the index of label 8"),
        (stored(7, b"abc") + stored(8, b"abc")[:-1], "in place of the index of label 8"),
        (stored(7, b"abc") + stored(8, b"abc") + b"x", "1 bytes after its last index"),
        (stored(7, b"abc") + stored(8, b"abc", how=0), "label 8 kept in an unknown way"),
        (stored(7, b"abc", how=1) + stored(8, b"abc"), "label 7 kept in an unknown way"),
    ],
)
def test_what_is_wrong_is_told(content: bytes, found: str) -> None:
    with pytest.raises(ServerFailed, match=found):
        together(content, [7, 8])


def test_one_that_claims_another_size_is_none() -> None:
    lying = bytearray(stored(7, b"a" * 100))
    lying[17:21] = struct.pack("<I", 99)
    with pytest.raises(lz4.block.LZ4BlockError):
        together(bytes(lying) + stored(8, b"abc"), [7, 8])
