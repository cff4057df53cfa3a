"""What every part of the configuration has in common: strict types, and errors that name the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dvidsync_dagster.errors import ConfigurationError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""What may be part of a name in Dagster."""
Number = TypeVar("Number", int, float)
_LONG = 10**15

_inside: ContextVar[bool] = ContextVar("inside a larger configuration", default=False)


class WrongValue(ValueError):
    """What a field's own check found, and the remedy. A check of several fields names the one to change."""

    def __init__(self, found: str, remedy: str, *, field: str | None = None) -> None:
        super().__init__(f"{found}. {remedy}")
        self.field = field
        self.found = found
        self.remedy = remedy


class Part(BaseModel):
    """A part of the configuration.

    Raises:
        ConfigurationError: in place of pydantic's own error, with the path of the first wrong field.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_field(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if _inside.get():
            part = handler(data)
            part.check_together()
            return part
        token = _inside.set(True)
        try:
            part = handler(data)
            part.check_together()
            return part
        except ValidationError as error:
            refusal = configuration_error(cls, error)
        except WrongValue as error:
            refusal = ConfigurationError(error.field or "configuration", error.found, error.remedy)
        finally:
            _inside.reset(token)
        raise refusal

    def check_together(self) -> None:
        """Check fields that depend on each other. Raises WrongValue, which names the field to change."""


def configuration_error(model: type[BaseModel], error: ValidationError) -> ConfigurationError:
    """The first of pydantic's findings as our error; the other fields are named."""
    details = sorted(
        (detail for detail in error.errors(include_url=False) if not _is_other_branch(detail)),
        key=lambda detail: detail["type"] != "extra_forbidden",
    )
    first, paths = details[0], list(dict.fromkeys(_path(detail) for detail in details))
    found, remedy = _found_and_remedy(model, first)
    if len(paths) > 1:
        remedy = f"{remedy} Also wrong: {', '.join(paths[1:])}."
    return ConfigurationError(paths[0], found, remedy)


def field_path(location: Sequence[int | str]) -> str:
    """`("destinations", 0, "url")` as ``destinations[0].url``, without the names of a union's branches."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not _is_branch(step):
            path += f".{step}" if path else step
    return path or "configuration"


def _is_branch(step: str) -> bool:
    """Whether a step of a location is not a field but a branch of a union, as pydantic or we name it."""
    return step.startswith("<") or "[" in step


def _is_other_branch(detail: ErrorDetails) -> bool:
    """Whether it only says that a list is not one of the words that could stand in its place."""
    last = str(detail["loc"][-1]) if detail["loc"] else ""
    return last.startswith("literal[") and isinstance(detail["input"], list | dict)


def _path(detail: ErrorDetails) -> str:
    refused = detail.get("ctx", {}).get("error")
    inner = (refused.field,) if isinstance(refused, WrongValue) and refused.field else ()
    return field_path((*detail["loc"], *inner))


def _found_and_remedy(model: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    refused = detail.get("ctx", {}).get("error")
    if isinstance(refused, WrongValue):
        return refused.found, refused.remedy
    owner, description = _described(model, detail["loc"])
    meaning = f"It is {description}." if description else "See the README's list of fields."
    match detail["type"]:
        case "missing":
            return "is missing", f"Add it. {meaning}"
        case "extra_forbidden":
            names = [field.alias or name for name, field in owner.model_fields.items()]
            near = difflib.get_close_matches(str(detail["loc"][-1]), names, n=1)
            known = f"Did you mean `{near[0]}`?" if near else f"Known here: {', '.join(names)}."
            return "is not a known field", known
        case "string_type" if isinstance(detail["input"], (int, float)):
            return "is a number, but text is wanted", f"Put it in quotes. {meaning}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"is {_kind(detail['input'])}, but named fields are wanted", meaning
        case _:
            return detail["msg"][:1].lower() + detail["msg"][1:], meaning


def _described(model: type[BaseModel], location: Sequence[int | str]) -> tuple[type[BaseModel], str | None]:
    """The model that holds the last named step of `location`, and that field's description."""
    owner, inner, description = model, model, None
    inside: dict[str, type[BaseModel]] = {}
    for step in location:
        if isinstance(step, int):
            continue
        if _is_branch(step):
            inner = inside.get(step, inner)
            continue
        owner = inner
        field = _field_of(owner, step)
        if field is None:
            return owner, None
        description = field.description
        inside = dict(_models_in(field.annotation))
        inner = next(iter(inside.values()), owner)
    return owner, description


def _field_of(model: type[BaseModel], name: str) -> FieldInfo | None:
    """By the name that it has in a configuration: `from` cannot be one in Python."""
    fields = model.model_fields.items()
    return next((field for own, field in fields if name in (own, field.alias)), None)


def _models_in(annotation: Any, branch: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that a field can hold, each with the name of its branch of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield branch, annotation
    tags = (each.tag for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Tag))
    branch = next(tags, branch)
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument, branch)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _:
            return "something else"


def in_range(number: Number, low: int, high: int) -> Number:
    """Check a number."""
    if not low <= number <= high:
        # A number can have thousands of digits.
        found = f"is {number}" if abs(number) < _LONG else "is far out of range"
        raise WrongValue(found, f"Use a number from {low} to {high}.")
    return number


def word_or_parts(value: object) -> str:
    """The branch of a union of one word (or nothing) and named parts or a list, for pydantic."""
    return "<word>" if value is None or isinstance(value, str) else "<parts>"
