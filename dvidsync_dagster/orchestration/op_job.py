"""A job of one op for a destination: what people start by hand, in the pool of the runs that follow."""

from __future__ import annotations

import dagster as dg

RESULT = "result"
"""The key of the job's I/O manager: what its op returns stays in memory, for whoever runs the job here."""


def op_job(op: dg.OpDefinition, *, name: str, alias: str, description: str) -> dg.JobDefinition:
    """The job. Its configuration stands under `alias`, which is the same for all destinations; the op has a
    name of its own for each."""

    @dg.job(
        name=name,
        description=description,
        executor_def=dg.in_process_executor,
        resource_defs={RESULT: dg.mem_io_manager},
    )
    def one() -> None:
        op.alias(alias)()

    return one
