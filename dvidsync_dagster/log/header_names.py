"""Headers whose names are no UTF-8.

Kafka takes any bytes for a header's name. kafka-python 3 decodes them while it reads a batch, strictly, so
one such record would keep all others of its partition from being read. Its class for a batch is replaced by
one that reads on, with what cannot be decoded written as ``\\xff``.
"""

from __future__ import annotations

from typing import Any

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


class _Lenient(bytearray):
    """Bytes whose parts are decoded whatever they hold."""

    def __getitem__(self, item: Any) -> Any:
        part = super().__getitem__(item)
        return _Lenient(part) if isinstance(item, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _LenientBatch(DefaultRecordBatch):  # type: ignore[misc]
    def _read_msg(self, *arguments: Any) -> Any:
        try:
            return super()._read_msg(*arguments)
        except UnicodeDecodeError:
            # Where in the batch it stands is noted only once a record is read.
            self._buffer: bytearray = _Lenient(self._buffer)
            return super()._read_msg(*arguments)


def accept_any_header_names() -> None:
    """From now on kafka-python reads such records, in this process."""
    memory_records.DefaultRecordBatch = _LenientBatch
