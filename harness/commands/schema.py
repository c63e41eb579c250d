"""print the JSON Schema of results.json, or of benchmark.json

examples:
  afalg-harness schema >results.schema.json
  afalg-harness schema benchmark >benchmark.schema.json
"""

from __future__ import annotations

import argparse
import json

from harness.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which file."""
    parser.add_argument(
        "file",
        nargs="?",
        choices=("results", "benchmark"),
        default="results",
        metavar="results|benchmark",
        help="whose schema (default: %(default)s)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    # Slow: of this command only.
    from harness.benchmark import file  # noqa: PLC0415
    from harness.report import schema  # noqa: PLC0415

    module = file if arguments.file == "benchmark" else schema
    print(json.dumps(module.json_schema(), indent=1))
    return int(ExitCode.OK)
