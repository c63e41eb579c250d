"""boot kernels, run the suites in each, judge and compare them

What cannot work (a kernel that does not exist, -k that selects no test) is
refused before anything boots, and leaves no run directory.

examples:
  afalg-harness run debian:6.12.43+deb12-amd64 debian:trixie-backports
  afalg-harness run ./vmlinuz --suite zero_copy
  afalg-harness run --list --suite security
  afalg-harness run --baseline debian:trixie linux-image-test_amd64.deb
  afalg-harness run --baseline last-good debian:trixie-backports
  afalg-harness run --shard 2/4 debian:trixie debian:6.12.95+deb13-amd64 ...
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import (
    add_executor_option,
    add_guest_options,
    add_source_options,
    add_store_option,
    count,
    path,
    positive_integer,
    positive_seconds,
    shard,
    whole_number,
)
from harness.defaults import CONFIRM, MOST_BOOTS, SEED, SUITE_SECONDS, TEST_SECONDS

VERBOSE = "print everything: each test, path, reason and change"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``run``."""
    spec = parser.add_argument(
        "specs",
        nargs="*",
        metavar="SPEC",
        help="a kernel: PATH to an image, a package tree or a kernel tree, A.deb[,B.deb...], "
        "A.rpm[,B.rpm...], A.pkg.tar.zst, debian:RELEASE, debian:SUITE[/FLAVOUR], "
        "git:TREE[@REV] or host",
    )
    completed(spec, completion.specs)
    baseline = parser.add_argument(
        "--baseline",
        metavar="SPEC|last-good",
        help="the kernel to compare with (default: the first of several SPECs); last-good: the"
        " newest one before the SPEC, of the same release series and flavour or git branch, that"
        " was as expected in a stored run",
    )
    completed(baseline, completion.baselines)
    parser.add_argument(
        "--out", type=path, metavar="DIR", help="run directory (default: runs/<UTC time>-<id>)"
    )
    parser.add_argument(
        "--resume",
        type=path,
        metavar="DIR",
        help="go on with the interrupted run in DIR, as it was started (takes no other argument "
        "but -q and -v)",
    )
    parser.add_argument(
        "--jobs",
        type=positive_integer,
        metavar="N",
        help="guests at once (default: one for each CPU, as far as each has 1.25 GiB of free"
        " memory)",
    )
    _add_where(parser)
    _add_what_runs(parser)
    _add_how_often(parser)
    judging = parser.add_argument_group("what is expected")
    expect = judging.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="expect another state of a fact or outcome of a test (repeatable)",
    )
    completed(expect, completion.expected)
    judging.add_argument(
        "--expectations", type=path, metavar="FILE", help="expectations file (TOML)"
    )
    add_guest_options(parser)
    add_source_options(parser)
    store = parser.add_argument_group("the store of runs")
    add_store_option(store)
    store.add_argument(
        "--reuse",
        action="store_true",
        help="do not boot a kernel of which the store has a whole result: of the very same kernel,"
        " suite, guest image and settings; the reports say so",
    )
    store.add_argument(
        "--no-store", action="store_true", help="do not put the run into the store at its end"
    )


def _add_where(parser: argparse.ArgumentParser) -> None:
    machines = parser.add_argument_group("more than one machine")
    add_executor_option(machines)
    machines.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="run only the I-th of N parts of the kernels, the baseline in each; what falls to"
        " which part is the same on any machine, and `report merge` puts their results together",
    )
    machines.add_argument(
        "--shard-times",
        type=path,
        metavar="FILE",
        help="make the parts of --shard take alike, by how long each kernel took: an earlier run,"
        " or what `runs times` prints; the same FILE for all of them",
    )


def _add_what_runs(parser: argparse.ArgumentParser) -> None:
    tests = parser.add_argument_group("what runs")
    suite = tests.add_argument(
        "--suite",
        action="append",
        default=[],
        metavar="NAME|ID|PATH",
        help="a suite, a test id, or a folder or file of pytest tests of your own, which ids then "
        "begin with (repeatable; default: all built-in suites)",
    )
    completed(suite, completion.suites)
    tests.add_argument(
        "-k", dest="keyword", metavar="EXPR", help="only tests that match (pytest -k)"
    )
    tests.add_argument(
        "--list",
        action="store_true",
        help="print each test with its purpose and tags, and boot nothing (needs no SPEC); "
        "suites of your own are imported for that, here",
    )
    tests.add_argument(
        "--timeout",
        type=positive_seconds,
        metavar="S",
        help="seconds that all tests of one boot may take together "
        f"(default: {SUITE_SECONDS['tcg']:g} under emulation, {SUITE_SECONDS['kvm']:g} under KVM)",
    )
    tests.add_argument(
        "--test-timeout",
        type=positive_seconds,
        default=TEST_SECONDS,
        metavar="S",
        help="seconds that one test may take (default: %(default)g)",
    )
    tests.add_argument(
        "--dump-guest-memory",
        type=path,
        metavar="DIR",
        help="where a guest stands still, write its memory to DIR/RELEASE-BOOT.kdump "
        "(kdump-compressed, for crash or drgn) before it is ended",
    )
    tests.add_argument(
        "--seed",
        type=whole_number,
        default=SEED,
        metavar="N",
        help="seed of the test data (default: %(default)s)",
    )


def _add_how_often(parser: argparse.ArgumentParser) -> None:
    boots = parser.add_argument_group("how often")
    boots.add_argument(
        "--boots",
        type=positive_integer,
        default=MOST_BOOTS,
        metavar="N",
        help="boots of one kernel at most, for each repetition: after a crash the rest goes on "
        "in a new one, and its test runs alone (default: %(default)s)",
    )
    boots.add_argument(
        "--repeat",
        type=positive_integer,
        default=1,
        metavar="N",
        help="run the whole plan N times, in fresh boots (default: %(default)s)",
    )
    boots.add_argument(
        "--confirm",
        type=count,
        default=CONFIRM,
        metavar="N",
        help="run what was lost against the baseline again alone, on both kernels, in N fresh "
        "boots, before it is said (default: %(default)s; 0: do not)",
    )
