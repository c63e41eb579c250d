"""what kernels there are and what they are; fetch, build and keep them

examples:
  afalg-harness kernels list '6.12*'
  afalg-harness kernels show debian:7.3.4+deb13-amd64
  afalg-harness kernels cache list
"""

from __future__ import annotations

import argparse

from harness.commands.kernels import build, cache, fetch, list, show
from harness.commands.parsers import add_command

VERBOSE = "say more; see each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of ``kernels``."""
    subparsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for module in (list, show, fetch, build, cache):
        add_command(subparsers, module, nested=True)
