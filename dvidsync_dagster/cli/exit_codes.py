"""How a command ends: one exit code per kind of end, and the message of what ended it."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from dvidsync_dagster.cli.output import echo
from dvidsync_dagster.errors import DvidSyncError
from dvidsync_dagster.run import causes

DONE = 0
FAILED = 1
WRONG_CONFIGURATION = 2
LEFT_OUT = 3
DIFFERENT = 4
OUTAGE = 5
LOGIN = 6
CONFLICT = 7

_WORST_FIRST = (FAILED, WRONG_CONFIGURATION, LOGIN, CONFLICT, OUTAGE, DIFFERENT, LEFT_OUT, DONE)
"""Of several destinations the first of these counts: what needs a person comes before what mends itself."""

_CODES = {
    causes.CONFIGURATION: WRONG_CONFIGURATION,
    causes.CONFLICT: CONFLICT,
    causes.LOGIN: LOGIN,
    causes.OUTAGE: OUTAGE,
}

_FAILURES = """
  5  outage: a server, a proxy or the broker does not answer as it should; try later
  6  login refused: a token is wrong, or its time is over
  7  conflict: the destination cannot take an operation
  2  the configuration is wrong
  1  any other failure

Of several destinations the worst counts, in this order: 1, 2, 6, 7, 5, 4, 3, 0.
"""
RUN_EXIT_CODES = f"""
\b
Exit codes:
  0  everything up to the cut was applied
  3  the same, but something was skipped or quarantined{_FAILURES.replace("4, 3", "3")}"""
STATUS_EXIT_CODES = f"""
\b
Exit codes:
  0  everything is shown{_FAILURES.replace(", 4, 3", "")}"""
COMPARE_EXIT_CODES = f"""
\b
Exit codes:
  0  source and destinations agree
  4  they differ{_FAILURES.replace("4, 3", "4")}"""


_STORAGE = (
    "Look whether the disk of DAGSTER_HOME has room, and whether this user may write there; or whether the "
    "database answers that its dagster.yaml names. Then start it again: what was applied stays applied."
)


def worst(codes: Iterable[int]) -> int:
    """The code of a command that ended in several ways."""
    return min(codes, key=_WORST_FIRST.index, default=DONE)


def code_of(error: Exception) -> int:
    """The code of a command that this error ended."""
    return _CODES.get(causes.cause_of(error), FAILED)


@contextmanager
def exit_codes(verbose: bool) -> Iterator[None]:
    """Turn errors into messages and exit codes, and SIGTERM into an orderly end."""
    codes: list[int] = []
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with remembered(codes, "dvidsync", verbose):
            yield
    except KeyboardInterrupt:
        echo("Interrupted. What was done stays done, and the next run goes on from there.", err=True)
        codes.append(FAILED)
    finally:
        signal.signal(signal.SIGTERM, before)
    if codes:
        sys.exit(codes[0])


@contextmanager
def remembered(codes: list[int], title: str, verbose: bool) -> Iterator[None]:
    """Tell what goes wrong with one destination and keep its code: the others come next."""
    try:
        yield
    except Exception as error:
        codes.append(code_of(error))
        _tell(title, error, verbose)


def _tell(title: str, error: Exception, verbose: bool) -> None:
    if verbose:
        echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    if isinstance(error, DvidSyncError):
        found, remedy = causes.found_and_remedy(error)
        echo(f"{title}: {causes.cause_of(error).title}: {found}\n  {remedy}", err=True)
        return
    # Not imported above: what needs no Dagster does not wait for it.
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, DBAPIError):
        echo(f"{title}: Failed: Dagster's storage cannot be used: {error.orig}\n  {_STORAGE}", err=True)
        return
    hint = "" if verbose else " (--verbose shows where)"
    echo(f"{title}: {type(error).__name__}: {error}{hint}", err=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
