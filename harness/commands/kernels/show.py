"""show what a kernel is: version, build id, compiler, AF_ALG, signatures, where it is from

The kernel is fetched and prepared if it is not in the cache; nothing is
booted. "code" is what its code says of each way into and out of a request
socket: whether calls lead from the socket's operations to a function that
takes pages by reference.

examples:
  afalg-harness kernels show debian:7.3.4+deb13-amd64
  afalg-harness kernels show ./vmlinuz --json
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import add_source_options

VERBOSE = "every crypto option of the config, not only those about AF_ALG"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels show``."""
    spec = parser.add_argument("spec", metavar="SPEC", help="a kernel, as run takes it")
    completed(spec, completion.specs)
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    add_source_options(parser)
