"""A checkpoint as JSON, as it is stored between runs.

What an older version wrote is read: a field that came later has a default, all others must be there.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)

from dvidsync_dagster.errors import CheckpointError
from dvidsync_dagster.log.checkpoint import Behind, Checkpoint, PartitionPosition, Positions
from dvidsync_dagster.log.heard_ids import Gap, HeardIds
from dvidsync_dagster.log.ranges import Range

FORMAT = 1

_STRICT = ConfigDict(strict=True)
_FEW_HAVE = ("behind", "behind_in", "values", "alone", "doubt")
_KEYED = {"positions": 2, "topics": 1}
"""Fields that hold their content by key, and how many keys deep."""


def checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The checkpoint as JSON: `format`, the fields by name, positions by topic and partition (as text).

    `key_ns` has the name `key` there. What only few destinations have is left out where nothing is.
    """
    stored = _Checkpoint.model_validate(checkpoint, from_attributes=True, by_alias=False, by_name=True)
    empty = {name for name in _FEW_HAVE if not getattr(stored, name)}
    written = stored.model_dump(mode="json", by_alias=True, exclude=empty)
    return {"format": FORMAT, **written}


def checkpoint_from_json(stored: object) -> Checkpoint:
    """Read what `checkpoint_json` wrote.

    Raises:
        CheckpointError: it is damaged, or of a newer format.
    """
    try:
        version = _Format.model_validate(stored).format
        if version > FORMAT:
            raise CheckpointError(
                f"the checkpoint has format {version}, this version of dvidsync reads up to {FORMAT}. "
                f"Update dvidsync."
            )
        return _Checkpoint.model_validate(stored).checkpoint()
    except ValidationError as error:
        raise _damaged("checkpoint", error) from None


def from_offsets(offsets: object) -> Positions:
    """Read the checkpoint of the 2017 tool: ``{topic: next offset}``, of topics with one partition.

    Raises:
        CheckpointError: it is not that.
    """
    try:
        found = _OFFSETS.validate_python(offsets)
    except ValidationError as error:
        raise _damaged("offsets", error) from None
    return {topic: {0: PartitionPosition(offset)} for topic, offset in found.items()}


def _apart(ranges: tuple[Range, ...], info: ValidationInfo) -> tuple[Range, ...]:
    reached = info.data.get("next", 0)
    for first, last in ranges:
        if not reached < first < last:
            raise ValueError("the ranges are not ascending and apart")
        reached = last
    return ranges


def _whole(gap: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if gap[0] > gap[1]:
        raise ValueError("the gap ends before it begins")
    return gap


def _number(partition: object) -> object:
    """A partition's number; a key of JSON is text."""
    if isinstance(partition, str):
        if not (partition.isascii() and partition.isdigit()):
            raise ValueError("it is no number of a partition")
        return int(partition)
    return partition


_Element = TypeVar("_Element")
_Count = Annotated[int, Field(ge=0, lt=2**64)]
_List = Annotated[tuple[_Element, ...], Strict(False)]  # JSON has lists alone
_Range = Annotated[tuple[int, int], Strict(False)]
_Gap = Annotated[tuple[_Count, _Count, _Count, _Count], Strict(False), AfterValidator(_whole)]


class _Format(BaseModel):
    model_config = _STRICT

    format: _Count


class _Position(BaseModel):
    model_config = _STRICT

    next: _Count
    beyond: Annotated[_List[_Range], AfterValidator(_apart)]


class _Ids(BaseModel):
    model_config = _STRICT

    following: _Count
    key_ns: _Count = Field(alias="key")
    gaps: _List[_Gap]
    waiting: _List[int] = ()


class _Behind(BaseModel):
    model_config = ConfigDict(strict=True, from_attributes=True)

    instance: str
    version: str
    item: str
    era: _Count
    mutation_id: _Count
    where: str


class _Checkpoint(BaseModel):
    model_config = _STRICT

    epoch: _Count
    key_ns: _Count = Field(alias="key")
    mutation_id: _Count
    clean: bool
    era: _Count
    boot: _Count
    contact: _Count
    topics: dict[str, str] = {}
    ids: _Ids = _Ids(following=0, key=0, gaps=())
    behind: _List[_Behind] = ()
    behind_in: str = ""
    values: str = ""
    alone: _Count = 0
    doubt: _Count = 0
    positions: dict[str, dict[Annotated[int, BeforeValidator(_number)], _Position]]

    def checkpoint(self) -> Checkpoint:
        positions = {
            topic: {number: PartitionPosition(at.next, at.beyond) for number, at in partitions.items()}
            for topic, partitions in self.positions.items()
        }
        gaps = tuple(Gap(*gap) for gap in self.ids.gaps)
        ids = HeardIds(self.ids.following, self.ids.key_ns, gaps, self.ids.waiting)
        behind = tuple(Behind(**dict(each)) for each in self.behind)
        return Checkpoint(**{**dict(self), "positions": positions, "ids": ids, "behind": behind})


_OFFSETS = TypeAdapter(dict[str, _Count], config=_STRICT)


def _damaged(whole: str, error: ValidationError) -> CheckpointError:
    first = error.errors(include_url=False, include_context=False)[0]
    text = "it is missing" if first["type"] == "missing" else repr(first["input"])
    shown = text if len(text) <= 80 else f"{text[:80]}…"
    return CheckpointError(
        f"{_where(whole, first['loc'])} is damaged: {shown}. Give the destination a start, or restore an "
        f"earlier checkpoint."
    )


def _where(whole: str, steps: tuple[int | str, ...]) -> str:
    """A place in the JSON: fields behind dots, keys and places of lists in brackets."""
    text, keys = whole, 0
    for step in steps:
        if step == "[key]":  # the key itself, named by the step before
            continue
        if keys or isinstance(step, int):
            text, keys = f"{text}[{step!r}]", keys - 1
        else:
            text, keys = f"{text}.{step}", _KEYED.get(step, 0)
    return text
