"""Secrets: the configuration names an environment variable, the run reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from dvidsync_dagster.config.fields import WrongValue
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.outgoing_text import keep_secret

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
"""Capital letters only, so that a token pasted in place of a name is refused."""


def variable_name(name: str | None) -> str | None:
    """Check the name of an environment variable. The message never repeats what was given."""
    if name is not None and not VARIABLE.fullmatch(name):
        raise WrongValue(
            "is not the name of an environment variable (capital letters, digits and _)",
            "Put the secret into a variable such as DVID_TOKEN and write the variable's name here.",
        )
    return name


def read_secret(field: str, variable: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The secret that `variable` holds, or None if no variable is named.

    Raises:
        ConfigurationError: the variable is unset, empty, or holds what cannot be a secret.
    """
    if variable is None:
        return None
    secret = environment.get(variable, "").strip()
    if not secret:
        raise ConfigurationError(
            field,
            f"the environment variable {variable} is not set",
            "Set it where the run starts (for Dagster: the environment of its daemon and code location), "
            "or remove the field if no secret is needed.",
        )
    if not secret.isprintable():
        raise ConfigurationError(
            field,
            f"the environment variable {variable} holds a line break or another control character",
            "Set it to the bare secret.",
        )
    keep_secret(secret)
    return secret
