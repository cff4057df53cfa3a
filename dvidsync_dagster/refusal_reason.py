"""Why DVID refuses a request."""

from __future__ import annotations

from enum import Enum, auto


class RefusalReason(Enum):
    """Why DVID refuses a request, as far as it matters here: docs/dvid.md, "Refusals"."""

    VERSION_COMMITTED = auto()
    UNKNOWN_VERSION = auto()
    UNKNOWN_INSTANCE = auto()
    NO_KEY = auto()
    NO_ELEMENT = auto()
    NO_LABELS = auto()
    """A labelmap without labels has no highest one."""
    NOT_FOUND = auto()
    """404 of anything else: a body, a blob, a schema."""
    ALREADY_IN_INDEX = auto()
    """A merge of a body whose supervoxels the target has already."""
    LABEL_EXISTS = auto()
    """A renumber to a label that there is already."""
    SUPERVOXEL_SPLIT = auto()
    """A supervoxel that has been split is not there anymore."""
    OUTSIDE_SUPERVOXEL = auto()
    """A split whose voxels are not those of the supervoxel's index."""
    AGAINST_SCHEMA = auto()
    """A neuron that the instance's JSON schema does not allow."""
    OTHER = auto()


NOT_HERE = (RefusalReason.UNKNOWN_VERSION, RefusalReason.UNKNOWN_INSTANCE)
"""The server has no such version, or no such instance."""
