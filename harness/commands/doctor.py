"""check whether this host is fit, and name what mends it

example:
  afalg-harness doctor
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_cache_option

QUIET = "only what is missing"
VERBOSE = "the versions of the Python packages that are used, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``doctor``."""
    add_cache_option(parser)
