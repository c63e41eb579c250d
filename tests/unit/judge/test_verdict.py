"""Verdicts: nothing that was not seen to be good is ok."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge.expectations import Expectations, load_expectations
from harness.judge.verdict import gained_taint, judge, missing_tests
from harness.model import (
    ConsoleEvent,
    Control,
    Fact,
    Facts,
    KernelResult,
    Outcome,
    State,
    Status,
    TestResult,
    Verdict,
)
from tests.unit import samples

FILE = "skcipher.splice_file"


def verdict(kernel: KernelResult, *overrides: str) -> Verdict:
    return judge(kernel, load_expectations(None, overrides))


def only_reason(kernel: KernelResult, *overrides: str) -> str:
    found = verdict(kernel, *overrides)
    assert not found.ok
    assert len(found.reasons) == 1, found.reasons
    return found.reasons[0]


def test_lost_records() -> None:
    assert "2 records" in only_reason(replace(samples.new(), records_lost=2))


def test_good_kernel() -> None:
    found = verdict(samples.new())
    assert found.ok
    assert found.reasons == ()
    assert {check.id for check in found.checks} >= {
        "status",
        "plan",
        "page_cache_write",
        f"zero_copy.{FILE}",
    }


def test_present_path() -> None:
    kernel = samples.with_path(samples.new(), FILE, samples.path_fact(FILE, State.PRESENT))
    assert only_reason(kernel) == f"zero_copy.{FILE} is present, expected absent"
    assert verdict(kernel, f"zero_copy.{FILE}=present").ok


def test_unknown_meets_nothing() -> None:
    fact = samples.path_fact(FILE, State.UNKNOWN, Control.NOT_RUN)
    kernel = samples.with_path(samples.new(), FILE, fact)
    assert f"zero_copy.{FILE} is unknown, expected absent" in only_reason(kernel)
    assert not verdict(kernel, f"zero_copy.{FILE}=present").ok


@pytest.mark.parametrize("control", [Control.FAILED, Control.NOT_RUN])
def test_absent_needs_a_control(control: Control) -> None:
    kernel = samples.with_path(samples.new(), FILE, samples.path_fact(FILE, State.ABSENT, control))
    assert "is unknown, expected absent" in only_reason(kernel)


def test_kernel_without_af_alg_is_unreachable_and_says_so() -> None:
    found = verdict(samples.no_af_alg())
    assert found.ok
    text = "\n".join(found.notes)
    assert "every test was skipped and every probe says unreachable" in text
    assert samples.NO_SOCKET in text
    assert "not proven absent" in text


def test_every_test_skipped() -> None:
    found = verdict(samples.all_skipped())
    assert not found.ok
    assert "every test was skipped (19), so nothing was tested" in found.reasons[0]


def test_all_skipped_with_one_path_unknown_is_not_unreachable() -> None:
    fact = samples.path_fact(FILE, State.UNKNOWN, Control.FAILED)
    found = verdict(samples.with_path(samples.no_af_alg(), FILE, fact))
    assert any("every test was skipped" in reason for reason in found.reasons)


def test_nothing_planned() -> None:
    kernel = replace(samples.new(), plan=(), tests=(), facts=Facts())
    assert "nothing was tested" in only_reason(kernel)


def test_planned_but_never_reported() -> None:
    kernel = samples.new()
    kernel = replace(kernel, tests=kernel.tests[:-2])
    assert missing_tests(kernel) == samples.PLAN[-2:]
    assert only_reason(kernel).startswith("2 planned tests missing: zero_copy/")


def test_collection_error() -> None:
    kernel = replace(samples.new(), collection_errors=("functional/test_x.py: SyntaxError\n...",))
    assert only_reason(kernel) == "tests could not be collected: functional/test_x.py: SyntaxError"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ERROR, Outcome.TIMEOUT])
def test_failed_test(outcome: Outcome) -> None:
    result = TestResult(samples.SHA256_TEST, outcome, message="expected a, saw b\nmore")
    reason = only_reason(samples.with_test(samples.new(), result))
    assert samples.SHA256_TEST in reason
    assert "expected a, saw b" in reason


def test_many_failures_are_summed_up() -> None:
    tests = tuple(samples.failed(test, "no") for test in samples.PLAN)
    found = verdict(replace(samples.new(), tests=tests))
    assert "11 more tests failed" in found.reasons[-1]


def test_skip_without_a_reason() -> None:
    kernel = samples.with_test(samples.new(), samples.skipped(samples.SHA256_TEST, " "))
    assert only_reason(kernel) == f"1 skipped without a reason: {samples.SHA256_TEST}"


def test_known_issue(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(
        f'[[expect]]\nname = "{samples.SHA256_TEST}"\nvalue = "failed"\nreason = "bug 7"\n'
        '[[expect]]\nname = "zero_copy.rng.x"\nvalue = "absent"\nreason = "elsewhere"\n'
    )
    rules = load_expectations(file, [])
    known = samples.with_test(samples.new(), samples.failed(samples.SHA256_TEST, "bad digest"))
    found = judge(known, rules)
    assert found.ok
    assert f"known: {samples.SHA256_TEST} failed (bug 7)" in found.notes
    # It passes after all: told, and no failure. An entry that matched nothing is told, too.
    better = judge(samples.new(), rules)
    assert better.ok
    assert f"{samples.SHA256_TEST} passed, expected failed (bug 7)" in better.notes
    assert any("matched nothing" in note and "zero_copy.rng.x" in note for note in better.notes)
    # It fails in another way than the known one.
    other = TestResult(samples.SHA256_TEST, Outcome.TIMEOUT, message="slow")
    assert not judge(samples.with_test(samples.new(), other), rules).ok


def test_misspelt_expectation_is_not_met() -> None:
    reason = only_reason(samples.new(), "zero_copy.skcipher.splise_file=absent")
    assert "nothing recorded it" in reason


def test_crash_names_the_test_and_the_first_report() -> None:
    found = verdict(samples.crashed())
    assert not found.ok
    fatal = samples.path_test(samples.PATHS[0])
    assert found.reasons[0] == f"crashed in {fatal}: {samples.KASAN}"
    assert any(reason.startswith("12 planned tests missing") for reason in found.reasons)
    assert not any("panic" in reason for reason in found.reasons)
    # The warning was there before the suite began.
    assert any("console before the first test" in note for note in found.notes)


def test_crash_cannot_be_waved_through() -> None:
    assert not verdict(samples.crashed(), "console.kasan=any", "console.panic=any").ok


def test_hang() -> None:
    assert verdict(samples.hung()).reasons[0].startswith("hung: nothing heard for 40 s")


@pytest.mark.parametrize("kernel", [samples.unavailable(), samples.boot_failed()])
def test_nothing_known(kernel: KernelResult) -> None:
    found = verdict(kernel)
    assert not found.ok
    assert "nothing is known of this kernel" in found.reasons[0]
    assert kernel.status_reason in found.reasons[0]


def test_interrupted() -> None:
    kernel = replace(samples.new(), status=Status.INTERRUPTED, tests=samples.results()[:3])
    assert "interrupted, 3 of 19 tests had finished" in verdict(kernel).reasons[0]


def test_splat_in_a_test() -> None:
    event = ConsoleEvent("lockdep", "WARNING: bad unlock balance", 6.0, samples.SHA256_TEST)
    kernel = replace(samples.new(), console_events=(event,))
    assert only_reason(kernel) == f"lockdep in {samples.SHA256_TEST}: {event.title}"
    tolerated = verdict(kernel, "console.lockdep=any")
    assert tolerated.ok
    assert any(note.startswith("tolerated: lockdep") for note in tolerated.notes)


def test_taint() -> None:
    assert gained_taint(4096, 4096 | 512 | 1) == ("P", "W")
    tainted = replace(samples.new(), taint_before=512, taint=512)
    assert verdict(tainted).ok
    gained = replace(samples.new(), taint_before=4096, taint=4096 | 512)
    assert only_reason(gained) == "the suite tainted the kernel: W (4096 -> 4608)"
    assert verdict(gained, "taint.W=any").ok
    assert "taint is unknown" in only_reason(replace(samples.new(), taint=None))


def test_skipped_probe_that_told_nothing_is_mentioned() -> None:
    test = samples.path_test("skcipher.splice_tmpfs")
    kernel = samples.with_path(samples.new(), "skcipher.splice_tmpfs", None)
    kernel = samples.with_test(kernel, samples.skipped(test, "no tmpfs"))
    found = judge(kernel, Expectations())
    assert f"skipped without telling a state: {test}" in found.notes


def test_programs_are_judged_only_if_asked_for() -> None:
    name = "consumers.kcapi_dgst.sha256.nobody"

    def kernel(state: State, control: Control) -> KernelResult:
        fact = {name: Fact(state, control, "fails at af_alg_restrict=1, works at 0")}
        return replace(samples.new(), facts=replace(samples.new().facts, other=fact))

    failing = kernel(State.FAILS, Control.FIRED)
    assert verdict(failing).ok
    assert only_reason(failing, f"{name}=works") == f"{name} is fails, expected works"
    assert verdict(failing, f"{name}=fails").ok
    assert verdict(kernel(State.WORKS, Control.FIRED), f"{name}=works").ok
    # It works, but never asked AF_ALG for anything.
    without = kernel(State.WORKS, Control.FAILED)
    assert "is unknown, expected works" in only_reason(without, f"{name}=works")
