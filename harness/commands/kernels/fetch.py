"""download and prepare kernels, booting none

If one cannot be had for want of a network, say, the others are fetched all
the same; one that does not exist is refused before anything is fetched.

examples:
  afalg-harness kernels fetch debian:6.12.95+deb13-amd64 debian:trixie/cloud
  afalg-harness kernels fetch -q debian:sid
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import add_source_options

VERBOSE = "the packages, and what is worth knowing of each kernel, too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels fetch``."""
    spec = parser.add_argument("specs", nargs="+", metavar="SPEC", help="a kernel, as run takes it")
    completed(spec, completion.specs)
    add_source_options(parser)
