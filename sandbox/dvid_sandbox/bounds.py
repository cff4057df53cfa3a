"""The box that a request for a sparse volume can be limited to."""

from __future__ import annotations

from dataclasses import dataclass

from dvid_sandbox.exchange import Exchange, Refused
from dvid_sandbox.reading import Point

Limits = tuple[int | None, int | None, int | None]


@dataclass(frozen=True)
class Bounds:
    """Lowest and highest x, y, z, both included; None is without a limit. Voxels, or blocks.

    `exact` says that runs of voxels are cut at the box; otherwise whole blocks are kept.
    """

    low: Limits
    high: Limits
    exact: bool = True

    @classmethod
    def asked(cls, exchange: Exchange) -> Bounds:
        """Those of ``minx=`` to ``maxz=``.

        Raises:
            Refused: one is no number of 32 bits.
        """
        x, y, z = (_limit(exchange, f"min{axis}") for axis in "xyz")
        to_x, to_y, to_z = (_limit(exchange, f"max{axis}") for axis in "xyz")
        return cls((x, y, z), (to_x, to_y, to_z), exchange.query.get("exact") != "false")

    @property
    def given(self) -> bool:
        return any(each is not None for each in (*self.low, *self.high))

    def in_blocks(self, edge: int) -> Bounds:
        """The blocks of so many voxels along their edge; divided as Go divides, towards zero."""
        low = [None if each is None else int(each / edge) for each in self.low]
        high = [None if each is None else int(each / edge) for each in self.high]
        return Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]), self.exact)

    def contain(self, point: Point) -> bool:
        return all(
            (low is None or low <= each) and (high is None or each <= high)
            for each, low, high in zip(point, self.low, self.high, strict=True)
        )


def _limit(exchange: Exchange, name: str) -> int | None:
    text = exchange.query.get(name, "")
    if not text:
        return None
    complaint = f'error parsing bounds from query string: strconv.ParseInt: parsing "{text}"'
    try:
        value = int(text)
    except ValueError:
        raise Refused(f"{complaint}: invalid syntax") from None
    if not -(2**31) <= value < 2**31:
        raise Refused(f"{complaint}: value out of range")
    return value
