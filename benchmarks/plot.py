"""A small chart as SVG, with logarithmic axes. Nothing else is needed to draw it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 170, 20, 50
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")


@dataclass(frozen=True, slots=True)
class Line:
    """A name, and points (x, y) above 0."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(lines: Sequence[Line], x_name: str) -> str:
    """An SVG image of some lines."""
    xs = _Axis.over([x for line in lines for x, _ in line.points], _LEFT, WIDTH - _RIGHT)
    ys = _Axis.over([y for line in lines for _, y in line.points], HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for value in xs.tens:
        place = xs.place(value)
        parts.append(_stroke(place, ys.begin, place, ys.end))
        parts.append(_text(place, ys.begin + 16, f"{value:,g}", "middle"))
    for value in ys.tens:
        place = ys.place(value)
        parts.append(_stroke(xs.begin, place, xs.end, place))
        parts.append(_text(xs.begin - 6, place + 4, f"{value:g}", "end"))
    parts.append(_text((xs.begin + xs.end) / 2, HEIGHT - 12, x_name, "middle"))
    for line, colour in zip(lines, _COLOURS, strict=False):
        places = [(xs.place(x), ys.place(y)) for x, y in sorted(line.points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(_text(places[-1][0] + 8, places[-1][1] + 4, line.name, "start", colour))
    return "\n".join([*parts, "</svg>", ""])


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
