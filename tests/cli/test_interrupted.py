"""Ctrl-C ends a command with words that say what becomes of its work."""

from __future__ import annotations

import pytest

from dvidsync_dagster.cli.exit_codes import FAILED, exit_codes


def test_ctrl_c_says_that_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_codes(verbose=False):
        raise KeyboardInterrupt
    assert ended.value.code == FAILED
    assert "the next run goes on from there" in capsys.readouterr().err
