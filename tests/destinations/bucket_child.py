"""One run into a bucket as a process of its own: ``python -m tests.destinations.bucket_child CONFIG``.

CONFIG is JSON.
"""

from __future__ import annotations

import json
import sys

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.run.follow import follow


def main(config_text: str) -> None:
    config = SyncConfig.model_validate(json.loads(config_text))
    for _ in follow(config, config.destinations[0], checkpoint=None, epoch=1, still_owner=lambda: None):
        pass


if __name__ == "__main__":
    main(sys.argv[1])
