"""run a kernel package against the last good one of its lineage: a report for a release checklist

Its lineage is its release series and flavour (6.12 cloud-amd64). The last good
result of that is taken from the store; if there is none, the kernel before it
in Debian's archive is fetched and run first. What is judged is the kernel of
the packages, not an installed system. The result goes into the store.

With --new-since only kernels that are new in the suite and not yet in the store
are run, one after the other; nothing new is exit code 0, with a line that says
so. LAST is
  2026-11-20     built that day or later
  6.12.113       a version, package version or release: newer than that
  56dc0977fcf0   the id of a stored run: newer than the newest kernel of that
  last           newer than the newest kernel of the suite in the store

examples:
  afalg-harness validate debian:trixie-security
  afalg-harness validate linux-image-6.12.118+deb13-amd64_6.12.118-1_amd64.deb
  afalg-harness validate debian:trixie-security --new-since last -q >>new.md
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import (
    add_guest_options,
    add_source_options,
    add_store_option,
    not_empty,
    path,
    positive_integer,
    positive_seconds,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``validate``."""
    spec = parser.add_argument(
        "spec",
        metavar="SPEC",
        help="debian:SUITE[/FLAVOUR], packages A.deb[,B.deb...], or any kernel that run takes",
    )
    completed(spec, completion.specs)
    parser.add_argument(
        "--new-since",
        type=not_empty,
        metavar="LAST",
        help="of debian:SUITE, validate what came after LAST and is not in the store (see above)",
    )
    suite = parser.add_argument(
        "--suite",
        action="append",
        default=[],
        metavar="NAME|ID|PATH",
        help="as run takes it (repeatable; default: all built-in suites, as a release needs)",
    )
    completed(suite, completion.suites)
    parser.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="run directory (default: runs/<UTC time>-<id>); with --new-since what holds one for"
        " each kernel, named by its release",
    )
    parser.add_argument(
        "--jobs", type=positive_integer, metavar="N", help="guests at once, as run takes it"
    )
    parser.add_argument(
        "--timeout",
        type=positive_seconds,
        metavar="S",
        help="seconds that all tests of one boot may take together, as run takes it",
    )
    add_store_option(parser)
    add_guest_options(parser)
    add_source_options(parser)
