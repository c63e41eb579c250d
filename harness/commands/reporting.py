"""Options that commands share which judge stored runs and pass reports on."""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import path
from harness.report.formats import PURPOSES, SYNONYMS


def add_stored_run(parser: argparse.ArgumentParser) -> None:
    """RUN, and ``--replay``, which makes its result again."""
    parser.add_argument(
        "run", type=path, metavar="RUN", help="run directory, or a results.json; only read"
    )
    add_replay_option(parser)


def add_replay_option(parser: argparse.ArgumentParser) -> None:
    """``--replay``, by itself."""
    parser.add_argument(
        "--replay",
        action="store_true",
        help="make the result again from console.log and events.jsonl, and judge it anew",
    )


def add_judging_options(parser: argparse.ArgumentParser) -> None:
    """``--expect`` and ``--expectations``, to judge a stored run by other expectations."""
    group = parser.add_argument_group("what is expected")
    expect = group.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="judge anew with this expectation, beside those of the run (repeatable)",
    )
    completed(expect, completion.expected)
    group.add_argument(
        "--expectations",
        type=path,
        metavar="FILE",
        help="judge anew by this expectations file (TOML) instead of what the run expected",
    )


def add_exit_option(parser: argparse.ArgumentParser) -> None:
    """``--exit``: in whose words the exit code is."""
    parser.add_argument(
        "--exit",
        choices=("own", "nipa"),
        default="own",
        metavar="WHOSE",
        help="nipa: exit with 0 (pass), 4 (skip: nothing ran), 5 (warn: not known, or other"
        " outcomes in other boots) or 1, as NIPA's executor reads it (default: own)",
    )


def add_report_options(parser: argparse.ArgumentParser, where: str) -> None:
    """``--format`` and ``--output``; ``where`` says where reports go without it."""
    group = parser.add_argument_group("the report")
    told = "; ".join(f"{name}: {purpose}" for name, purpose in PURPOSES.items())
    synonyms = ", ".join(f"{word} is {name}" for word, name in SYNONYMS.items())
    group.add_argument(
        "--format",
        action="append",
        choices=sorted({*PURPOSES, *SYNONYMS}),
        metavar="F",
        default=[],
        help=f"{told} ({synonyms}; repeatable; default: print the answer)",
    )
    group.add_argument(
        "--output",
        type=path,
        metavar="FILE|DIR|-",
        help=f"where to write it, - for standard output (default: {where}); of several formats"
        " a directory",
    )
    group.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="[KERNEL=]LABEL",
        help="call KERNEL (its spec or release; else the only candidate) LABEL in reports for"
        " CI servers, which know a test by its name (repeatable)",
    )
    group.add_argument(
        "--url",
        default="",
        metavar="URL",
        help="where others can read the reports, for checks, mails and KCIDB",
    )
