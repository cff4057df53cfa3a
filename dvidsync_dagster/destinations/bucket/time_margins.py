"""How far times are trusted where they decide what the tables hold already."""

from __future__ import annotations

MARGIN_NS = 3600 * 10**9
"""How long before a moment the log is looked at too. A value is announced before it is written, a label
operation that was under way then began earlier, and the source's clock may have been set back since."""

COMMIT_NS = 60 * 10**9
"""How long after the commit of a version its record, and what was under way at the commit, must be in the
log."""


def with_margin(moment_ns: int) -> int:
    """An earlier moment (ns since 1970)."""
    return max(0, moment_ns - MARGIN_NS)
