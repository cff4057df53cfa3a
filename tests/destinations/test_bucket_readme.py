"""The `README.md` of a bucket fits the snapshot after each run, and is written when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dvidsync_dagster.destinations.bucket.maintenance import maintain
from dvidsync_dagster.snapshot.store import Bucket
from tests.destinations.bucket_scene import KEYS, SourceAndBucket, source_and_bucket
from tests.emulators.emulator import Emulator
from tests.emulators.faults import Faults


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SourceAndBucket]:
    with source_and_bucket(tmp_path) as opened:
        yield opened


def readme(here: SourceAndBucket) -> Path:
    return here.bucket / "README.md"


def fits(here: SourceAndBucket) -> bool:
    """It names all tables at the versions of the snapshot, and no others."""
    told = {}
    for line in readme(here).read_text().splitlines():
        cells = [cell.strip(" `") for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[2].isdigit():
            told[cells[0]] = int(cells[2])
    tables = here.pointer().branches["master"].tables
    return told == {path: table.version for path, table in tables.items()}


def test_what_a_run_that_was_killed_before_it_did_not_write_comes_with_the_next(
    here: SourceAndBucket,
) -> None:
    here.sync()
    before = readme(here).read_text()
    here.put_key("a", "1")
    here.sync()
    assert fits(here)
    readme(here).write_text(before)
    assert not fits(here)
    here.sync()  # which finds nothing in the log
    assert fits(here)
    readme(here).unlink()
    here.sync()
    assert fits(here)


def written(here: SourceAndBucket) -> tuple[int, int]:
    """Other numbers after each write, and the same ones after each read."""
    found = readme(here).stat()
    return found.st_ino, found.st_mtime_ns


def test_it_is_not_written_where_nothing_has_changed(here: SourceAndBucket) -> None:
    here.sync()
    before = written(here)
    checkpoint = here.pointer().checkpoint
    here.sync()
    assert here.pointer().checkpoint != checkpoint
    assert written(here) == before


def test_a_quiet_run_writes_the_pointer_alone(here: SourceAndBucket, s3: Emulator) -> None:
    uri = f"{s3.uri}/{here.folder.name}"
    here.sync(uri)
    s3.set(Faults())
    here.sync(uri)
    written = [request.split()[1] for request in s3.requests() if request.startswith(("PUT", "POST"))]
    assert {name.rpartition("/")[2] for name in written} == {"snapshot.json"}


def test_tables_that_are_no_part_of_it_anymore_leave_it(here: SourceAndBucket) -> None:
    here.sync()
    assert f"| `{KEYS}` |" in readme(here).read_text()
    here.own = (KEYS,)
    here.sync()
    assert f"| `{KEYS}` |" not in readme(here).read_text()
    assert fits(here)


def test_it_fits_after_maintenance_and_a_run(here: SourceAndBucket) -> None:
    here.sync()
    for number in range(3):
        here.put_key("a", str(number))
        here.sync()
    maintain(
        Bucket.at(str(here.bucket)), here.root, app=f"dvidsync/{here.root}/cloud", kept=timedelta(days=1)
    )
    here.sync()
    assert fits(here)
