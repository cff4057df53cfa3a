"""Results as a table, as JSON, and as curves over the amount of work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.plot import Chart, Line, plot
from benchmarks.result import Result, Way

_HEAD = (
    "| workload | size | way | requests | seconds | times as fast | processor seconds | MB | also |\n"
    "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |\n"
)
_MEASURES: Mapping[str, Callable[[Way], float | None]] = {
    "seconds": lambda way: way.seconds,
    "requests": lambda way: way.requests,
    "MB of memory": lambda way: way.memory_mb,
}


def table(results: Iterable[Result]) -> str:
    """As Markdown."""
    return _HEAD + "".join(_row(result, way) for result in results for way in result.ways)


def written(
    folder: Path, results: Sequence[Result], conditions: Mapping[str, str], units: Mapping[str, str]
) -> str:
    """Write all into a folder; the text of its table.

    Args:
        units: what the size of a workload counts, by its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"- {name}: {value}\n" for name, value in conditions.items()) + f"\n{table(results)}"
    (folder / "results.md").write_text(text)
    listed = {"conditions": conditions, "results": [asdict(result) for result in results]}
    (folder / "results.json").write_text(json.dumps(listed, indent=1) + "\n")
    for name in dict.fromkeys(result.workload for result in results):
        of_one = [result for result in results if result.workload == name]
        (folder / f"{name}.svg").write_text(curves(of_one, units[name]))
    return text


def curves(results: Sequence[Result], unit: str) -> str:
    """How one workload grows, as SVG: a chart for each measure, in it a line for each way."""
    charts = []
    for measure, of in _MEASURES.items():
        lines: dict[str, list[tuple[float, float]]] = {}
        for result in results:
            for way in result.ways:
                value = of(way)
                if value:
                    lines.setdefault(way.name, []).append((way.size, value))
        if lines:
            charts.append(Chart([Line(*each) for each in lines.items()], unit, measure))
    return plot(charts)


def _row(result: Result, way: Way) -> str:
    cells = (
        result.workload,
        f"{way.size:,}",
        way.name,
        "" if way.requests is None else f"{way.requests:,}",
        f"{way.seconds:.2f}",
        f"{result.times_as_fast(way):.2f}",
        f"{way.processor_seconds:.2f}",
        f"{way.memory_mb:.0f}",
        ", ".join(f"{value:,.2f}".rstrip("0").rstrip(".") + f" {name}" for name, value in way.told.items()),
    )
    return f"| {' | '.join(cells)} |\n"
