"""which kernel has which zero-copy path: all that ever ran here, and the code of those in the cache

Versions downwards, paths across; paths that are alike on all kernels share a
column. A kernel that was only fetched is told by its code (see kernels list
--static): that it can refer to pages does not say that it ever does.

examples:
  afalg-harness kernels map
  afalg-harness kernels map '6.12*' --booted
  afalg-harness kernels map --format html --output map.html
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_cache_option, add_store_option, path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``kernels map``."""
    parser.add_argument(
        "globs", nargs="*", metavar="GLOB", help="only releases that match one, as '6.12*'"
    )
    parser.add_argument(
        "--booted", action="store_true", help="only kernels that ran; no code is read"
    )
    parser.add_argument(
        "--run",
        action="append",
        type=path,
        default=[],
        metavar="RUN",
        help="of runs, look at this run directory or results.json alone (repeatable; default: all"
        " runs of the store)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "html", "csv", "json"),
        default="text",
        metavar="F",
        help="text, html (one page with a picture), csv or json (default: text)",
    )
    parser.add_argument(
        "--output", type=path, metavar="FILE|-", help="where to write it (default: -, stdout)"
    )
    add_store_option(parser)
    add_cache_option(parser)
