"""Elements as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

import pyarrow as pa

from dvidsync_dagster.dvid.annotation import Element, Point, point
from dvidsync_dagster.errors import ServerFailed
from dvidsync_dagster.snapshot.layout import table_path
from dvidsync_dagster.snapshot.table import Column, Table

KEY = ("x", "y", "z", "ordinal")

_RELATION = pa.struct([("rel", pa.string()), ("x", pa.int32()), ("y", pa.int32()), ("z", pa.int32())])


class ElementRow(NamedTuple):
    """One element. What is a set in DVID is sorted here, so that equal elements are equal rows."""

    at: Point
    kind: str
    tags: tuple[str, ...]
    prop: tuple[tuple[str, str], ...]
    rels: tuple[tuple[str, int, int, int], ...]

    @property
    def size(self) -> int:
        """Bytes, more or less."""
        texts = chain(self.tags, *self.prop)
        return 64 + 24 * len(self.rels) + sum(map(len, texts))


Numbered = tuple[ElementRow, int]
"""With its ordinal."""


def element_table(instance: str, labels: str | None = None) -> Table:
    """The table of an annotation instance.

    Args:
        labels: the labelmap whose supervoxels it has; None for none.
    """
    return Table(
        table_path(instance),
        f"One element of the annotation instance {instance}.",
        (
            Column("x", pa.int32(), "Where it is, in voxels."),
            Column("y", pa.int32(), "Where it is, in voxels."),
            Column("z", pa.int32(), "Where it is, in voxels."),
            Column("ordinal", pa.int32(), "Which of the elements at this point, from 0 on."),
            Column("kind", pa.string(), "PreSyn, PostSyn, Gap, Note or Unknown."),
            Column("tags", pa.list_(pa.string()), "Its tags, sorted."),
            Column("prop", pa.map_(pa.string(), pa.string()), "Its properties."),
            Column(
                "rels", pa.list_(_RELATION), "Its relations: of which kind, and to which point in voxels."
            ),
            Column("sv", pa.int64(), _supervoxel_text(labels), nullable=True),
        ),
        KEY,
    )


def has_supervoxels_of(schema: pa.Schema, labels: str | None) -> bool:
    """Whether a table has the supervoxels of this labelmap; of None, none."""
    return Column.of(schema.field("sv")).text == _supervoxel_text(labels)


def _supervoxel_text(labels: str | None) -> str:
    """A table that was written is known by it."""
    if labels is None:
        return "Null: the instance is synced to no labelmap that is in the snapshot."
    return f"The supervoxel of {labels} at this point; 0: none. Its body is in {labels}/mapping."


def element_row(element: Element, where: str) -> ElementRow:
    """One element as a row.

    Args:
        where: what answered it, for messages.

    Raises:
        ServerFailed: it is no element.
    """
    try:
        tags, prop, rels = (element.get(name) or () for name in ("Tags", "Prop", "Rels"))
        row = ElementRow(
            point(element["Pos"]),
            element["Kind"],
            tuple(sorted(tags)),
            tuple(sorted(prop.items())) if prop else (),
            tuple(sorted((each["Rel"], *point(each["To"])) for each in rels)),
        )
        texts = chain((row.kind,), row.tags, *row.prop, (each[0] for each in row.rels))
        if not all(type(text) is str for text in texts):
            raise TypeError("a text is missing")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerFailed(where, f"has {str(element)[:200]}, which is no element: {error!r}") from None
    return row


def numbered(rows: Iterable[ElementRow]) -> list[Numbered]:
    """Rows with their ordinals. Those at one point are numbered by what they hold: they have no lasting order
    (docs/dvid.md, "Blocks of elements")."""
    result: list[Numbered] = []
    ordinal = 0
    for row in sorted(rows):
        ordinal = ordinal + 1 if result and result[-1][0].at == row.at else 0
        result.append((row, ordinal))
    return result


def element_batch(
    table: Table, numbered_rows: Sequence[Numbered], supervoxels: Sequence[int] | None, where: str
) -> pa.RecordBatch:
    """A batch of the table.

    Args:
        supervoxels: at each row's point; None if the instance is synced to no labelmap.

    Raises:
        ServerFailed: a text that is no UTF-8.
    """
    rows = [row for row, _ in numbered_rows]
    columns: Mapping[str, Any] = {
        "ordinal": [ordinal for _, ordinal in numbered_rows],
        "kind": [row.kind for row in rows],
        "tags": [row.tags for row in rows],
        "prop": [row.prop for row in rows],
        "sv": supervoxels if supervoxels is not None else [None] * len(rows),
    }
    try:
        arrays = {name: pa.array(cells, table.schema.field(name).type) for name, cells in columns.items()}
    except (UnicodeError, pa.ArrowException) as error:
        raise ServerFailed(where, f"has elements that no table holds: {error}") from None
    arrays |= _coordinates([row.at for row in rows])
    arrays["rels"] = _relations([row.rels for row in rows])
    return pa.record_batch([arrays[name] for name in table.schema.names], table.schema)


def _coordinates(points: Sequence[Point]) -> dict[str, pa.Array]:
    columns = list(zip(*points, strict=True)) or [()] * 3
    return {name: pa.array(column, pa.int32()) for name, column in zip("xyz", columns, strict=True)}


def _relations(rows: Sequence[Sequence[tuple[str, int, int, int]]]) -> pa.Array:
    offsets = [0, *accumulate(map(len, rows))]
    columns = list(zip(*chain.from_iterable(rows), strict=True)) or [()] * len(_RELATION)
    fields = [pa.array(column, each.type) for column, each in zip(columns, _RELATION, strict=True)]
    relations = pa.StructArray.from_arrays(fields, fields=list(_RELATION))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), relations)
