"""The text of `README.md` in a bucket: what is there, and how one reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dvidsync_dagster.outgoing_text import markdown
from dvidsync_dagster.snapshot.layout import table_folder
from dvidsync_dagster.snapshot.lines import LIBRARIES, line, opening_line
from dvidsync_dagster.snapshot.pointer import BranchState, Snapshot
from dvidsync_dagster.snapshot.table import Column, Table

_CODE = re.compile(r"[A-Za-z0-9._:/@+-](?:[A-Za-z0-9 ._:/@+,=<>()\[\]-]*[A-Za-z0-9._:/@+>)\]-])?")
_TITLES = {"pandas": "pandas", "polars": "polars", "duckdb": "DuckDB", "spark": "Spark"}


def readme(uri: str, snapshot: Snapshot, tables: Mapping[str, Sequence[Table]]) -> str:
    """The text, as Markdown.

    Args:
        uri: of the bucket, as delta-rs takes it.
        snapshot: what it holds.
        tables: those of each branch. One that the snapshot does not name is left out.
    """
    lines = "\n".join(opening_line(uri, branch) for branch in snapshot.branches)
    parts = [_HEAD.format(repo=_code(snapshot.repo), lines=lines)]
    parts += [_VERSIONS] if snapshot.pins else []
    for branch, state in snapshot.branches.items():
        parts.append(_branch(uri, branch, state, tables.get(branch, ())))
    return "\n".join(parts)


def _branch(uri: str, branch: str, state: BranchState, tables: Sequence[Table]) -> str:
    held = {table.path: table for table in tables if table.path in state.tables}
    texts = {path: markdown(table.text) for path, table in held.items()}
    overview = [
        f"| {_code(path)} | {table.rows:,} | {table.version} | {texts.get(path, '')} |"
        for path, table in sorted(state.tables.items())
    ]
    head = _BRANCH.format(
        branch=markdown(branch),
        version=_code(state.uuid),
        overview="\n".join(overview),
    )
    details = [_table(uri, branch, held[path], state.tables[path].version) for path in sorted(held)]
    return "\n".join([head, *details])


def _table(uri: str, branch: str, table: Table, version: int) -> str:
    place = f"{uri}/{table_folder(branch, table.path)}"
    lines = [f"# {_TITLES[library]}\n{line(library, place, version)}" for library in LIBRARIES]
    key = ", ".join(map(_code, table.key))
    return _TABLE.format(
        path=markdown(table.path),
        text=markdown(table.text),
        key=f"Each row has its own {key}." if key else "It only grows.",
        columns="\n".join(map(_row, table.columns)),
        lines="\n".join(lines),
    )


def _row(column: Column) -> str:
    missing = ", or none" if column.nullable else ""
    return f"| {_code(column.name)} | {_code(str(column.type))}{missing} | {markdown(column.text)} |"


def _code(text: str) -> str:
    """As code in a line or in a cell of a table. What code cannot show there is shown as text."""
    return f"`{text}`" if _CODE.fullmatch(text) else markdown(text)


_HEAD = """\
# A snapshot of DVID repo {repo}

dvidsync writes this folder: it follows the repo's log and brings the tables here up to date. Nothing here is
edited by hand; to change something, change it in DVID. The run that follows writes this text anew where it
does not fit anymore.

The tables are [Delta Lake](https://delta.io) tables. pandas, polars, DuckDB, Spark and others read them, with
no DVID server and no dvidsync. Labels (supervoxels, bodies) are signed 64-bit integers. Times are UTC.

## What is consistent with what

All tables of a branch are from one moment of the log, which `snapshot.json` names. It also names the version
of each table that belongs to that moment. It is replaced in one step, after all tables are written, so read
it first, and then the tables at the versions that it names: they fit together, whatever is written meanwhile.

A table that is read without `version` is at its own newest version. While dvidsync writes, that can be ahead
of the other tables, and what a run left that was stopped is taken back later.

## How it is read

Each table below has a line for each library. The lines name the versions of the moment at which this text
was written. Those for pandas, polars and DuckDB need the package `deltalake` (1.6 or newer), that for Spark
the package `delta-spark`. Logins come from the environment. Where integers can be missing, the line for
pandas has Arrow's types, as pandas' own would make inexact floats of labels. On Azure, Spark's line wants the
name of the storage account for `ACCOUNT`.

In Python, with dvidsync, this opens the newest moment:

```python
{lines}
```

`dataset["segmentation/mapping"]` is a table as pandas has it, for a labelmap with the name `segmentation`;
`dataset.lines("polars")` are the lines for another library. `open(…, at=time)` opens an earlier moment, as
long as it is kept: the table `dvidsync/points` of a branch tells which versions belong together at each.
"""

_VERSIONS = """\
## Committed versions

`pins` in `snapshot.json` names the versions of the tables as they were when a version was committed in DVID.
They are kept. `open(…, version="UUID")` opens one. Files for download, if they are wanted here, are in
`releases/UUID/`; `SHA256SUMS` there is written last, so where it is, all is.
"""

_BRANCH = """\
## Branch {branch}

Up to version {version}.

| table | rows | Delta version | a row |
| --- | ---: | ---: | --- |
{overview}
"""

_TABLE = """\
### {path}

{text} {key}

| column | type | what it holds |
| --- | --- | --- |
{columns}

```python
{lines}
```
"""
