"""Which tests the run of a kernel had selected, and so what only one of two runs could have."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from harness.model import KernelResult


@dataclass(frozen=True)
class Selected:
    """What ``--suite`` and ``-k`` named."""

    suites: frozenset[str]
    keyword: str


def selected(kernel: KernelResult) -> Selected | None:
    """The selection of a kernel's run, from the command that runs it again; None: not known."""
    try:
        words = shlex.split(kernel.reproduce)
    except ValueError:
        return None
    if not words:
        return None
    values: dict[str, list[str]] = {"--suite": [], "-k": []}
    for option, value in zip(words, [*words[1:], ""], strict=True):
        name, joined, rest = option.partition("=")
        if name in values:
            values[name].append(rest if joined else value)
    return Selected(frozenset(values["--suite"]), " ".join(values["-k"]))


def left_out(tests: Iterable[str], by: KernelResult, other: KernelResult) -> frozenset[str]:
    """Those of ``tests``, which ``other`` planned, that ``by`` did not select to begin with.

    Where both selected the same, or tests of the same file, a test that is missing from
    the plan has vanished.
    """
    mine, its = selected(by), selected(other)
    if mine is not None and mine == its:
        return frozenset()
    if mine is not None and its is not None and mine.keyword != its.keyword:
        return frozenset(tests)
    files = {_file(test) for test in by.plan}
    # Of a file that was selected test by test, the others were not.
    files -= {_file(suite) for suite in (mine.suites if mine else ()) if "::" in suite}
    return frozenset(test for test in tests if _file(test) not in files)


def _file(test: str) -> str:
    return test.partition("::")[0]
