"""The data types that are followed. A new one is a line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvidsync_dagster.datatypes.annotation import AnnotationType
from dvidsync_dagster.datatypes.contract import DataType
from dvidsync_dagster.datatypes.keyvalue import KeyvalueType
from dvidsync_dagster.datatypes.labelmap import LabelmapType
from dvidsync_dagster.datatypes.neuronjson import NeuronjsonType
from dvidsync_dagster.datatypes.repo import RepoType

_FOLLOWED: Sequence[DataType] = (LabelmapType(), KeyvalueType(), NeuronjsonType(), AnnotationType())

FOLLOWED: Mapping[str, DataType] = {data_type.typename: data_type for data_type in _FOLLOWED}
"""By DVID's name. Messages of other data types are counted and shown, and not applied."""

REPO = RepoType([name for name, data_type in FOLLOWED.items() if data_type.sorts_anew_when_synced])

ALL: Mapping[str, DataType] = {REPO.typename: REPO, **FOLLOWED}
"""With what a repo announces of itself."""
