"""Builds kernels."""

from __future__ import annotations

import argparse

from harness.commands.actions.kernels.fetch import obtain
from harness.commands.sources import kernel_sources
from harness.errors import InputError
from harness.kernels.spec import GitSpec, parse_spec


def execute(arguments: argparse.Namespace) -> int:
    """Build; raises InputError for what is not built."""
    for spec in arguments.specs:
        if not isinstance(parse_spec(spec), GitSpec):
            raise InputError(f"{spec}: only git:TREE@REV is built; kernels fetch gets the others")
    return obtain(
        arguments.specs, kernel_sources(arguments), arguments.quiet, verbose=arguments.verbose
    )
