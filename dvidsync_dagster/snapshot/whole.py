"""Whether the files of tables are all there, and hold what was written.

The bucket is listed for it, table by table. Files are read only where that is asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.snapshot.files import is_readable
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.opening import opened, storage_errors
from dvidsync_dagster.snapshot.points import Point
from dvidsync_dagster.snapshot.rewriting import File, files_of
from dvidsync_dagster.snapshot.store import Bucket


class WholeTables:
    """The tables of a branch, each of which is listed once.

    Every method may raise StorageError.

    Args:
        bucket, branch: where they are.
        read: also read each file, once: one that is damaged is lost too.
    """

    def __init__(self, bucket: Bucket, branch: str, *, read: bool = False) -> None:
        self.bucket = bucket
        self.branch = branch
        self._read = read
        self._readable: dict[str, bool] = {}
        self._there: dict[str, Mapping[str, int]] = {}

    def lost(self, path: str, version: int) -> str:
        """What a version of a table lacks: the name of a file, or words for its log; "" if it is whole."""
        folder = table_folder(self.branch, path)
        if path not in self._there:
            self._there[path] = self.bucket.sizes(folder)
        try:
            delta = opened(self.bucket, self.branch, path, version)
        except SnapshotDamaged:
            return f"{folder}/_delta_log up to version {version}"
        with storage_errors(self.bucket, self.branch, path):
            needed = {f"{folder}/{file.path}": file for file in files_of(delta)}
            columns = [field.name for field in delta.schema().fields]
        there = self._there[path]
        lost = (
            name
            for name, file in needed.items()
            if there.get(name) != file.size or (self._read and not self._is_readable(name, columns, file))
        )
        return next(lost, "")

    def first_lost(self, tables: Mapping[str, int]) -> str:
        """The first of tables at versions that is not whole; "" if all are."""
        return next((path for path, version in tables.items() if self.lost(path, version)), "")

    def first_whole(self, points: Sequence[Point]) -> Point | None:
        """The oldest point that is whole. Files are deleted from the oldest on."""
        place = bisect_left(points, True, key=lambda point: not self.first_lost(point.tables))
        return points[place] if place < len(points) else None

    def _is_readable(self, name: str, columns: Sequence[str], file: File) -> bool:
        if name not in self._readable:
            self._readable[name] = is_readable(self.bucket, name, columns, file.rows)
        return self._readable[name]
