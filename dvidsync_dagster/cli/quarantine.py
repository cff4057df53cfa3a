"""``dvidsync quarantine``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvidsync_dagster.cli import arguments
from dvidsync_dagster.cli.exit_codes import DONE, LEFT_OUT, exit_codes, remembered, worst
from dvidsync_dagster.cli.output import echo
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.outgoing_text import counted, escaped

if TYPE_CHECKING:
    from dvidsync_dagster.log.quarantine import KeptRow, Quarantine, TopicPartitionOffset
    from dvidsync_dagster.log.record import Record
    from dvidsync_dagster.orchestration.followers import Follower

_PREVIEW = 2000

_record = click.argument("record", metavar="TOPIC/PARTITION/OFFSET")
_records = click.argument("records", metavar="TOPIC/PARTITION/OFFSET...", nargs=-1, required=True)


@click.group()
def quarantine() -> None:
    """Records that cannot be decoded: look at them, let one pass, try again, forget them.

    Each destination has its own. A record is named as TOPIC/PARTITION/OFFSET, as `list` shows it.
    """


@quarantine.command("list")
@arguments.config
@arguments.destination
@arguments.json
@arguments.verbose
def list_records(config: Path, destination: str | None, as_json: bool, verbose: bool) -> None:
    """List what is kept: where it stands, what became of it, its time and size, and what is wrong with it."""
    from dvidsync_dagster.events.origin import key_text

    told: dict[str, object] = {}

    def work(follower: Follower) -> int:
        kept = _quarantine(follower)
        rows = kept.rows()
        told[follower.title] = [_as_json(row) for row in rows]
        if not as_json:
            echo(f"{follower.title}: {counted(len(rows), 'record')} in {kept.path}")
            for row in rows:
                echo(
                    f"  {row.place}  {row.state}  {key_text(row.key_ns)}  {counted(row.size, 'byte')}  "
                    f"{row.found}"
                )
        return DONE

    with exit_codes(verbose):
        code = _each(config, destination, verbose, work)
        if as_json:
            echo(json.dumps(told, indent=2))
        sys.exit(code)


@quarantine.command()
@_record
@arguments.config
@arguments.destination
@click.option("--save", type=click.Path(path_type=Path), help="Write its value to this file.")
@arguments.verbose
def show(record: str, config: Path, destination: str | None, save: Path | None, verbose: bool) -> None:
    """Show one record: its key, headers and value, with control characters made visible."""
    with exit_codes(verbose):
        (place,) = _places([record])
        keeps = _those_that_keep(config, destination, [place])
        for follower in keeps:
            kept = _quarantine(follower)
            for row, raw in zip(kept.chosen([place]), kept.read([place]), strict=True):
                echo(f"{follower.title}: {row.place}\n{_shown(row, raw)}")
                if save is not None:
                    save.write_bytes(raw.value or b"")


@quarantine.command()
@_records
@arguments.config
@arguments.destination
@arguments.verbose
def skip(records: tuple[str, ...], config: Path, destination: str | None, verbose: bool) -> None:
    """Let exactly these records pass, at which runs stop. They stay in the quarantine."""
    from dvidsync_dagster.orchestration.quarantine_job import skip as let_pass

    _change(records, config, destination, verbose, let_pass)


@quarantine.command()
@_records
@arguments.config
@arguments.destination
@arguments.verbose
def drop(records: tuple[str, ...], config: Path, destination: str | None, verbose: bool) -> None:
    """Forget these records. A run that meets one again, in windows that are read again, keeps it anew."""
    from dvidsync_dagster.orchestration.quarantine_job import drop as forget

    _change(records, config, destination, verbose, forget)


@quarantine.command()
@arguments.config
@arguments.destination
@click.option("--record", "records", metavar="TOPIC/PARTITION/OFFSET", multiple=True, help="Only this one.")
@arguments.verbose
def retry(config: Path, destination: str | None, records: tuple[str, ...], verbose: bool) -> None:
    """Decode again what was set aside, and apply what can be applied now.

    For after an upgrade of dvidsync, or when the cause is gone. What stays is told with the reason; exit
    code 3 then.
    """
    from dvidsync_dagster.orchestration.compare_once import retry_once

    with exit_codes(verbose):
        places = _places(records)
        chosen = _those_that_keep(config, destination, places) if places else None
        instance = arguments.dagster_instance()

        def work(follower: Follower) -> int:
            done = retry_once(instance, follower, places, lambda line: echo(f"  {line}"))
            for place, why in done.left.items():
                echo(f"  {place}: {why}")
            echo(f"{follower.title}: {done.summary()}")
            return LEFT_OUT if done.left else DONE

        sys.exit(_each(config, destination, verbose, work, chosen))


def _change(
    records: Sequence[str],
    config: Path,
    destination: str | None,
    verbose: bool,
    change: Callable[[Quarantine, list[TopicPartitionOffset]], str],
) -> None:
    with exit_codes(verbose):
        places = _places(records)
        for follower in _those_that_keep(config, destination, places):
            kept = _quarantine(follower)
            own = {row.place for row in kept.rows()}
            echo(f"{follower.title}: {change(kept, [place for place in places if place in own])}")


def _those_that_keep(
    config: Path, destination: str | None, places: Sequence[TopicPartitionOffset]
) -> list[Follower]:
    """The destinations that keep one of the records.

    Raises:
        ConfigurationError: one of the records is kept nowhere.
    """
    kept = {
        follower.title: (follower, {row.place for row in _quarantine(follower).rows()})
        for follower in arguments.chosen_destinations(config, destination)
    }
    for place in places:
        if not any(place in own for _, own in kept.values()):
            raise ConfigurationError(
                "RECORD", f"{place} is in no quarantine", "`dvidsync quarantine list` shows what is kept."
            )
    return [follower for follower, own in kept.values() if own.intersection(places)]


def _each(
    config: Path,
    destination: str | None,
    verbose: bool,
    work: Callable[[Follower], int],
    chosen: Sequence[Follower] | None = None,
) -> int:
    codes: list[int] = []
    for follower in arguments.chosen_destinations(config, destination) if chosen is None else chosen:
        with remembered(codes, follower.title, verbose):
            codes.append(work(follower))
    return worst(codes)


def _quarantine(follower: Follower) -> Quarantine:
    from dvidsync_dagster.log.quarantine import quarantine_of

    return quarantine_of(follower.config, follower.name)


def _places(records: Sequence[str]) -> list[TopicPartitionOffset]:
    """Raises ConfigurationError for what is no place."""
    from dvidsync_dagster.log.quarantine import TopicPartitionOffset

    return [TopicPartitionOffset.parse(record) for record in records]


def _shown(row: KeptRow, raw: Record) -> str:
    from dvidsync_dagster.events.origin import key_text

    written = key_text(raw.timestamp * 1_000_000) if raw.timestamp >= 0 else "unknown"
    lines = [
        f"state      {row.state}, since {row.since.isoformat(timespec='seconds')}",
        f"found      {row.found}",
        f"log time   {key_text(row.key_ns)}; Kafka's {written}",
        f"key        {_bytes(raw.key)}",
        *(f"header     {escaped(name)}: {_bytes(value)}" for name, value in raw.headers),
        f"value      {_bytes(raw.value)}",
    ]
    return "\n".join(f"  {line}" for line in lines)


def _bytes(content: bytes | None) -> str:
    if content is None:
        return "null"
    text = content[:_PREVIEW].decode("utf-8", "backslashreplace")
    return f"{counted(len(content), 'byte')}: {escaped(text, _PREVIEW)}"


def _as_json(row: KeptRow) -> dict[str, object]:
    from dvidsync_dagster.events.origin import key_text

    return {
        "record": str(row.place),
        "state": row.state,
        "time": key_text(row.key_ns),
        "found": row.found,
        "bytes": row.size,
        "since": row.since.isoformat(timespec="seconds"),
        "digest": row.digest,
    }
