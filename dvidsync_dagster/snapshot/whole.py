"""Whether the files of tables are all there. The bucket is listed for it, table by table; no file is read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.opening import opened, storage_errors
from dvidsync_dagster.snapshot.points import Point
from dvidsync_dagster.snapshot.rewriting import files_of
from dvidsync_dagster.snapshot.store import Bucket


class WholeTables:
    """The tables of a branch, each of which is listed once.

    Every method may raise StorageError.
    """

    def __init__(self, bucket: Bucket, branch: str) -> None:
        self._bucket = bucket
        self._branch = branch
        self._there: dict[str, Mapping[str, int]] = {}

    def lost(self, path: str, version: int) -> str:
        """What a version of a table lacks: the name of a file, or words for its log; "" if it is whole."""
        folder = table_folder(self._branch, path)
        if path not in self._there:
            self._there[path] = self._bucket.sizes(folder)
        try:
            delta = opened(self._bucket, self._branch, path, version)
        except SnapshotDamaged:
            return f"{folder}/_delta_log up to version {version}"
        with storage_errors(self._bucket, self._branch, path):
            needed = {f"{folder}/{file.path}": file.size for file in files_of(delta)}
        there = self._there[path]
        return next((name for name, size in needed.items() if there.get(name) != size), "")

    def first_lost(self, tables: Mapping[str, int]) -> str:
        """The first of tables at versions that is not whole; "" if all are."""
        return next((path for path, version in tables.items() if self.lost(path, version)), "")

    def first_whole(self, points: Sequence[Point]) -> Point | None:
        """The oldest point that is whole. Files are deleted from the oldest on."""
        place = bisect_left(points, True, key=lambda point: not self.first_lost(point.tables))
        return points[place] if place < len(points) else None
