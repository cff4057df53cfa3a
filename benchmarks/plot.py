"""Small charts as SVG, with logarithmic axes. Nothing else is needed to draw them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 540, 360
"""Of one chart."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 160, 40, 50
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")


@dataclass(frozen=True, slots=True)
class Line:
    """A name, and points (x, y) above 0."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Some lines, and what the axes count."""

    lines: Sequence[Line]
    x_name: str
    y_name: str


def plot(charts: Sequence[Chart]) -> str:
    """An SVG image of some charts, side by side."""
    width = WIDTH * len(charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>',
    ]
    for number, chart in enumerate(charts):
        parts += [f'<g transform="translate({number * WIDTH},0)">', *_drawn(chart), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _drawn(chart: Chart) -> Iterator[str]:
    xs = _Axis.over([x for line in chart.lines for x, _ in line.points], _LEFT, WIDTH - _RIGHT)
    ys = _Axis.over([y for line in chart.lines for _, y in line.points], HEIGHT - _BOTTOM, _TOP)
    for value in xs.tens:
        place = xs.place(value)
        yield _stroke(place, ys.begin, place, ys.end)
        yield _text(place, ys.begin + 16, f"{value:,.10g}", "middle")
    for value in ys.tens:
        place = ys.place(value)
        yield _stroke(xs.begin, place, xs.end, place)
        yield _text(xs.begin - 6, place + 4, f"{value:,.10g}", "end")
    yield _text((xs.begin + xs.end) / 2, HEIGHT - 12, chart.x_name, "middle")
    yield _text((xs.begin + xs.end) / 2, _TOP - 14, chart.y_name, "middle")
    for line, colour in zip(chart.lines, _COLOURS, strict=False):
        places = [(xs.place(x), ys.place(y)) for x, y in sorted(line.points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in places:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        yield _text(places[-1][0] + 8, places[-1][1] + 4, line.name, "start", colour)


@dataclass(frozen=True, slots=True)
class _Axis:
    """From a power of ten to another one, between two places of the image."""

    least: int
    most: int
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> _Axis:
        logs = [math.log10(value) for value in values]
        least = math.floor(min(logs))
        return cls(least, max(math.ceil(max(logs)), least + 1), begin, end)

    @property
    def tens(self) -> list[float]:
        return [10.0**exponent for exponent in range(self.least, self.most + 1)]

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.least) / (self.most - self.least)
        return self.begin + share * (self.end - self.begin)


def _stroke(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
