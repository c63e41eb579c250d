"""What a bisect looks at in each kernel, and what that is worth there."""

from __future__ import annotations

import difflib
import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.guest.payload import Selection
from harness.judge.exit_code import NOTHING_KNOWN
from harness.judge.facts import NAMES, Section, kind_of
from harness.judge.splats import own_deaths
from harness.judge.states import told_state, why_unknown
from harness.listing import list_tests
from harness.model import KernelResult, Outcome, State, Status, TestResult

_TEST = re.compile(r"[\w./-]+\.py::\w+.*")
_SEED = re.compile(r"seed:(\d+)")
_COMMAND_TEST = "test_command"
#: Outcomes that are answers whatever became of other tests, the one to tell first: of a test
#: with parameters, one that ended so decides.
_BAD = (Outcome.CRASHED, Outcome.TIMEOUT, Outcome.FAILED)
#: Those that leave the question open.
_OPEN = (Outcome.ERROR, Outcome.MISSING)
_SYSCTL = "af_alg_restrict"
_BOOTS = "boots"
#: A test that takes no time, for a guest that need only report.
_SHORTEST = "functional/test_bind.py"


@dataclass(frozen=True)
class Seen:
    """What one kernel answered: ``value`` is "" if it cannot be judged, ``reason`` says why."""

    value: str
    reason: str = ""
    test: str = ""  # id of the test that saw it


@dataclass(frozen=True)
class BisectCheck:
    """One question that a kernel can be asked.

    ``kind`` is "fact", "test", "seed" (the answers to the sequences of a seed of the suite
    ``differential``), "boots" (whether a guest reports) or "command".
    """

    kind: str
    name: str

    def suites(self, test: str = "") -> tuple[str, ...]:
        """What to run for it (see ``Selection.suites``); ``test`` is where a fact was seen."""
        if self.kind == "test":
            return (self.name,)
        if self.kind == "boots":
            return (_SHORTEST,)
        if self.kind == "seed":
            return (f"differential/test_sequences.py::test_seed[{self.name}]",)
        return (test,) if test else kind_of(self.name).suites

    @property
    def title(self) -> str:
        """The check as people write it."""
        return f"seed {self.name}" if self.kind == "seed" else self.name

    def refuse_value(self, value: str) -> None:
        """Raise InputError for a ``value`` that no kernel can answer with."""
        if self.name == _SYSCTL:
            possible: tuple[str, ...] = ("none", "0", "1", "2")
        elif self.kind == "boots":
            possible = (State.WORKS, State.FAILS)
        elif self.kind == "fact":
            program = kind_of(self.name).section is Section.PROGRAMS
            opposites = (State.WORKS, State.FAILS) if program else (State.PRESENT, State.ABSENT)
            possible = (*opposites, State.UNREACHABLE)
        elif self.kind == "seed":
            return
        else:
            possible = (Outcome.PASSED, *reversed(_BAD))
        if value not in possible:
            raise InputError(f"{self.title} is never {value!r}: one of {', '.join(possible)}")

    def see(self, kernel: KernelResult) -> Seen:
        """What ``kernel`` answered: nothing, if its guest was not the one asked for."""
        if self.kind == "boots" and kernel.status is not Status.UNAVAILABLE:
            return _see_boots(kernel)
        if kernel.status in NOTHING_KNOWN:
            return Seen("", kernel.status_reason or str(kernel.status))
        match self.kind:
            case "fact":
                return self._see_fact(kernel)
            case "seed":
                return self._see_seed(kernel)
            case _:
                return self._see_test(kernel)

    def _see_fact(self, kernel: KernelResult) -> Seen:
        if self.name == _SYSCTL:
            level = kernel.facts.af_alg_restrict
            return Seen("none" if level is None else str(level))
        fact = kernel.facts.named().get(self.name)
        state = told_state(self.name, fact)
        if fact is None and kernel.status is not Status.COMPLETED:
            return Seen("", _why_never_recorded(kernel))
        if fact is None or state is State.UNKNOWN:
            return Seen("", _why_not(kernel, why_unknown(fact)))
        return Seen(str(state), fact.evidence, fact.test)

    def _see_test(self, kernel: KernelResult) -> Seen:
        # The first of each outcome; those that were skipped have no say.
        mine = {test.outcome: test for test in reversed(kernel.tests) if self._is_mine(test.id)}
        for outcome in _BAD:
            if outcome in mine:
                return Seen(str(outcome), mine[outcome].message, self.name)
        for outcome in _OPEN:
            if outcome in mine:
                reason = f"{outcome}: {mine[outcome].message}".rstrip(": ")
                return Seen("", _why_not(kernel, reason))
        if Outcome.PASSED not in mine:
            return Seen("", _why_not(kernel, _why_not_run(kernel, mine)))
        passed = Seen(str(Outcome.PASSED), mine[Outcome.PASSED].message, self.name)
        return _unless_it_died(kernel, passed)

    def _is_mine(self, test: str) -> bool:
        if self.kind == "command":
            return test.endswith(f"::{_COMMAND_TEST}")
        return test == self.name or test.startswith(f"{self.name}[")

    def _see_seed(self, kernel: KernelResult) -> Seen:
        wanted = self.suites()[0]
        mine = {test.outcome: test for test in kernel.tests if test.id == wanted}
        for outcome in (Outcome.CRASHED, Outcome.TIMEOUT):
            if outcome in mine:
                return Seen(str(outcome), mine[outcome].message, wanted)
        if Outcome.PASSED not in mine or not kernel.transcripts:
            return Seen("", _why_not(kernel, "its sequences were not played to the end"))
        text = "\n".join(f"{calls}: {seen}" for calls, seen in sorted(kernel.transcripts.items()))
        answers = hashlib.sha256(text.encode()).hexdigest()[:12]
        return _unless_it_died(kernel, Seen(f"answers {answers}", "", wanted))


def _see_boots(kernel: KernelResult) -> Seen:
    """Whether a guest reported. A kernel fails to boot that died in each of several boots."""
    if kernel.identity is not None and kernel.status is not Status.BOOT_FAILED:
        return Seen(str(State.WORKS))
    deaths = own_deaths(kernel.boots)
    if len(deaths) > 1:
        return Seen(str(State.FAILS), deaths[-1].title)
    return Seen("", kernel.status_reason or str(kernel.status))


def _unless_it_died(kernel: KernelResult, seen: Seen) -> Seen:
    """``seen``, which a test that passed saw, unless more is known of what it did, or less.

    A kernel that panics once the test asked for, the only one that ran, had passed was
    damaged by it; one that is silent from then on, or of whose records some were lost, may
    have been.
    """
    if kernel.status is Status.COMPLETED:
        lost = f"{kernel.records_lost} records of the guest were lost"
        return Seen("", lost) if kernel.records_lost else seen
    panic = next((event for event in kernel.console_events if event.kind == "panic"), None)
    if kernel.status is Status.CRASHED and panic is not None:
        return Seen(str(Outcome.CRASHED), f"after it had passed: {panic.title}", seen.test)
    return Seen("", f"it passed, then the guest {kernel.status}: {kernel.status_reason}")


def _why_not(kernel: KernelResult, otherwise: str) -> str:
    return kernel.status_reason or otherwise


def _why_not_run(kernel: KernelResult, mine: Mapping[Outcome, TestResult]) -> str:
    """Why no test of the check has an outcome that counts."""
    said = [test.message for test in mine.values() if test.message]
    return next(iter([*said, *kernel.collection_errors]), "it never ran")


def _why_never_recorded(kernel: KernelResult) -> str:
    """Why a kernel that died recorded no fact, and what looks for its death."""
    died = next((test.id for test in kernel.tests if test.outcome in _BAD[:2]), "")
    fatal = kernel.fatal_test or died
    where, hint = (f" in {fatal}", f"; --check {fatal} looks for that") if fatal else ("", "")
    return f"never recorded, the guest {kernel.status}{where}: {kernel.status_reason}{hint}"


def parse_check(text: str) -> BisectCheck:
    """The check that ``text`` names: a test id, ``seed:N`` or a fact. Raises InputError."""
    if _TEST.fullmatch(text):
        return BisectCheck("test", text)
    if seed := _SEED.fullmatch(text):
        return BisectCheck("seed", seed[1])
    if text == _BOOTS:
        return BisectCheck("boots", text)
    if text in NAMES:
        return BisectCheck("fact", text)
    near = difflib.get_close_matches(text, NAMES)
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise InputError(
        f"{text!r} is no check: give a test id (functional/test_hash.py::test_sha256), a fact that"
        f" a test records (zero_copy.skcipher.splice_file), {_BOOTS} or seed:N{hint}"
    )


def refuse_what_is_not_there(check: BisectCheck) -> None:
    """Raise InputError for a test, parameters included, or a seed that the suite lacks."""
    if check.kind not in ("test", "seed"):
        return
    (test,) = check.suites()
    try:
        list_tests(Selection((test,)))
    except InputError as error:
        raise InputError(
            f"--check {check.title}: {str(error).removeprefix(f'--suite {test}: ')}"
        ) from error


def command_words(command: str) -> list[str]:
    """The words of ``--command``. Raises InputError if a shell could not tell them apart."""
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--command {command}: {error}") from error
    if not argv:
        raise InputError("--command: no program named")
    return argv


def write_command_suite(command: str, directory: Path) -> Path:
    """A suite of one test that runs ``command`` in the guest; returns its path.

    Exit status as for ``git bisect run``: 0 passes, 125 skips, any other fails.
    """
    argv = command_words(command)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "test_bisect_command.py"
    path.write_text(
        f'''"""The command that a bisect runs in each guest."""

import subprocess

import pytest


def {_COMMAND_TEST}():
    """Exit status 0 passes, 125 skips, any other fails."""
    done = subprocess.run({argv!r}, capture_output=True, text=True, errors="replace")
    output = (done.stderr.strip() or done.stdout.strip()).splitlines()
    said = f"exit status {{done.returncode}}: {{output[-1] if output else 'no output'}}"
    if done.returncode == 125:
        pytest.skip(said)
    assert done.returncode == 0, said
'''
    )
    return path


def expected_value(check: BisectCheck) -> str:
    """The value that is right by the harness's own expectations; "" if none is known."""
    if check.kind in ("test", "command"):
        return str(Outcome.PASSED)
    if check.kind == "boots":
        return str(State.WORKS)
    return str(kind_of(check.name).promised or "") if check.kind == "fact" else ""


def is_as_expected(check: BisectCheck, value: str) -> bool:
    """Whether ``value`` is right by the harness's own expectations; False if none is known."""
    expected = expected_value(check)
    # What cannot be reached cannot be abused.
    harmless = expected == State.ABSENT and value == State.UNREACHABLE
    return bool(expected) and (value == expected or harmless)
