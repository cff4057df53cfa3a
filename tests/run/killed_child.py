"""A run that dies after its first chunk, before anybody has stored its checkpoint:
``python -m tests.run.killed_child CONFIG``, CONFIG as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.run.follow import follow


def main(config_text: str) -> None:
    config = SyncConfig.model_validate(json.loads(config_text))
    for _ in follow(config, config.destinations[0], checkpoint=None, epoch=1, still_owner=lambda: None):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
