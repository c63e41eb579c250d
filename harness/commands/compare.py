"""compare kernels of stored runs with the first one, without booting anything

Of runs of benchmark it says what became dearer or cheaper.

examples:
  afalg-harness compare runs/before runs/after
  afalg-harness compare runs/matrix:7.2.12 :7.3.4
  afalg-harness compare runs/a runs/b runs/c --format summary --output -
  afalg-harness compare runs/costs-before runs/costs-after --max-slowdown 5%
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_slowdown_option
from harness.commands.reporting import add_judging_options, add_report_options

VERBOSE = "print everything: each test, path, reason and change"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``compare``."""
    parser.add_argument(
        "kernels",
        nargs="+",
        metavar="RUN[:KERNEL]",
        help="run directory or results.json, and the release or spec of a kernel in it, or how "
        "its release begins; :KERNEL is one of the run before. The first is the baseline: of a "
        "run alone its first kernel, and of each later one all its candidates",
    )
    parser.add_argument(
        "--unlike",
        action="store_true",
        help="compare even what was observed with other accelerators, CPU models, guest images "
        "or suites",
    )
    add_slowdown_option(parser)
    add_report_options(parser, "standard output")
    add_judging_options(parser)
