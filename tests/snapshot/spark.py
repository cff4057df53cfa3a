"""A real Spark with Delta Lake, where it is: it takes 500 MB, and half a minute.

pip install pyspark==4.0.5
for jar in io.delta:delta-spark_2.13:4.0.0 io.delta:delta-storage:4.0.0 org.antlr:antlr4-runtime:4.13.1; do
    mvn -B dependency:copy -Dartifact=$jar -DoutputDirectory=FOLDER
done
export DVIDSYNC_SPARK_JARS=FOLDER
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_JARS = sorted(str(path) for path in Path(os.environ.get("DVIDSYNC_SPARK_JARS", "/nowhere")).glob("*.jar"))

WHY_NO_SPARK = (
    None
    if _JARS and importlib.util.find_spec("pyspark")
    else "needs the package pyspark, and DVIDSYNC_SPARK_JARS to name the folder of Delta's jars"
)


@contextmanager
def spark_session() -> Iterator[Any]:
    """A session on this machine that reads Delta tables."""
    session = (
        importlib.import_module("pyspark.sql")
        .SparkSession.builder.master("local[1]")
        .config("spark.jars", ",".join(_JARS))
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .getOrCreate()
    )
    try:
        yield session
    finally:
        session.stop()
