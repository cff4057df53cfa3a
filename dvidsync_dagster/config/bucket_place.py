"""Where a bucket is, from the text that names it: the one check of it, for configurations and for readers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from dvidsync_dagster.config.fields import WrongValue

STORES = ("gs", "s3", "az")
_REMEDY = (
    "Write it such as gs://neu3-live, s3://bucket/folder, az://container/folder, file:///folder, or as a "
    "folder's whole path."
)


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A folder of an object store, or of this machine.

    Args:
        scheme: one of `STORES`; "" for a folder of this machine.
        name: the bucket's or container's.
        folder: below it, can be empty; of this machine: the path, which can begin with ``~``.
    """

    scheme: str
    name: str
    folder: str


def bucket_place(text: str) -> BucketPlace:
    """The place that a URI or a path names.

    Raises:
        WrongValue: it is none, of no known kind, or holds a login.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise WrongValue("is no URI", _REMEDY) from None
    if "://" in text and ("@" in parts.netloc or parts.query or parts.fragment):
        raise WrongValue(
            "holds more than a place",
            "Remove logins, ? and # from here: the cloud's own variables in the environment hold logins.",
        )
    if not text.isprintable():
        raise WrongValue("holds a control character", _REMEDY)
    if not text or re.match(r"(?:gs|s3|az|file):(?!//)", text):
        raise WrongValue("is no bucket of a known kind", _REMEDY)
    if "://" not in text:
        return BucketPlace("", "", text)
    if parts.scheme == "file" and not parts.netloc:
        return BucketPlace("", "", unquote(parts.path))
    folder = parts.path.strip("/")
    if parts.scheme not in STORES or not parts.netloc:
        raise WrongValue("is no bucket of a known kind", _REMEDY)
    if not re.fullmatch(r"[A-Za-z0-9._~/ -]*", folder) or ".." in folder.split("/"):
        raise WrongValue(
            "has a folder with an unusual name",
            "Use letters, digits, spaces and the characters . _ ~ - / alone.",
        )
    return BucketPlace(parts.scheme, parts.netloc, folder)
