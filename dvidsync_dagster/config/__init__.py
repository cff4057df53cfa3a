"""The configuration: one typed model, from Python, YAML, or the JSON of the first dvidsync."""

from dvidsync_dagster.config.bucket import BucketConfig
from dvidsync_dagster.config.destination import AnyDestination
from dvidsync_dagster.config.files import load_configs
from dvidsync_dagster.config.kafka import KafkaConfig
from dvidsync_dagster.config.model import InstanceChoice, SyncConfig, WindowsConfig
from dvidsync_dagster.config.practice import PracticeConfig
from dvidsync_dagster.config.servers import DestinationConfig, SourceConfig
from dvidsync_dagster.config.start import StartTime

__all__ = [
    "AnyDestination",
    "BucketConfig",
    "DestinationConfig",
    "InstanceChoice",
    "KafkaConfig",
    "PracticeConfig",
    "SourceConfig",
    "StartTime",
    "SyncConfig",
    "WindowsConfig",
    "load_configs",
]
