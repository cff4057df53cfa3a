"""One sync as a process of its own: ``python -m tests.faults.child CONFIG CHECKPOINT``.

CONFIG is JSON, CHECKPOINT a file that is read at the start (if it is there) and written after each chunk.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint_json import checkpoint_from_json, checkpoint_json
from dvidsync_dagster.run.follow import follow


def main(config_text: str, file: Path) -> None:
    config = SyncConfig.model_validate(json.loads(config_text))
    checkpoint = checkpoint_from_json(json.loads(file.read_text())) if file.exists() else None
    epoch = checkpoint.epoch + 1 if checkpoint else 1
    for report in follow(
        config, config.destinations[0], checkpoint=checkpoint, epoch=epoch, still_owner=lambda: None
    ):
        assert not report.left_something_out
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(checkpoint_json(report.checkpoint)))
        fresh.rename(file)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
