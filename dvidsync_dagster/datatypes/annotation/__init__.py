"""annotation: elements at points, with relations and tags."""

from dvidsync_dagster.datatypes.annotation.events import decode, operations
from dvidsync_dagster.datatypes.annotation.writer import new_writer
from dvidsync_dagster.datatypes.copied import DataType

ANNOTATION = DataType(decode, operations, new_writer)
