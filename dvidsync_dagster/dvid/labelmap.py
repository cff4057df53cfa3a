"""The labelmap requests that a destination needs, with their answers checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dvidsync_dagster.dvid import protobuf
from dvidsync_dagster.dvid.label_blocks import BlockPoint, LabelBlock, parse_blocks
from dvidsync_dagster.dvid.paths import node_path, repo_path
from dvidsync_dagster.dvid.patience import FEW, REPO
from dvidsync_dagster.dvid.proto.labelmap_pb2 import LabelIndex
from dvidsync_dagster.dvid.transport import BINARY, JSON, NO_TEXT, Transport
from dvidsync_dagster.errors import RequestRefused, ServerFailed
from dvidsync_dagster.refusal_reason import RefusalReason

INDICES_AT_ONCE = 20_000
_MAPPING_BATCH = 100_000
_NUMBER = 22
"""Bytes of a number of 64 bits and what stands around it."""


@dataclass(frozen=True, slots=True)
class LastMod:
    """Who changed a body last: `GET lastmod`. `time` is RFC 3339 text with seconds."""

    mutation_id: int
    user: str
    app: str
    time: str


@dataclass(frozen=True, slots=True)
class Labelmap:
    """One labelmap instance of one server. Methods take the version's UUID first.

    All raise what `Transport` raises, and ServerFailed for an answer that is not what DVID promises.
    """

    client: Transport
    name: str

    # Reading

    def next_label(self, version: str) -> int:
        """The id that the next cleave gets; 2**64 if all are used up, which the server says as 0."""
        return _number(self._get(version, "nextlabel"), "nextlabel") or 2**64

    def max_label(self, version: str) -> int:
        """0 while it has no labels."""
        try:
            return _number(self._get(version, "maxlabel"), "maxlabel")
        except RequestRefused as refusal:
            if refusal.reason is RefusalReason.NO_LABELS:
                return 0
            raise

    def next_label_was_set(self, root: str) -> bool:
        """True in mode 2: `set-nextlabel` has been used on this instance."""
        info = self.client.read_json(repo_path(root, "info"), limit=REPO)
        try:
            return int(info["DataInstances"][self.name]["Extended"].get("NextLabel") or 0) != 0
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServerFailed("GET repo info", f"says nothing of {self.name}: {error!r}") from error

    def last_mod(self, version: str, label: int) -> LastMod | None:
        """None if there is no such body."""
        content = self.client.read_or_none(
            node_path(version, self.name, "lastmod", label), limit=FEW, kind=JSON
        )
        if content is None:
            return None
        try:
            answer = orjson.loads(_GO_ESCAPE.sub(_as_json, content))
            return LastMod(
                mutation_id=int(answer["mutation id"]),
                user=str(answer["last mod user"]),
                app=str(answer["last mod app"]),
                time=str(answer["last mod time"]),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ServerFailed(f"GET lastmod/{label}", f"answered {content[:200]!r}") from error

    def mapping(self, version: str, supervoxels: Sequence[int]) -> list[int]:
        """The body of each supervoxel; 0 for one that was split or never was."""
        return self._batched(version, "mapping", supervoxels)

    def retired(self, version: str) -> frozenset[int]:
        """The ids that are no supervoxels (anymore): split ones, and labels that cleaves and renumbers gave.

        One bulk read of the mapping, 16 bytes for each supervoxel that ever changed its body.
        """
        import numpy as np  # takes time to load, and most runs need no whole mapping

        content = self.client.read(
            node_path(version, self.name, "mappings"), query={"format": "binary"}, kind=NO_TEXT
        )
        if len(content) % 16:
            raise ServerFailed("GET mappings", f"answered {len(content)} bytes, which are no pairs of labels")
        pairs = np.frombuffer(content, "<u8").reshape(-1, 2)
        return frozenset(pairs[pairs[:, 1] == 0, 0].tolist())

    def known(self, version: str, ids: Sequence[int]) -> list[bool]:
        """Whether the mapping holds each id, as something else than itself: a supervoxel that changed its
        body or was split, or a label that a cleave or a renumber gave."""
        bodies = self._batched(version, "mapping", ids, query={"nolookup": "true"})
        return [body != label for body, label in zip(bodies, ids, strict=True)]

    def mutation_ids(self, version: str) -> frozenset[int]:
        """The operations of a version that ended well, as far as the server keeps a list of them."""
        try:
            listed = self._get(version, "mutations")
        except RequestRefused:
            return frozenset()
        entries = listed if isinstance(listed, list) else []
        found = (entry.get("MutationID") for entry in entries if isinstance(entry, dict))
        return frozenset(number for number in found if type(number) is int)

    def sizes(self, version: str, labels: Sequence[int], *, of_supervoxels: bool = False) -> list[int]:
        """Voxels of each body, or of each supervoxel; 0 for one that does not exist."""
        return self._batched(version, "sizes", labels, {"supervoxels": "true"} if of_supervoxels else None)

    def supervoxels(self, version: str, label: int) -> list[int] | None:
        """The supervoxels in a body's index; None if there is no such body."""
        try:
            found = self.client.read_json(node_path(version, self.name, "supervoxels", label))
        except RequestRefused as refusal:
            if refusal.status == 404:
                return None
            raise
        return _numbers(found, "supervoxels")

    def sparsevol(self, version: str, supervoxel: int) -> bytes:
        """The runs of one supervoxel, in DVID's encoding with its header."""
        return self.client.read(
            node_path(version, self.name, "sparsevol", supervoxel),
            query={"supervoxels": "true"},
            kind=BINARY,
        )

    def index(self, version: str, label: int) -> LabelIndex:
        """A body's index, without blocks if there is no such body."""
        path = node_path(version, self.name, "indices")
        content = self.client.read(path, body=orjson.dumps([label]), kind=BINARY)
        try:
            (index,) = protobuf.label_indices(content).indices
        except (ValueError, protobuf.DecodeError) as error:
            raise ServerFailed("GET indices", f"answered {len(content)} bytes, not one index") from error
        return index

    def taken(self, version: str, labels: Sequence[int]) -> list[int]:
        """Those of some ids that a supervoxel or a body has."""
        bodies = {label for label, index in self.indices(version, labels) if index != LabelIndex()}
        homes = zip(labels, self.mapping(version, labels), strict=True)
        return [label for label, body in homes if body or label in bodies]

    def changed_as(self, version: str, labels: Sequence[int], app: str) -> list[int]:
        """Those of some bodies that a request with this `app` changed last."""
        return [label for label, index in self.indices(version, labels) if index.last_mod_app == app]

    def indices(self, version: str, labels: Sequence[int]) -> Iterator[tuple[int, LabelIndex]]:
        """The indices of many bodies, `INDICES_AT_ONCE` in a request; without blocks where there is none."""
        from dvidsync_dagster.dvid import label_lists  # its arrays take time to load

        for start in range(0, len(labels), INDICES_AT_ONCE):
            batch = list(labels[start : start + INDICES_AT_ONCE])
            yield from label_lists.indices(self.client, version, self.name, batch)

    def max_scale(self, version: str) -> int:
        """The lowest resolution, each half of the one before; 0 if there is only one."""
        info = self._get(version, "info")
        try:
            return int(info["Extended"]["MaxDownresLevel"])
        except (KeyError, TypeError, ValueError) as error:
            raise ServerFailed("GET info", f"says no MaxDownresLevel of {self.name}: {error!r}") from error

    def blocks(self, version: str, points: Sequence[BlockPoint], scale: int) -> list[LabelBlock]:
        """Blocks of supervoxels; those without data are left out."""
        query: dict[str, str | int] = {
            "blocks": ",".join(str(each) for point in points for each in point),
            "scale": scale,
            "supervoxels": "true",
        }
        path = node_path(version, self.name, "specificblocks")
        return list(parse_blocks(self.client.read(path, query=query, kind=BINARY), "GET specificblocks"))

    def supervoxels_at(self, version: str, points: Sequence[tuple[int, int, int]]) -> list[int]:
        """The supervoxel at each point (x, y, z in voxels); 0 where there is none."""
        return self._batched(version, "labels", points, query={"supervoxels": "true"})

    def blob(self, version: str, reference: str) -> bytes:
        return self.client.read(node_path(version, self.name, "blobstore", reference), kind=BINARY)

    # Changing

    def merge(self, version: str, target: int, labels: Sequence[int], *, user: str, app: str) -> None:
        self._post(version, "merge", fields=("MutationID",), body=[target, *labels], user=user, app=app)

    def cleave(self, version: str, label: int, supervoxels: Sequence[int], *, user: str, app: str) -> int:
        """The label that the server picked."""
        answer = self._post(
            version,
            "cleave",
            label,
            fields=("CleavedLabel", "MutationID"),
            body=list(supervoxels),
            user=user,
            app=app,
        )
        return _number(answer, "CleavedLabel")

    def renumber(self, version: str, new: int, orig: int, *, user: str, app: str) -> None:
        path = node_path(version, self.name, "renumber")
        self.client.change("POST", path, body=orjson.dumps([new, orig]), user=user, app=app)

    def split_supervoxel(
        self, version: str, supervoxel: int, split: int, remain: int, volume: bytes, *, user: str, app: str
    ) -> None:
        """`volume` is a sparse volume with header, all of it inside the supervoxel."""
        self.client.change_json(
            "POST",
            node_path(version, self.name, "split-supervoxel", supervoxel),
            "SplitSupervoxel",
            "RemainSupervoxel",
            query={"split": split, "remain": remain},
            body=volume,
            user=user,
            app=app,
        )

    def reserve(self, version: str, count: int) -> tuple[int, int]:
        """Take ids from the counter; the first and the last of them."""
        answer = self._post(version, "nextlabel", count, fields=("start", "end"))
        return _number(answer, "start"), _number(answer, "end")

    def raise_max_label(self, version: str, label: int) -> None:
        self.client.change("POST", node_path(version, self.name, "maxlabel", label), admin=True)

    def set_next_label(self, version: str, label: int, ceiling: int | None) -> None:
        query = {} if ceiling is None else {"ceiling": ceiling}
        self.client.change(
            "POST", node_path(version, self.name, "set-nextlabel", label), query=query, admin=True
        )

    def map_supervoxels(self, version: str, groups: dict[int, Sequence[int]], mutation_id: int = 0) -> None:
        """Set the mapping: for each body the supervoxels that belong to it; body 0 retires an id."""
        body = protobuf.mapping_ops(groups, mutation_id)
        self.client.change("POST", node_path(version, self.name, "mappings"), body=body)

    def put_index(self, version: str, index: LabelIndex) -> None:
        """Replace a body's index by a changed one of `index`."""
        self.put_indices(version, [index])

    def put_indices(self, version: str, indices: Sequence[LabelIndex]) -> None:
        """Replace the indices of bodies, in this order; one without blocks deletes the body's.

        A server that keeps indices in memory goes on with those (docs/dvid.md, "Copying states").
        """
        body = protobuf.label_indices_of(indices)
        self.client.change("POST", node_path(version, self.name, "indices"), body=body)

    def put_index_and_kept(self, version: str, index: LabelIndex) -> None:
        """Replace a body's index, and the one that the server keeps in memory."""
        path = node_path(version, self.name, "index", index.label)
        self.client.change("POST", path, body=index.SerializeToString())

    def put_blocks(self, version: str, blocks: Sequence[LabelBlock], scale: int = 0) -> None:
        """Overwrite voxels at one resolution, and nothing else: no index, no other resolution, nothing that
        is synced."""
        body = b"".join(block.encoded() for block in blocks)
        path = node_path(version, self.name, "ingest-supervoxels")
        self.client.change("POST", path, query={"scale": scale}, body=body)

    def delete_index(self, version: str, label: int) -> None:
        """An empty index deletes the body's."""
        self.client.change("POST", node_path(version, self.name, "indices"), body=protobuf.empty_index(label))

    def _get(self, version: str, *parts: str | int) -> Any:
        return self.client.read_json(node_path(version, self.name, *parts), limit=REPO)

    def _post(
        self,
        version: str,
        *parts: str | int,
        fields: Sequence[str],
        body: Any = None,
        user: str | None = None,
        app: str | None = None,
    ) -> dict[str, Any]:
        content = b"" if body is None else orjson.dumps(body)
        path = node_path(version, self.name, *parts)
        return self.client.change_json("POST", path, *fields, body=content, user=user, app=app)

    def _batched(
        self, version: str, endpoint: str, labels: Sequence[object], query: Mapping[str, str] | None = None
    ) -> list[int]:
        found: list[int] = []
        for start in range(0, len(labels), _MAPPING_BATCH):
            batch = list(labels[start : start + _MAPPING_BATCH])
            path = node_path(version, self.name, endpoint)
            limit = _NUMBER * len(batch) + FEW
            answer = self.client.read_json(path, body=batch, query=query or {}, limit=limit)
            numbers = _numbers(answer, endpoint)
            if len(numbers) != len(batch):
                raise ServerFailed(f"GET {endpoint}", f"answered {len(numbers)} of {len(batch)} labels")
            found += numbers
        return found


_GO_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|U([0-9a-f]{8})|([av])|(.))", re.DOTALL)
"""DVID writes a user as Go's source would, which JSON differs from for control characters and the like."""


def _as_json(escape: re.Match[bytes]) -> bytes:
    byte, character, letter, other = escape.groups()
    if other is not None:
        return escape[0]
    code = {b"a": 7, b"v": 11}[letter] if letter else int(byte or character, 16)
    return orjson.dumps(chr(code))[1:-1]


def _number(answer: Any, field: str) -> int:
    value = answer.get(field) if isinstance(answer, dict) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ServerFailed(field, f"answered {str(answer)[:200]}, no number {field!r}")
    return value


def _numbers(answer: Any, endpoint: str) -> list[int]:
    if not isinstance(answer, list) or not all(isinstance(item, int) and item >= 0 for item in answer):
        raise ServerFailed(f"GET {endpoint}", f"answered no list of numbers: {str(answer)[:200]}")
    return answer
