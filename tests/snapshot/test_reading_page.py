"""docs/reading-a-snapshot.md: its cells run in order, and show what the snapshot holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from dvidsync_dagster.datatypes.labelmap.snapshot.tables import tables_of
from dvidsync_dagster.snapshot.store import Bucket
from dvidsync_dagster.snapshot.table import Column, Table
from tests.snapshot.followed import Follower, day
from tests.snapshot.reconstruction import NEURONS, SYNAPSES, element, neuron

PAGE = Path(__file__).parents[2] / "docs" / "reading-a-snapshot.md"
OF_LABELS = tables_of("segmentation")


def cells() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def shown(cell: str, known: dict[str, Any]) -> Any:
    """Run a cell; what its last line gives, as a notebook shows it."""
    tree = ast.parse(cell)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(cell, known)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), PAGE.name, "exec"), known)
    return eval(compile(ast.Expression(last.value), PAGE.name, "eval"), known)


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """Two days of a small reconstruction: on the second, supervoxel 2 comes to body 1."""
    neurons = Table(
        NEURONS.path,
        NEURONS.text,
        (*NEURONS.columns, Column("status", NEURONS.columns[1].type, "its status", nullable=True)),
        NEURONS.key,
    )
    used = (OF_LABELS.mapping, OF_LABELS.edits, OF_LABELS.bodies, neurons, SYNAPSES)
    follower = Follower(Bucket.at(str(tmp_path)), used)
    follower.first(
        day(1),
        {
            OF_LABELS.mapping.path: [{"sv": sv, "body": sv} for sv in (1, 2, 3)],
            OF_LABELS.bodies.path: [{"body": body, "voxels": 10, "supervoxels": 1} for body in (1, 2, 3)],
            neurons.path: [{**neuron(1, status="Traced"), "status": "Traced"}],
            SYNAPSES.path: [
                element((1, 1, 1), "PreSyn", 1, (2, 2, 2)),
                element((2, 2, 2), "PostSyn", 2, (1, 1, 1)),
            ],
        },
        uuid="a" * 32,
    )
    edit = {"log_time": day(3), "mutation_id": 7, "action": "merge", "uuid": "b" * 32, "user": "amy"}
    follower.chunk(
        day(3),
        {
            OF_LABELS.mapping.path: [{"sv": 2, "body": 1}],
            OF_LABELS.bodies.path: [{"body": 1, "voxels": 20, "supervoxels": 2}],
            OF_LABELS.edits.path: [{**edit, "sv": 2, "body_before": 2, "body_after": 1}],
        },
        uuid="b" * 32,
        pin=True,
    )
    return tmp_path


def test_each_cell_shows_what_the_snapshot_holds(followed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where, *rest = cells()
    assert where == 'uri = "gs://neu3-live"\n'
    known: dict[str, Any] = {"uri": str(followed)}
    opened, tables, columns, largest, supervoxels, *others = [shown(cell, known) for cell in rest]
    neurons, synapses, edits, moved, kept, committed, _, singles = others
    assert opened == ("master", "b" * 32, day(3))
    assert dict(zip(tables["table"], tables["rows"], strict=True))["segmentation/edits"] == 1
    assert list(columns["column"])[:2] == ["body", "voxels"]
    assert largest["body"].iloc[0] == 1
    assert supervoxels.to_dict() == {1: 2, 3: 1}
    assert neurons.to_dict("records") == [{"body": 1, "status": "Traced", "voxels": 20}]
    assert synapses.to_dict() == {"PreSyn": {1: 1}, "PostSyn": {1: 1}}
    assert edits.to_dict() == {(day(3).date(), "amy", "merge"): 1}
    assert moved.reset_index().to_dict("records") == [{"sv": 2, "before": 2, "now": 1}]
    assert kept == ("b" * 32,)
    assert committed == 3
    assert singles == 2
    lines = capsys.readouterr().out.splitlines()
    for library, line in zip(("polars", "duckdb", "spark", "pandas"), lines, strict=True):
        assert library in line
