"""The fields of an annotation: how a post changes them, and which of them are shown."""

from __future__ import annotations

from typing import Any

from dvid_sandbox.exchange import Exchange

Fields = dict[str, Any]


def update(
    old: Fields | None, given: Fields, user: str, time: str, conditionals: list[str], replace: bool
) -> Fields:
    """The fields after a post: merged into the old ones unless `replace`, users and times stamped."""
    deleted = {field for field, value in given.items() if value is None}
    new = _without_deleted(given, deleted, user, time)
    before = None if old is None else {key: value for key, value in old.items() if key not in deleted}
    # The fields that this post set or changed.
    changed = set(new)
    if before is None:
        changed |= {field.removesuffix("_user") for field in new if field.endswith("_user")}
    else:
        changed -= {key for key, value in new.items() if not _is_stamp(key) and before.get(key) == value}
        if not replace:
            changed -= _keep_old(new, before, conditionals)
    _stamp(new, changed, deleted, user, time)
    if replace and before is not None:
        for field in [each for each in new if not _is_stamp(each) and each != "bodyid"]:
            new.setdefault(field + "_user", before.get(field + "_user", user))
            new.setdefault(field + "_time", before.get(field + "_time", time))
    return new


def _without_deleted(given: Fields, deleted: set[str], user: str, time: str) -> Fields:
    """What was posted, without the fields that are null; these leave who deleted them, and when."""
    new = {field: value for field, value in given.items() if field not in deleted}
    for field in (each for each in given if each in deleted and not _is_stamp(each)):
        # A stamp of null says that there is to be none.
        for stamp, default in ((field + "_user", user), (field + "_time", time)):
            set_to = given.get(stamp, default)
            if isinstance(set_to, str) and set_to:
                new[stamp] = set_to
    return new


def _keep_old(new: Fields, before: Fields, conditionals: list[str]) -> set[str]:
    """Puts the fields that were there before into `new`, where nothing is posted or `conditionals` keep them.

    Returns:
        The posted fields that keep their old values.
    """
    kept = {field for field in conditionals if field in before and field in new}
    for field, value in before.items():
        if field not in new or field in kept:
            new[field] = value
    return kept


def _stamp(new: Fields, changed: set[str], deleted: set[str], user: str, time: str) -> None:
    """Notes who changed each field, and when, unless the post itself says so."""
    for field in sorted(changed):
        if field in ("bodyid", "user") or field in deleted or _is_stamp(field):
            continue
        if field + "_user" not in changed:
            new[field + "_user"] = user
        if field + "_time" not in changed:
            new[field + "_time"] = time


def _is_stamp(field: str) -> bool:
    return field.endswith(("_user", "_time"))


def selected(fields: Fields, exchange: Exchange) -> Fields:
    """The fields that ``show=`` and ``fields=`` ask for."""
    show = exchange.query.get("show", "")
    hidden = [
        suffix
        for suffix, shown in (("_user", ("user", "all")), ("_time", ("time", "all")))
        if show not in shown
    ]
    wanted = [each for each in exchange.query.get("fields", "").split(",") if each]
    if not wanted:
        return {key: value for key, value in fields.items() if not key.endswith(tuple(hidden))}
    names = {"bodyid"}
    for field in wanted:
        names |= {field} | {field + suffix for suffix in ("_user", "_time") if suffix not in hidden}
    return {key: value for key, value in fields.items() if key in names}
