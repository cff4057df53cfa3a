"""What is asked again, when, and for how long."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential_jitter

from dvidsync_dagster.dvid.patience import Patience
from dvidsync_dagster.dvid.telling import tell
from dvidsync_dagster.errors import NotDvid, ServerBusy, ServerError, ServerUnreachable

_LONG_PAUSE = 5.0
"""Seconds. Shorter pauses are logged as well, but only for who wants to know more (`INFO`)."""

logger = logging.getLogger(__name__)


def is_passing(error: BaseException) -> bool:
    """A read is worth another try."""
    return isinstance(error, ServerUnreachable | ServerBusy) or (isinstance(error, NotDvid) and error.passing)


def is_busy(error: BaseException) -> bool:
    """The request was not even looked at: a change too is worth another try."""
    return isinstance(error, ServerBusy)


def retrying(patience: Patience, server: str, worth: Callable[[BaseException], bool]) -> Retrying:
    """Asks again after errors that are worth it: after the time that the server wants to be left alone, or
    soon. If it takes longer than the patience lasts, the error is raised at once.

    Args:
        server: as it is called in what is logged.
    """
    soon = wait_exponential_jitter(multiplier=0.1, max=2.0)

    def pause(state: RetryCallState) -> float:
        wanted = _wanted(state)
        return soon(state) if wanted is None else wanted

    def enough(state: RetryCallState) -> bool:
        spent, wanted = state.seconds_since_start or 0.0, _wanted(state)
        if wanted is None:
            return spent >= patience.unreachable
        return spent + wanted > patience.busy

    def speak(state: RetryCallState) -> None:
        error, seconds = state.outcome.exception() if state.outcome else None, state.upcoming_sleep
        if isinstance(error, ServerError):
            tell(
                logger,
                f"waiting {seconds:,.1f} s, then again: {error}",
                server=server,
                request=error.request,
                seconds=seconds,
                level=logging.WARNING if seconds >= _LONG_PAUSE else logging.INFO,
            )

    return Retrying(
        retry=retry_if_exception(worth), wait=pause, stop=enough, before_sleep=speak, reraise=True
    )


def _wanted(state: RetryCallState) -> float | None:
    """For how many seconds the server wants to be left alone, if it says so."""
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after if isinstance(error, ServerBusy | NotDvid) else None
