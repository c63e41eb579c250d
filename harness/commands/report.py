"""judge a stored run anew and make its reports, in any format

examples:
  afalg-harness report runs/20261123T101500Z-1a2b
  afalg-harness report runs/20261123T101500Z-1a2b --format junit --output -
  afalg-harness report --replay runs/20261123T101500Z-1a2b
"""

from __future__ import annotations

import argparse

from harness.commands.reporting import (
    add_exit_option,
    add_judging_options,
    add_report_options,
    add_stored_run,
)

VERBOSE = "print everything: each test, path, reason and change"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``report``."""
    add_stored_run(parser)
    add_report_options(parser, "into RUN")
    add_judging_options(parser)
    add_exit_option(parser)
