"""What the package logs while a run executes, in the run's own log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from dvidsync_dagster.outgoing_text import escaped

PACKAGE = "dvidsync_dagster"

_LONGEST = 2000
"""Characters of a line."""

Context = dg.AssetExecutionContext | dg.OpExecutionContext | dg.AssetCheckExecutionContext


class _ToRun(logging.Handler):
    """Hands each line on to a run.

    Args:
        context: of the step.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(logging.INFO)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._context.log.log(record.levelno, escaped(record.getMessage(), _LONGEST))
        except Exception:
            self.handleError(record)


@contextmanager
def logged_in_run(context: Context) -> Iterator[None]:
    """Meanwhile the run shows what modules of this package log, from `logging.INFO` on."""
    logger, handler = logging.getLogger(PACKAGE), _ToRun(context)
    level = logger.level
    logger.addHandler(handler)
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
