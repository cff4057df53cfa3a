"""The checkpoint file of the first dvidsync."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dvidsync_dagster.errors import CheckpointError
from dvidsync_dagster.log.checkpoint import Checkpoint, PartitionPosition
from dvidsync_dagster.orchestration.checkpoint_file import read_checkpoint_file, write_checkpoint_file

ROOT = "a78c418b6a194df1adfe21e5a081c877"
OTHER = "b78c418b6a194df1adfe21e5a081c877"
DATA = "f00c3e2ae9bc458aba9c81c843018f2d"
TOPIC = f"dvidrepo-{ROOT}-inst-{DATA}"
OTHER_TOPIC = f"prefix-dvidrepo-{OTHER}-data-{DATA}"


def test_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint_file(tmp_path / "log", ROOT) is None


def test_the_form_of_2017(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(json.dumps({TOPIC: 12, OTHER_TOPIC: 7}))
    assert read_checkpoint_file(path, ROOT) == Checkpoint(0, {TOPIC: {0: PartitionPosition(12)}})
    assert read_checkpoint_file(path, OTHER) == Checkpoint(0, {OTHER_TOPIC: {0: PartitionPosition(7)}})
    assert read_checkpoint_file(path, DATA) is None


def test_a_copy_replaces_the_old_form_and_keeps_the_other_repos(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(json.dumps({TOPIC: 12, OTHER_TOPIC: 7}))
    reached = Checkpoint(3, {TOPIC: {0: PartitionPosition(20, ((22, 25),))}}, key_ns=5, clean=True)
    write_checkpoint_file(path, ROOT, reached)
    assert read_checkpoint_file(path, ROOT) == reached
    assert read_checkpoint_file(path, OTHER) == Checkpoint(0, {OTHER_TOPIC: {0: PartitionPosition(7)}})


def test_a_half_written_copy_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reached = Checkpoint(3, {TOPIC: {0: PartitionPosition(20)}}, key_ns=5)
    write_checkpoint_file(path, ROOT, reached)
    (tmp_path / ".log.new").write_text('{"checkpoints": {')
    assert read_checkpoint_file(path, ROOT) == reached
    write_checkpoint_file(path, ROOT, reached)
    assert read_checkpoint_file(path, ROOT) == reached


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"topic": 1}',
        json.dumps({TOPIC: -1}),
        '{"checkpoints": 1}',
        "[" * 100_000,
        f'{{"{TOPIC}": 1{"0" * 6000}}}',
        f'{{"{TOPIC}": 1{"0" * 30}}}',
        f'{{"checkpoints": {{"{ROOT}": {"[" * 400 + "]" * 400}}}}}',
    ],
    ids=range(9),
)
def test_what_is_no_checkpoint_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    with pytest.raises(CheckpointError):
        read_checkpoint_file(path, ROOT)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_checkpoint_file(tmp_path / "none" / "log", ROOT, Checkpoint(1))
