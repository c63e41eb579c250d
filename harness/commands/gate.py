"""judge a stored run anew, and answer with the exit code and a line

examples:
  afalg-harness gate runs/20261123T101500Z-1a2b
  afalg-harness gate runs/test --expectations known.toml
"""

from __future__ import annotations

import argparse

from harness.commands.reporting import add_exit_option, add_judging_options, add_stored_run

VERBOSE = "print a line for each reason, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gate``."""
    add_stored_run(parser)
    add_judging_options(parser)
    add_exit_option(parser)
