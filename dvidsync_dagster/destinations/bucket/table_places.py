"""Where tables would come to lie: places that a bucket cannot hold, or that two tables would share, are
refused before anything is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import urlsplit

from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.layout import branch_folder, table_folder
from dvidsync_dagster.snapshot.store import Bucket

_PART = 255
"""Bytes of a folder's name in common file systems."""
_WHOLE = 1024
"""Bytes of an object's name in Google's, Amazon's and Microsoft's stores. File systems take more."""
_FILE = 120
"""Bytes of the longest name that a table's files have, its log's included."""

_LOG = "/_delta_log/"
_OWN_REMEDY = "Leave it out of the snapshot: name it in `own`."


def refuse_places(bucket: Bucket, branch: str, paths: Mapping[str, Collection[str]], field: str) -> None:
    """Refuse instances whose tables cannot be kept, each beside all others.

    Args:
        paths: of the tables of each instance, by its name; "" for the snapshot's own.
        field: of the destination in the configuration.

    Raises:
        ConfigurationError: there is one.
    """
    prefix = _prefix(bucket)
    if not _fits(prefix, branch_folder(branch)):
        raise ConfigurationError(
            f"{field}.branch",
            f"the name of branch {escaped(branch, 100)} is too long for a folder",
            "Follow another branch.",
        )
    # All that lies below the first part of an own table's path is the snapshot's own.
    taken = {_place(bucket, table_folder(branch, path.partition("/")[0])): "" for path in paths.get("", ())}
    for name in sorted(paths.keys() - {""}):
        for path in paths[name]:
            folder = table_folder(branch, path)
            if not _fits(prefix, folder):
                raise _refused(field, name, "is too long: its tables would have no place in the bucket")
            place = _place(bucket, folder)
            for other, owner in taken.items():
                if owner != name and _are_in_each_other(place, other):
                    raise _refused(field, name, _found(owner))
            taken[place] = name


def refuse_nameless(names: Iterable[str], field: str) -> None:
    """Refuse instances that no request can name: a server takes such a path apart, and answers for another
    instance. See docs/dvid.md, "Names of instances".

    Raises:
        ConfigurationError: there is one.
    """
    for name in sorted(names):
        if name in ("", ".", "..") or "/" in name:
            raise _refused(field, name, "cannot be asked for: no request can name it")


def refuse_nested(bucket: Bucket, branch: str, paths: Mapping[str, Collection[str]], field: str) -> None:
    """Refuse to make tables inside the folders of others that were there before, or around them: maintenance
    of the outer one would delete the files of the inner one, which pins may need.

    Args:
        paths: of the tables that are to be made, by the instance's name.

    Raises:
        ConfigurationError: there is one.
        StorageError.
    """
    for name, own in sorted(paths.items()):
        for path in own:
            folder = table_folder(branch, path)
            around = path.rpartition("/")[0]
            has_outer = around and bucket.names(f"{table_folder(branch, around)}/_delta_log")
            has_inner = any(_LOG in each.removeprefix(f"{folder}/") for each in bucket.names(folder))
            if has_outer or has_inner:
                raise _refused(
                    field,
                    name,
                    "was of another data type before, and the folder of its tables still holds those",
                    "Name it in `own`, or give the snapshot a new folder.",
                )


def _refused(field: str, name: str, found: str, remedy: str = _OWN_REMEDY) -> ConfigurationError:
    return ConfigurationError(f"{field}.own", f"instance {escaped(name, 100)!r} {found}", remedy)


def _found(owner: str) -> str:
    if not owner:
        return "has the name of a table that the snapshot itself needs"
    return f"has a name that differs from {escaped(owner, 100)!r} in nothing that folders keep apart"


def _place(bucket: Bucket, folder: str) -> str:
    """A folder of this machine may be on a file system, or be taken to one, that does not tell case."""
    return folder.lower() if _is_folder(bucket) else folder


def _are_in_each_other(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _fits(prefix: int, folder: str) -> bool:
    """Its parts are ASCII: a character is a byte."""
    return all(len(part) <= _PART for part in folder.split("/")) and prefix + len(folder) + _FILE <= _WHOLE


def _is_folder(bucket: Bucket) -> bool:
    return "://" not in bucket.uri


def _prefix(bucket: Bucket) -> int:
    """Bytes of what stands before each object's name in the bucket."""
    return 0 if _is_folder(bucket) else len(urlsplit(bucket.uri).path)
