"""show what the cache holds, and delete what is not needed

examples:
  afalg-harness kernels cache list
  afalg-harness kernels cache prune --older-than 30
"""

from __future__ import annotations

import argparse

from harness.commands.kernels.cache import list, prune
from harness.commands.parsers import add_command

VERBOSE = "say more; see each"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of ``kernels cache``."""
    subparsers = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for module in (list, prune):
        add_command(subparsers, module, nested=True)
