"""print the JSON Schema of results.json

example:
  afalg-harness schema >results.schema.json
"""

from __future__ import annotations

import argparse
import json

from harness.errors import ExitCode


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """There are none of its own."""


def execute(_arguments: argparse.Namespace) -> int:
    """Print the schema."""
    from harness.report.schema import json_schema  # noqa: PLC0415  (slow: of this command only)

    print(json.dumps(json_schema(), indent=1))
    return int(ExitCode.OK)
