"""The one line of Python that reads a table at one version, for each library that people use."""

from __future__ import annotations

import re
from typing import Literal, get_args

from dvidsync_dagster.outgoing_text import python_text

Library = Literal["pandas", "polars", "duckdb", "spark"]
LIBRARIES: tuple[Library, ...] = get_args(Library)


def line(library: Library, uri: str, version: int) -> str:
    """A line that makes `df`. Logins come from the environment; for Spark, from the session `spark`.

    Args:
        uri: the table's, as delta-rs takes it.
        version: Delta's.
    """
    by_arrow = library == "polars" and not _ORDINARY.fullmatch(uri)
    return _LINES["polars by Arrow" if by_arrow else library].format(
        uri=python_text(uri),
        spark=python_text(_for_spark(uri)),
        version=version,
    )


def opening_line(uri: str, branch: str) -> str:
    """A line that makes `dataset`: the newest moment of a branch.

    Args:
        uri: of the bucket, as `dvidsync_dagster.snapshot.open` takes it.
    """
    named = "" if branch == "master" else f", branch={python_text(branch)}"
    asked = f"dvidsync_dagster.snapshot.open({python_text(uri)}{named})"
    return f"import dvidsync_dagster.snapshot; dataset = {asked}"


_LINES: dict[str, str] = {
    # Types of Arrow: the integers of pandas become floats where a label is missing, also after a join, and a
    # float holds no label above 2^53.
    "pandas": (
        "import pandas as pd; from deltalake import DeltaTable; "
        "df = DeltaTable({uri}, version={version}).to_pandas(types_mapper=pd.ArrowDtype)"
    ),
    "polars": "import polars as pl; df = pl.read_delta({uri}, version={version})",
    # polars does not find the files of a folder with a space in its name.
    "polars by Arrow": (
        "import polars as pl; from deltalake import DeltaTable; "
        "df = pl.DataFrame(DeltaTable({uri}, version={version}).scan())"
    ),
    # DuckDB's own extension for Delta has logins of its own, and is not there for each version. A dataset of
    # pyarrow in place of `scan` now and then ends Python with an abort.
    "duckdb": (
        "import duckdb; from deltalake import DeltaTable; "
        "df = duckdb.from_arrow(DeltaTable({uri}, version={version}).scan().read_all())"
    ),
    "spark": 'df = spark.read.format("delta").option("versionAsOf", {version}).load({spark})',
}


_ORDINARY = re.compile(r"[A-Za-z0-9:/._~-]*")


def _for_spark(uri: str) -> str:
    """Hadoop has names of its own for the same places."""
    scheme, _, rest = uri.rpartition("://")
    container, _, folder = rest.partition("/")
    match scheme:
        case "":
            return f"file://{uri}"
        case "s3":
            return f"s3a://{rest}"
        case "az":
            return f"abfss://{container}@ACCOUNT.dfs.core.windows.net/{folder}"
        case _:
            return uri
