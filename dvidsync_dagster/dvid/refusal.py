"""What DVID's refusals mean, told by their texts: nobody above this room reads them.

Seen in recordings and on a real server, see docs/dvid.md, "Refusals". A text that is not known is `OTHER`.
"""

from __future__ import annotations

import re

from dvidsync_dagster.errors import NotDvid, RequestRefused
from dvidsync_dagster.refusal_reason import RefusalReason

_TEXTS: tuple[tuple[re.Pattern[str], RefusalReason], ...] = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        # "Cannot do post on locked node UUID", 'Cannot do POST on endpoint "merge" of locked node UUID'
        (r"Cannot do \S+ on .{0,200}locked node", RefusalReason.VERSION_COMMITTED),
        (r"could not find UUID", RefusalReason.UNKNOWN_VERSION),
        (r"invalid data instance name", RefusalReason.UNKNOWN_INSTANCE),
        (r"Did not find (moved )?element", RefusalReason.NO_ELEMENT),
        (r"No maximum label", RefusalReason.NO_LABELS),
        (r".*\balready in index", RefusalReason.ALREADY_IN_INDEX),
        (r".*\blabel\b.*\balready exists", RefusalReason.LABEL_EXISTS),
        (r".*\bhas been split\b", RefusalReason.SUPERVOXEL_SPLIT),
        (r".*\bdifferent from label index", RefusalReason.OUTSIDE_SUPERVOXEL),
        (r".*\bjsonschema\b", RefusalReason.AGAINST_SCHEMA),
    )
)
_READ = 2000
"""Characters that are looked at: DVID's own words are shorter."""


def reason_of(status: int, said: str) -> RefusalReason:
    """What a refusal means.

    Args:
        said: DVID's text without the path after it, which holds what the user wrote.
    """
    if status == 404:
        return RefusalReason.NO_KEY if said.startswith('Key "') else RefusalReason.NOT_FOUND
    beginning = " ".join(said[:_READ].split())
    return next((reason for text, reason in _TEXTS if text.match(beginning)), RefusalReason.OTHER)


_BRANCH_IS_THERE = "branch already exists with given name"
_OTHER_BRANCH = (
    "a branch of that name is there already, of another version: once it is hidden (`dvid repo ROOT "
    "hide-branch NAME`), the next run makes this one, or `dvidsync repair --apply` if it was left out"
)
_NEW_VERSION = re.compile(r"/newversion\b")
_OTHER_CHILD = (
    "another version comes next on that branch there already: people made it, or the source has lost it, "
    "as when it was restored from a backup. No request takes a version away: make a fresh copy"
)
_NO_INSTANCE = re.compile(r"invalid data instance name")
_SILENTLY_MADE = (
    "there is no such instance: perhaps DVID's own command line made it at the source, which no message "
    "tells. `dvidsync repair --apply` makes it, with what is in it"
)
_NO_BODY = re.compile(r"non-existent (?:label|body with label) (\d+)")


def in_words(found: str) -> str:
    """What was found, for people, where DVID's own text tells nothing of why."""
    if _BRANCH_IS_THERE in found:
        # The branch of a new version has its parent too, so hiding it would take away what is followed.
        return f"{_OTHER_CHILD if _NEW_VERSION.search(found) else _OTHER_BRANCH} ({found})"
    if _NO_INSTANCE.search(found):
        return f"{_SILENTLY_MADE} ({found})"
    match = _NO_BODY.search(found)
    if match is None:
        return found
    return (
        f"no body {match[1]} there: perhaps merged or renumbered, or what makes it was left out, or its "
        f"message is lost ({found})"
    )


def check_no_key(refusal: RequestRefused) -> None:
    """Raises what was refused, unless it is DVID's own word that there is no such key."""
    if refusal.status != 404:
        raise refusal
    if refusal.reason is not RefusalReason.NO_KEY:
        raise NotDvid(refusal.request, f"answered 404: {refusal.text!r}. DVID says more") from None
