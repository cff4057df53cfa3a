"""All mutations that a run can meet, and where each is decoded."""

from __future__ import annotations

from dvidsync_dagster.datatypes.labelmap.messages import LabelMutation
from dvidsync_dagster.datatypes.versions import RepoMutation

Mutation = LabelMutation | RepoMutation

FOLLOWED_TYPES = ("labelmap",)
"""The data types whose messages are applied. Those of others are counted and shown."""
