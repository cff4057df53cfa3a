"""What commands print."""

from __future__ import annotations

import os
import sys

import click


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text. Where nobody reads on (``| head``), the command goes on and the rest is not shown."""
    try:
        click.echo(text, err=err, nl=nl)
    except BrokenPipeError:
        # Also what Python still holds, and writes at its end, goes there.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())
        os.close(nowhere)
