"""The index on which it is tried whether a server keeps indices: a small one, and few are read for it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, cast

import lz4.block
import orjson
import pytest

from dvidsync_dagster.datatypes.labelmap.server.kept_indices import keeps_indices
from dvidsync_dagster.dvid.labelmap import Labelmap
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex, LabelIndices, SVCount
from dvidsync_dagster.dvid.transport import Transport


class Server:
    """It has bodies, by label so many blocks each, and tells of their last changes.

    Args:
        keeps: it goes on with the indices that it had when it was asked first.
    """

    def __init__(self, blocks: Sequence[int], *, keeps: bool) -> None:
        counts = SVCount(counts=[SVCount.Entry(key=1, value=1)])
        self.indices = {
            label: LabelIndex(
                label=label, blocks=[LabelIndex.Block(key=key, value=counts) for key in range(number)]
            )
            for label, number in enumerate(blocks)
        }
        self.read_labels: list[int] = []
        self.written: list[int] = []
        self._keeps = keeps
        self._kept: dict[int, LabelIndex] = {}

    def read(self, _path: str, *, body: bytes, **_more: Any) -> bytes:
        labels = orjson.loads(body)
        self.read_labels += labels
        return b"".join(map(self._stored, labels))

    def _stored(self, label: int) -> bytes:
        index = self.indices[label]
        if not index.blocks:
            return struct.pack("<QQ", 0, label)
        plain = index.SerializeToString()
        packed: bytes = lz4.block.compress(plain, store_size=False)
        content = struct.pack("<BI", 0x80, len(plain)) + packed
        return struct.pack("<QQ", len(content), label) + content

    def read_or_none(self, path: str, **_more: Any) -> bytes:
        label = int(path.rsplit("/", 1)[1])
        current = self._kept.setdefault(label, self.indices[label]) if self._keeps else self.indices[label]
        return orjson.dumps(
            {
                "mutation id": current.last_mutid,
                "last mod user": current.last_mod_user,
                "last mod app": current.last_mod_app,
                "last mod time": current.last_mod_time,
            }
        )

    def change(self, _method: str, path: str, *, body: bytes = b"", **_more: Any) -> None:
        several = path.endswith("/indices")
        written = LabelIndices.FromString(body).indices if several else [LabelIndex.FromString(body)]
        for index in written:
            self.indices[index.label] = index
            self.written.append(index.label)


@pytest.mark.parametrize("keeps", [False, True])
def test_it_is_tried_on_a_small_body_and_put_back(keeps: bool) -> None:
    server = Server([0, 5_000, 3, 0, 4_000] + [9] * 600, keeps=keeps)
    before = dict(server.indices)
    found = keeps_indices(Labelmap(cast(Transport, server), "labels"), ["v"], list(server.indices))
    assert found is keeps
    assert set(server.written) == {2}
    assert server.indices == before
    assert len(server.read_labels) <= 50


def test_of_large_bodies_the_smallest_counts() -> None:
    server = Server([0, *range(700, 100, -1)], keeps=False)
    assert keeps_indices(Labelmap(cast(Transport, server), "labels"), ["v"], list(server.indices)) is False
    assert set(server.written) == {499}
    assert len(server.read_labels) == 500


def test_without_any_body_nothing_can_be_tried() -> None:
    server = Server([0, 0], keeps=False)
    assert keeps_indices(Labelmap(cast(Transport, server), "labels"), ["v", "w"], [0, 1]) is None
    assert server.written == []
