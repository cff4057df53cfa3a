"""What the package logs while a run executes is in the run's own log, from whatever thread."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

import logging
from concurrent.futures import ThreadPoolExecutor

import dagster as dg

from dvidsync_dagster.orchestration.run_log import PACKAGE, logged_in_run


def test_lines_reach_the_run_and_nobody_after_it() -> None:
    logger = logging.getLogger(f"{PACKAGE}.dvid.http")

    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        with logged_in_run(context), ThreadPoolExecutor(1) as pool:
            logger.debug("too fine")
            logger.info("here")
            pool.submit(logger.warning, "waits for %s", "the source").result()
        logger.info("later")

    @dg.job
    def one() -> None:
        work()

    with dg.DagsterInstance.ephemeral() as instance:
        said: list[str] = []
        run_id = "0" * 32
        instance.add_event_listener(
            run_id, lambda entry: None if entry.dagster_event else said.append(entry.user_message)
        )
        one.execute_in_process(instance=instance, run_id=run_id)
    assert said == ["here", "waits for the source"]
