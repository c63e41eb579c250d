"""list what the cache holds: kernels, guest images, builds, indexes, leftovers

What was used last comes first. Sizes are what the disk loses.

examples:
  afalg-harness kernels cache list
  afalg-harness kernels cache list --json
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_cache_option

QUIET = "makes no difference here"
VERBOSE = "whole keys, and where each thing lies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels cache list``."""
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    add_cache_option(parser)
