"""What a repair says on a terminal."""

from __future__ import annotations

from dataclasses import replace

from dvidsync_dagster.differences.work import ChangeKind, OwnEdit, Repair, Work
from dvidsync_dagster.repair.text import repair_text

VERSION = "1" * 32


def planned(count: int, shown: int) -> Repair:
    work = Work(dry_run=True, shown=shown)
    work.plan(VERSION, "notes", ChangeKind("delete key"), [f"key-{number}" for number in range(count)])
    return Repair(tuple(work.changes), (), None)


def test_the_first_items_stand_in_the_table_and_all_that_are_named_below_it() -> None:
    few = repair_text(planned(40, 3))
    assert "key-2" in few
    assert "key-3" not in few
    many = repair_text(planned(40, 30)).splitlines()
    assert many[2].endswith("  40     key-0; key-1; key-2")
    assert many[3] == f"    delete key of notes in {VERSION}:"
    assert "key-29" in many[-2]
    assert many[-1] == "      and 10 more"
    assert max(map(len, many[4:])) <= 106


def test_own_edits_are_told_with_who_made_them() -> None:
    edit = OwnEdit(VERSION, "bodies", "body 1", "trainee", "2026-01-31T08:00:00Z")
    told = repair_text(replace(planned(1, 3), own_edits=(edit, replace(edit, user="\x1b[31m")), conflicts=2))
    assert told.startswith("1 change would be made, and up to 2 rows of the conflict table closed\n")
    assert (
        "  of the destination's own would go:\n"
        f"    {VERSION}  bodies  body 1  changed last by trainee 2026-01-31T08:00:00Z\n"
        rf"    {VERSION}  bodies  body 1  changed last by \x1b[31m 2026"
    ) in told
    many = repair_text(replace(planned(1, 3), own_edits=(edit,) * 1001))
    assert "    and 1 more (--json)" in many
