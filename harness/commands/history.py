"""what earlier runs say of a test, a fact or a kernel

A test's line over kernels and runs: "." passed, "F" failed, "E" error, "C"
crashed, "T" timed out, "~" not alike in each boot of its run, "s" skipped, "-"
missing. A boot is a flake if the test came to something else in it than in most
of those with the same kernel, arguments and revision of the suite.

examples:
  afalg-harness history 'functional/test_hash.py::test_known_answer[sha256]'
  afalg-harness history zero_copy.skcipher.splice_file
  afalg-harness history 6.12.96+deb13-amd64
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import add_store_option, not_empty, positive_integer

QUIET = "no headings"
VERBOSE = "every run of a kernel, and what was said each time; of a kernel, its flaky tests"
LAST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``history``."""
    name = parser.add_argument(
        "name",
        type=not_empty,
        metavar="TEST|FACT|KERNEL",
        help="a test id, the full name of a fact, or a kernel's release or how that begins",
    )
    completed(name, completion.told)
    kernel = parser.add_argument(
        "--kernel",
        type=not_empty,
        metavar="GLOB",
        help="of a test or a fact, only on kernels whose release matches, as '6.12*'",
    )
    completed(kernel, completion.cached)
    parser.add_argument(
        "--last",
        type=positive_integer,
        default=LAST,
        metavar="N",
        help="show the newest N runs of a kernel (default: %(default)s); all of them count",
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    add_store_option(parser)
