"""A run's result -> kernels x tests, and all that is told of one test, as compact data.

The page's script (page.js) is the only reader; the two change together. What repeats is
stored once: texts by number (``Strings``), outcomes as one letter a test.
"""

from __future__ import annotations

import base64
import json
import shlex
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from harness.judge import facts
from harness.judge.states import told_state
from harness.judge.transcripts import SUITE as DIFFERENTIAL
from harness.judge.witnesses import evidence
from harness.model import Fact, KernelResult, Outcome, RunResult, TestResult
from harness.report.html.consoles import excerpts
from harness.report.html.purposes import is_ours, purpose
from harness.report.html.shown import Strings, bounded, shown
from harness.report.order import short_names
from harness.report.overview import distinct_name, suite_of, verdict_word

_LETTERS = {
    Outcome.PASSED: "P",
    Outcome.FAILED: "F",
    Outcome.ERROR: "E",
    Outcome.SKIPPED: "S",
    Outcome.CRASHED: "C",
    Outcome.TIMEOUT: "T",
    Outcome.MISSING: "M",
}
_NOT_PLANNED = "-"
NAME = 300  # characters of a test's id, of a kernel's name
_DETAILS = 20_000  # characters of a traceback
_TRANSCRIPT = 1000


def packed(data: object) -> str:
    """JSON, deflated, in Base64: what a script element can hold whatever the data are."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def matrix(
    result: RunResult, order: Sequence[KernelResult], run_dir: Path | None
) -> Mapping[str, object]:
    """What page.js shows of the tests and facts; its kernels stand in ``order``.

    ``run_dir`` is where their console.log is looked for; None if nowhere.
    """
    strings = Strings()
    tests = list(dict.fromkeys(name for kernel in order for name in _planned(kernel)))
    suites = list(dict.fromkeys(map(suite_of, tests)))
    place = {name: number for number, name in enumerate(tests)}
    sequences = list(dict.fromkeys(text for kernel in order for text in kernel.transcripts))
    names = list(dict.fromkeys(name for kernel in order for name in kernel.facts.named()))
    called = [distinct_name(kernel, result.kernels) for kernel in order]
    return {
        "suites": [shown(suite, NAME) for suite in suites],
        "ids": [shown(name, NAME) for name in tests],
        "suite_of": [suites.index(suite_of(name)) for name in tests],
        "purposes": [strings.add(purpose(name)) for name in tests],
        "own": [number for number, name in enumerate(tests) if not is_ours(name)],
        "sequences": [strings.add(text, _TRANSCRIPT) for text in sequences],
        "plays": _plays(order, place, {text: n for n, text in enumerate(sequences)}),
        "facts": [_fact_head(name, strings) for name in names],
        "kernels": [
            {
                "name": shown(name, NAME),
                "short": shown(short, NAME),
                "role": str(kernel.role),
                "verdict": verdict_word(kernel),
                "again": _again(kernel),
                **_tests(kernel, tests, place, strings),
                "answers": [
                    strings.add(kernel.transcripts.get(text, ""), _TRANSCRIPT) for text in sequences
                ],
                "facts": [_fact(kernel, name, strings) for name in names],
                "consoles": _consoles(kernel, place, strings, run_dir),
            }
            for kernel, name, short in zip(order, called, short_names(called), strict=True)
        ],
        # Last: all of the above have added theirs.
        "strings": strings.all,
    }


def _planned(kernel: KernelResult) -> Iterator[str]:
    yield from kernel.plan
    yield from (test.id for test in kernel.tests)


def _tests(
    kernel: KernelResult, tests: Sequence[str], place: Mapping[str, int], strings: Strings
) -> dict[str, object]:
    """Each test's outcome as a letter and its milliseconds; what few have, by the test."""
    found = {test.id: test for test in kernel.tests}
    planned = set(kernel.plan)
    letters = (
        _LETTERS[found[name].outcome]
        if name in found
        else _LETTERS[Outcome.MISSING]
        if name in planned
        else _NOT_PLANNED
        for name in tests
    )
    seconds = (found[name].seconds if name in found else 0.0 for name in tests)
    return {
        "outcomes": "".join(letters),
        "ms": [_milliseconds(value) for value in seconds],
        "messages": {
            place[test.id]: strings.add(test.message) for test in kernel.tests if test.message
        },
        "details": {
            place[test.id]: strings.add(test.details, _DETAILS)
            for test in kernel.tests
            if test.details
        },
        "remarks": {
            place[test.id]: strings.add(told)
            for test in kernel.tests
            if (told := "\n".join(_remarks(test)))
        },
    }


def _milliseconds(seconds: float) -> int:
    # Three digits: what more there are say nothing and compress badly.
    return int(float(f"{bounded(seconds) * 1000:.3g}"))


def _remarks(test: TestResult) -> Iterator[str]:
    if test.charged:
        yield f"Charged with: {test.charged}"
    if test.taint:
        yield f"Taint bits that came with it: {test.taint}"
    if test.defect is not None:
        named = " ".join(filter(None, (test.defect.cve, f"(fix {test.defect.fix})")))
        provoked = "provoked" if test.defect.provoked else "not provoked, so no evidence"
        yield f"Looks for {named}: {provoked}"
    for attempt in test.attempts:
        message = f": {attempt.message}" if attempt.message else ""
        yield f"Boot {attempt.boot} ({attempt.purpose}): {attempt.outcome}{message}"


def _plays(
    order: Sequence[KernelResult], place: Mapping[str, int], numbers: Mapping[str, int]
) -> dict[int, list[int]]:
    """Number of a test -> those of the sequences of calls that it played.

    Results have them in the order in which they were played, and a test plays those of one
    subject, another one than the test before (tests/afalg/differential).
    """
    found: dict[int, dict[int, None]] = {}
    for kernel in order:
        played = groupby(kernel.transcripts, key=lambda text: text.partition(": ")[0])
        groups = [list(texts) for _, texts in played]
        tests = [
            test.id
            for test in kernel.tests
            if suite_of(test.id) == DIFFERENTIAL
            and test.outcome in {Outcome.PASSED, Outcome.FAILED}
        ]
        if len(groups) != len(tests):
            continue
        for test, texts in zip(tests, groups, strict=True):
            found.setdefault(place[test], {}).update(dict.fromkeys(map(numbers.__getitem__, texts)))
    return {test: list(texts) for test, texts in found.items()}


def _fact_head(name: str, strings: Strings) -> list[str | int]:
    """A fact's full name, and what it is about."""
    return [shown(name, NAME), strings.add(facts.describe(name))]


def _fact(kernel: KernelResult, name: str, strings: Strings) -> list[int] | None:
    """State, what it means, evidence, the test that recorded it; None if it was not recorded."""
    fact: Fact | None = kernel.facts.named().get(name)
    if fact is None:
        return None
    state = told_state(name, fact)
    told = f"{state} ({fact.value})" if fact.value else str(state)
    return [
        strings.add(told),
        strings.add(facts.explain(name, state)),
        strings.add(evidence(name, fact)),
        strings.add(fact.test),
    ]


def _consoles(
    kernel: KernelResult, place: Mapping[str, int], strings: Strings, run_dir: Path | None
) -> dict[int, int] | None:
    found = excerpts(run_dir, kernel.directory, place) if run_dir is not None else None
    if found is None:
        return None
    return {place[test]: strings.add(text, _DETAILS) for test, text in found.items()}


def _again(kernel: KernelResult) -> list[str]:
    """The command that runs the kernel again: what stands ahead of ``--suite``, and the rest.

    The first is without a selection of tests, so that one can be named; the second has the
    suites that were selected, for a test of the user's own, which is named by its path.
    """
    try:
        words = iter(shlex.split(kernel.reproduce))
    except ValueError:
        return ["", ""]
    kept: list[str] = []
    suites: list[str] = []
    for word in words:
        if word == "--suite":
            suites += [word, next(words, "")]
        elif word.startswith("--suite="):
            suites.append(word)
        elif word in {"-k", "-m"}:
            next(words, "")
        elif not word.startswith(("-k", "-m")):
            kept.append(word)
    return [shown(shlex.join(kept), _DETAILS), shown(shlex.join(suites), _DETAILS)]
