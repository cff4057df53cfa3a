"""Templates such as ``{{ env.SOURCE_URL }}`` in a component's attributes."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster.components.resolved.errors import ResolutionException

from dvidsync_dagster.config.fields import field_path
from dvidsync_dagster.errors import ConfigurationError


def fill_templates(value: Any) -> Any:
    """A component's attributes with their templates filled in, outside of a Dagster project."""
    return filled_in(dg.ResolutionContext.default(), value)


def filled_in(context: dg.ResolutionContext, value: Any) -> Any:
    """Plain data with its templates filled in. Dagster itself would make a number of any text of digits."""
    match value:
        case dict():
            return {name: filled_in(context.at_path(name), item) for name, item in value.items()}
        case list() | tuple():
            return [filled_in(context.at_path(index), item) for index, item in enumerate(value)]
        case str() if "{{" in value or "{%" in value:
            return _filled(context, value)
        case _:
            return value


def _filled(context: dg.ResolutionContext, template: str) -> Any:
    """What a template gives.

    Raises:
        ConfigurationError: it cannot be read, or gives nothing.
    """
    try:
        value: Any = context.resolve_value(template)
    except ResolutionException as error:
        last = str(error).strip().splitlines()[-1].removeprefix("jinja2.exceptions.")
        found = f"the template {template[:200]!r} fails: {last[:200]}"
    else:
        if value is not None:
            return value
        found = f"the template {template[:200]!r} gives nothing"
    raise ConfigurationError(
        field_path(context.path),
        found,
        'Write it such as "{{ env.NAME }}", and set that variable where Dagster runs.',
    )
