"""What every destination has, whatever kind of thing follows the source."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from dvidsync_dagster.config.fields import NAME, Part, WrongValue
from dvidsync_dagster.config.start import StartTime

SERVER, BUCKET = "<server>", "<bucket>"
"""The kinds of destinations, as branches of a union."""


def kind_of(destination: object) -> str:
    """The branch of the union of destinations, for pydantic."""
    if isinstance(destination, Mapping):
        return BUCKET if "bucket" in destination else SERVER
    return BUCKET if hasattr(destination, "bucket") else SERVER


class AnyDestination(Part):
    """One destination. Its kind is told by the field that says where it is: `url` or `bucket`."""

    usual_chunk: ClassVar[int] = 20_000
    """Records that are planned together, unless the configuration says how many."""

    name: str = Field(description="the destination's name in Dagster: letters, digits and _")
    own: list[str] = Field(
        default_factory=list,
        description="names of instances that are the destination's own: never followed, compared or repaired",
    )

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for people."""

    @property
    def field(self) -> str:
        """How messages name it."""
        return f"destinations[{self.name}]"

    def chosen_start(self) -> StartTime | Literal["beginning", "now"] | None:
        """Where a run without a checkpoint starts; None if the destination itself says.

        Raises:
            ConfigurationError: nothing was chosen; the message explains the choice.
        """
        return None

    @model_validator(mode="before")
    @classmethod
    def _check_kind(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "url" in data and "bucket" in data:
            raise WrongValue("is beside a `bucket`", "Give one of them.", field="url")
        if isinstance(data, Mapping) and "url" not in data and "bucket" not in data:
            raise WrongValue(
                "has neither `url` nor `bucket`",
                "Add the `url` of a DVID server, or the `bucket` that is to hold a snapshot.",
            )
        return data

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise WrongValue("is not a plain name", "Use letters, digits and _, starting with a letter.")
        if name == "mutation_log":
            raise WrongValue("is the name of the log's own asset", "Use another name.")
        return name
