"""All events that a run can meet, and the data types that are followed."""

from __future__ import annotations

from collections.abc import Mapping

from dvidsync_dagster.datatypes.annotation import ANNOTATION
from dvidsync_dagster.datatypes.copied import DataEvent, DataType, Operation
from dvidsync_dagster.datatypes.keyvalue.writer import KEYVALUE
from dvidsync_dagster.datatypes.labelmap.events import LabelEvent
from dvidsync_dagster.datatypes.neuronjson.writer import NEURONJSON
from dvidsync_dagster.datatypes.repo.writer import RepoEvent

Event = LabelEvent | RepoEvent | DataEvent | Operation

DATA_TYPES: Mapping[str, DataType] = {
    "keyvalue": KEYVALUE,
    "neuronjson": NEURONJSON,
    "annotation": ANNOTATION,
}
"""By name, those that are copied in batches. labelmap is another matter: its operations are repeated."""

FOLLOWED_TYPES = ("labelmap", *DATA_TYPES)
"""The data types whose messages are applied. Those of others are counted and shown."""
