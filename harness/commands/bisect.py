"""find the first kernel, or the first commit, where an observation changed

A check is a test id (functional/test_hash.py::test_sha256), a fact
(zero_copy.skcipher.splice_file, page_cache_write, af_alg_restrict), boots
(whether a guest reports), seed:N (the answers to the call sequences of a seed
of the suite differential), or --command in the guest. A test that fails,
crashes the kernel or times out does not pass: that is bad; with --find it is
told which (TEST=crashed).

--good and --bad are for what is expected of a kernel (a test passes,
page_cache_write is absent), --old and --new for any change; the ends may be
named in either order. Check, ends and candidates are looked at before
anything is booted.

Of a zero-copy path the code of the kernels that are in the cache says which
two to try first (kernels list --static); what counts is what is observed.

exit codes:
  0    the kernel or commit was found
  1    it was not: the ends do not differ, or others could not be tested, so
       that a range is left
  2    the command was used wrongly, or an input is bad; or the good end is
       not as expected, and the bad one is
  3    infrastructure, or an end could not be judged
  130  interrupted; the same command goes on where it was

examples:
  afalg-harness bisect --check zero_copy.skcipher.splice_file \\
      --good debian:6.12.96+deb13-amd64 --bad debian:6.12.43+deb13-amd64 \\
      --among 'debian:6.12.*'
  afalg-harness bisect --among git:linux --old v7.1 --new v7.2 \\
      --find zero_copy.skcipher.splice_file=absent
"""

from __future__ import annotations

import argparse

from harness.commands import completion
from harness.commands.completion import completed
from harness.commands.options import (
    add_executor_option,
    add_guest_options,
    add_source_options,
    path,
    positive_integer,
    positive_seconds,
)
from harness.defaults import SUITE_SECONDS

VERBOSE = "the whole changelog or commit between the two, not its part on crypto"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``bisect``."""
    ends = parser.add_argument_group("the two ends")
    good = ends.add_argument(
        "--good",
        metavar="SPEC",
        help="a kernel that is as it should be (of a git tree, a revision will do)",
    )
    completed(good, completion.specs)
    bad = ends.add_argument("--bad", metavar="SPEC", help="a kernel that is not")
    completed(bad, completion.specs)
    old = ends.add_argument("--old", metavar="SPEC", help="in place of --good: the kernel before")
    completed(old, completion.specs)
    new = ends.add_argument("--new", metavar="SPEC", help="in place of --bad: the kernel after")
    completed(new, completion.specs)
    among = parser.add_argument(
        "--among",
        action="append",
        default=[],
        metavar="WHAT",
        help="'debian:GLOB', debian:VERSION..VERSION or debian:SUITE (the archive's kernels "
        "between the ends; default: all of them), SPEC,SPEC,... in order, or git:TREE",
    )
    completed(among, completion.specs)
    add_check_arguments(parser)
    find = parser.add_argument(
        "--find",
        metavar="CHECK=VALUE",
        help="look for the kernel where CHECK became VALUE, whatever it was before",
    )
    completed(find, completion.expected)
    parser.add_argument(
        "--repeat",
        type=positive_integer,
        default=1,
        metavar="N",
        help="boot each kernel N times, and vote",
    )
    parser.add_argument(
        "--out", type=path, metavar="DIR", help="its directory (default: runs/bisect-<id>)"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="forget the steps that are stored in its directory"
    )
    machines = parser.add_argument_group("more than one at once")
    machines.add_argument(
        "--jobs",
        type=positive_integer,
        metavar="N",
        help="test N kernels at once, which part what is left into N + 1 parts (default: 1; of a"
        " cluster as many as it has room for)",
    )
    add_executor_option(machines)
    add_guest_options(parser)
    add_source_options(parser)


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """``--check``, ``--command`` and the time limits, which bisect-step has, too."""
    check = parser.add_argument("--check", metavar="CHECK", help="what to look at (see below)")
    completed(check, completion.checks)
    parser.add_argument(
        "--command",
        dest="guest_command",
        metavar="CMD",
        help="run CMD in the guest: 0 is good, 125 cannot be judged, any other bad",
    )
    parser.add_argument(
        "--timeout",
        type=positive_seconds,
        metavar="S",
        help="seconds that the check may take in one boot "
        f"(default: {SUITE_SECONDS['tcg']:g} under emulation, {SUITE_SECONDS['kvm']:g} under KVM)",
    )
