"""The release of a committed version: Feather files with the names and columns that flyem-snapshot uses.

    releases/UUID/tables/complete-nonsingleton-mapping-TAG.feather      sv, body
    releases/UUID/tables/body-size-cache-TAG.feather                    body, size
    releases/UUID/tables/body-annotations-TAG.feather                   body, fields by DVID's names
    releases/UUID/flat-connectome/body-annotations-TAG-minconf-0.0.feather      bodyId, neuPrint's names
    releases/UUID/flat-connectome/syn-points-TAG-minconf-0.0.feather            x … body
    releases/UUID/flat-connectome/syn-partners-TAG-minconf-0.0.feather          x_pre … conf_post
    releases/UUID/flat-connectome/connectome-weights-TAG-minconf-0.0.feather    body_pre, body_post, weight
    releases/UUID/flat-connectome/body-stats-TAG-minconf-0.0.feather            body, pre, post, …
    releases/UUID/SHA256SUMS                                            for `sha256sum -c`

TAG is as flyem-snapshot makes it: the day of the last edit, and the first six letters of the UUID. No point
is left out for its confidence. SHA256SUMS is written last: where it is, the release is whole, and is never
made again. The same version makes the same bytes, so two that make it at once do no harm.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.layout import release_folder
from dvidsync_dagster.snapshot.release.files import made_of
from dvidsync_dagster.snapshot.store import Bucket

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class Release:
    """A release that is whole.

    Args:
        folder: in the bucket.
        files: the SHA-256 of each file, by its name below the folder.
        made: now; else it was there.
        notes: what the files do not hold, in sentences.
    """

    folder: str
    files: Mapping[str, str]
    made: bool
    notes: tuple[str, ...] = ()


def release(
    dataset: Dataset,
    bucket: Bucket,
    *,
    synced: Mapping[str, str] | None = None,
    still_owner: Callable[[], None] = lambda: None,
) -> Release:
    """Write the release of a version, unless it is there.

    One file after the other is made in a temporary folder, which holds one at a time. Memory is that of the
    largest part: some 40 bytes a row of the mapping, 180 a point of a synapse, and the neurons' JSON.

    Args:
        dataset: as the version was when it was committed: `open(…, version=UUID)`.
        bucket: where it is written.
        synced: the labelmap that lies under an instance of annotations, by name. It need not be told of if
            there is one labelmap.
        still_owner: raises OwnershipLost if this run must not write any more.

    Raises:
        StorageError.
        What `still_owner` raises.
    """
    folder = release_folder(dataset.uuid)
    there = _sums(bucket, folder)
    if there is not None:
        return Release(folder, there, made=False)
    notes: list[str] = []
    files: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="dvidsync-release-") as temporary:
        for name, write in made_of(dataset, synced or {}, notes):
            path = Path(temporary, "file.feather")
            write(path)
            files[name] = _sha256(path)
            still_owner()
            bucket.write(f"{folder}/{name}", path)
            path.unlink()
    still_owner()
    # An earlier try may have left more. What somebody else has put here stays.
    bucket.delete(
        each
        for each in bucket.names(folder)
        if each.endswith(".feather") and each.removeprefix(f"{folder}/") not in files
    )
    bucket.create(f"{folder}/{SUMS}", _text(files).encode())
    return Release(folder, files, made=True, notes=tuple(notes))


def _sums(bucket: Bucket, folder: str) -> dict[str, str] | None:
    """What the list says; None if there is none."""
    stored = bucket.read(f"{folder}/{SUMS}")
    if stored is None:
        return None
    found = {}
    for line in stored.content.decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise SnapshotDamaged(
                f"{bucket.uri}/{folder}/{SUMS}",
                f"it holds {escaped(line, 100)!r}",
                "Delete it, and the release is made again.",
            )
        found[match[2]] = match[1]
    return found


def _text(files: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
