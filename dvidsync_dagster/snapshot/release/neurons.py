"""The files of body annotations, as flyem-snapshot writes them: as in DVID, and as in neuPrint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dvidsync_dagster.dvid.exact_json import fields_of
from dvidsync_dagster.errors import SnapshotDamaged
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.snapshot.dataset import Dataset
from dvidsync_dagster.snapshot.release.feather import write
from dvidsync_dagster.snapshot.release.fields import Kinds, column
from dvidsync_dagster.snapshot.release.neuprint import SIMPLIFIED, STATUSES, property_name

Neuron = dict[str, Any]

OF_BODIES = ("status", "superclass", "class", "type", "instance")
"""Fields that tables of bodies show, by DVID's names."""

_NEURONS = 4096
"""That are parsed at a time."""

_COMPUTED = frozenset(
    {
        "celltype_predicted_nt",
        "celltype_predicted_nt_confidence",
        "celltype_total_nt_predictions",
        "consensus_nt",
        "group_old",
        "predicted_nt",
        "predicted_nt_confidence",
        "total_nt_predictions",
    }
)
"""What flyem-snapshot leaves out, as it is computed anew."""

_STATUS = pa.dictionary(pa.int8(), pa.string(), ordered=True)


class Neurons:
    """The neurons of an instance. Holds their JSON in memory, as text.

    Args:
        table: of the instance, with the columns `body` and `json`.
    """

    def __init__(self, dataset: Dataset, table: str) -> None:
        held = dataset.arrow(table, ["body", "json"])
        schema = pa.schema([("body", pa.int64()), ("json", pa.large_string())])
        self._rows = held.cast(schema).sort_by("body")
        self._where = dataset.uri(table)

    def write(self, path: Path) -> None:
        """The fields by DVID's names, as flyem-snapshot takes them in."""
        self._write(path, "body", "status", lambda body, neuron: {"body": body, **_of_dvid(neuron)})

    def write_for_neuprint(self, path: Path) -> None:
        """The fields by neuPrint's names: `status` is simplified, `statusLabel` is DVID's."""
        self._write(path, "bodyId", "statusLabel", _of_neuprint)

    def of_bodies(self) -> pa.Table:
        """`body`, and those of `OF_BODIES` that there are."""

        def chosen(body: int, neuron: Neuron) -> Neuron:
            fields = _of_dvid(neuron)
            return {"body": body, **{name: fields[name] for name in OF_BODIES if name in fields}}

        schema, batches = self._table("body", "status", chosen)
        shown = ["body", *(name for name in OF_BODIES if name in schema.names)]
        return pa.Table.from_batches(batches, schema).select(shown)

    def _write(
        self, path: Path, first: str, status: str, made: Callable[[int, Neuron], Neuron | None]
    ) -> None:
        write(path, *self._table(first, status, made))

    def _table(
        self, first: str, status: str, made: Callable[[int, Neuron], Neuron | None]
    ) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The rows that are made of neurons: their schema, with these columns, and batches."""
        kinds: dict[str, Kinds] = {status: Kinds()}
        known = True
        for rows in self._made(made):
            for row in rows:
                known = known and row.get(status) in (None, *STATUSES)
                for name, value in row.items():
                    kinds.setdefault(name, Kinds()).add(value)
        types = {name: each.type for name, each in kinds.items()}
        types[status] = _STATUS if known else pa.string()
        types[first] = pa.int64()
        names = [first, *sorted(name for name, each in types.items() if each is not None and name != first)]
        schema = pa.schema([(name, types[name]) for name in names])
        return schema, (_batch(rows, schema) for rows in self._made(made))

    def _made(self, made: Callable[[int, Neuron], Neuron | None]) -> Iterator[list[Neuron]]:
        for batch in self._rows.to_batches(_NEURONS):
            pairs = zip(batch["body"].to_pylist(), batch["json"].to_pylist(), strict=True)
            rows = (made(body, self._parsed(body, text)) for body, text in pairs)
            yield [row for row in rows if row is not None]

    def _parsed(self, body: int, text: str) -> Neuron:
        try:
            return fields_of(text)
        except ValueError:
            raise SnapshotDamaged(
                self._where, f"the JSON of body {body} is no object: {escaped(text)}", "Repair the snapshot."
            ) from None


def _of_dvid(neuron: Neuron) -> Neuron:
    """As flyem-snapshot reads them: no users and times of fields, no empty texts, a status always."""
    fields = {
        name: None if value == "" else value
        for name, value in sorted(neuron.items())
        if not name.endswith(("_user", "_time")) and name not in _COMPUTED and name != "body"
    }
    return {**fields, "status": fields.get("status") or ""}


def _of_neuprint(body: int, neuron: Neuron) -> Neuron | None:
    if body == 0:
        return None
    row: Neuron = {}
    for field, value in _of_dvid(neuron).items():
        name = property_name(field)
        # Several fields can come to one name: the first that holds something counts.
        if name is not None and value not in (None, "") and row.get(name) is None:
            row[name] = value
    label = row.get("statusLabel")
    simple = SIMPLIFIED.get(label, label) if isinstance(label, str) else label
    return {**row, "bodyId": body, "status": simple or None}


def _batch(rows: list[Neuron], schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch(
        [_column([row.get(field.name) for row in rows], field.type) for field in schema], schema
    )


def _column(values: list[Any], wanted: pa.DataType) -> pa.Array:
    if wanted != _STATUS:
        return column(values, wanted)
    places = pa.array([None if value is None else STATUSES.index(value) for value in values], pa.int8())
    return pa.DictionaryArray.from_arrays(places, pa.array(STATUSES), ordered=True)
