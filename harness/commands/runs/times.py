"""print how long each kernel took, for --shard-times

A JSON object of kernel specs with seconds: of the newest run in which all
suites ran on the kernel, or the newest one that came to its end.

examples:
  afalg-harness runs times >times.json
  afalg-harness runs times --store /srv/afalg/runs.sqlite >times.json
"""

from __future__ import annotations

import argparse

from harness.commands.options import add_store_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``runs times``."""
    add_store_option(parser)
