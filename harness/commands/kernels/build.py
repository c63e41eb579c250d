"""build kernels from git revisions, booting none

examples:
  afalg-harness kernels build git:~/linux@v7.3
  afalg-harness kernels build git:~/linux@HEAD --kconfig base --kconfig afalg --kconfig debug
"""

from __future__ import annotations

import argparse

from harness.commands.kernels.fetch import obtain
from harness.commands.options import add_source_options, kernel_sources
from harness.errors import InputError
from harness.kernels.spec import GitSpec, parse_spec

VERBOSE = "say more of what was built"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels build``."""
    parser.add_argument("specs", nargs="+", metavar="git:TREE@REV", help="a revision to build")
    add_source_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Build; raises InputError for what is not built."""
    for spec in arguments.specs:
        if not isinstance(parse_spec(spec), GitSpec):
            raise InputError(f"{spec}: only git:TREE@REV is built; kernels fetch gets the others")
    return obtain(
        arguments.specs, kernel_sources(arguments), arguments.quiet, verbose=arguments.verbose
    )
