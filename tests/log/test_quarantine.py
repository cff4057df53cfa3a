"""The quarantine keeps a record whole, whatever it is."""

from __future__ import annotations

from pathlib import Path

from dvidsync_dagster.log.quarantine import Quarantine, digest
from tests.log.memory_feed import Stored
from tests.log.test_reading import reading

RECORDS = [
    Stored(0, b"5", b"no JSON", 7, [("name", b"\x00"), ("empty", None)]),
    Stored(1, b"05", b"", 7),
    Stored(2, None, b"v", 7),
    Stored(3, b"", b"v"),
    Stored(4, b"12a", b"v", 7),
    Stored(5, b"6", None, 7),
]


def test_a_record_is_kept_whole(tmp_path: Path) -> None:
    pass_, _ = reading({("a", 0): RECORDS}, chunk_records=100)
    (chunk,) = pass_.chunks()
    records = sorted([*chunk.records, *chunk.malformed])
    quarantine = Quarantine(str(tmp_path), "root", "copy")
    quarantine.keep([(record, record.found or "no JSON") for record in records], "stopped")
    kept = quarantine.read([row.place for row in quarantine.rows()])
    assert sorted((r.offset, r.key, r.value, r.timestamp, list(r.headers)) for r in kept) == [
        (r.offset, r.key, r.value, r.timestamp, list(r.headers)) for r in RECORDS
    ]
    assert [record.origin for record in kept] == [record.origin for record in records]
    assert list(map(digest, kept)) == list(map(digest, records))
    assert quarantine.states(kept) == ["stopped"] * len(records)
