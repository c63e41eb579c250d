"""Verdicts: nothing that was not seen to be good is ok."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge.compare import compare
from harness.judge.expectations import Expectations, load_expectations
from harness.judge.fingerprint import fingerprint
from harness.judge.splats import charge, taint_letters
from harness.judge.verdict import judge, missing_tests
from harness.model import (
    Boot,
    Cause,
    ConsoleEvent,
    ConsoleWatch,
    Control,
    Fact,
    Facts,
    KernelResult,
    Outcome,
    Purpose,
    Reason,
    RunResult,
    State,
    Status,
    TestResult,
    Verdict,
    Waited,
    Witness,
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
    assert sum(reason.startswith("warning before the first test") for reason in found.reasons) == 1


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
    name = f"console.lockdep.{fingerprint(event)}"
    assert only_reason(kernel) == f"lockdep in {samples.SHA256_TEST}: {event.title} ({name})"
    tolerated = verdict(kernel, "console.lockdep=any")
    assert tolerated.ok
    assert any(note.startswith("tolerated: lockdep") for note in tolerated.notes)


def tainted(before: int, after: int) -> KernelResult:
    return replace(samples.new(), taint_before=before, taint=after)


def test_taint() -> None:
    assert taint_letters(4096 | 512 | 1 | 1 << 30) == ("P", "W", "O", "bit30")
    gained = only_reason(tainted(0, 512))
    assert gained == "the suite tainted the kernel: W (0 -> 512)"
    assert verdict(tainted(0, 512), "taint.W=any").ok
    early = only_reason(tainted(512, 512))
    assert early == "the kernel was tainted before the first test: W (512)"
    assert "taint is unknown" in only_reason(replace(samples.new(), taint=None))


def test_taint_that_the_baseline_has() -> None:
    candidate, rules = tainted(512, 512 | 64), Expectations()
    for baseline in (tainted(512, 512), tainted(0, 512)):
        found = judge(candidate, rules, baseline)
        assert found.reasons == ("the suite tainted the kernel: U (512 -> 576)",)
        assert any("W (512); the baseline has the same" in note for note in found.notes)
    # Of a baseline that never ran nothing is known.
    never_ran = replace(tainted(512, 512), status=Status.BOOT_FAILED)
    assert len(judge(candidate, rules, never_ran).reasons) == 2


BOOT_WARNING = ConsoleEvent("warning", "WARNING: CPU: 0 PID: 1 at arch/x86/x.c:1", 1.5)


def with_events(kernel: KernelResult, *events: ConsoleEvent) -> KernelResult:
    return replace(kernel, console_events=events)


def test_reports_before_the_first_test_count() -> None:
    reason = only_reason(with_events(samples.new(), BOOT_WARNING))
    assert reason.startswith("warning before the first test: WARNING: CPU: 0")
    late = only_reason(with_events(samples.new(), replace(BOOT_WARNING, seconds=11.0)))
    assert late.startswith("warning after the last test")


def test_reports_that_the_baseline_has() -> None:
    rules = Expectations()
    candidate = with_events(samples.new(), BOOT_WARNING)
    same = replace(BOOT_WARNING, title=BOOT_WARNING.title.replace("CPU: 0", "CPU: 3"))
    found = judge(candidate, rules, with_events(samples.old(), same))
    assert found.ok
    assert any("the baseline has the same" in note for note in found.notes)
    other = replace(BOOT_WARNING, kind="kasan")
    assert not judge(candidate, rules, with_events(samples.old(), other)).ok
    in_test = replace(BOOT_WARNING, test=samples.SHA256_TEST)
    assert judge(with_events(candidate, in_test), rules, with_events(samples.old(), in_test)).ok
    assert not judge(with_events(candidate, in_test), rules, samples.old()).ok


def test_the_baseline_may_end_last() -> None:
    baseline = with_events(samples.old(), BOOT_WARNING)
    early = samples.run(with_events(samples.new(), BOOT_WARNING))
    assert not early.kernels[0].verdict.ok
    late = samples.run(*early.kernels, baseline)
    assert late.kernels[0].verdict.ok


@pytest.mark.parametrize("value", ["any", "present"])
def test_one_report_can_be_allowed(value: str, tmp_path: Path) -> None:
    mark = fingerprint(BOOT_WARNING)
    kernel = with_events(samples.new(), BOOT_WARNING, replace(BOOT_WARNING, kind="ubsan"))
    file = tmp_path / "known.toml"
    file.write_text(
        f'[[expect]]\nname = "console.*.{mark}"\nvalue = "{value}"\nreason = "old hardware"\n'
    )
    found = judge(kernel, load_expectations(file, []))
    assert [reason.partition(" ")[0] for reason in found.reasons] == ["ubsan"]
    assert any("old hardware" in note for note in found.notes)
    # One that matches nothing is told.
    assert "nothing recorded it" in only_reason(samples.new(), f"console.warning.{mark}={value}")
    assert verdict(samples.new(), "console.warning=any").ok


def watched(written: int, seen: int, *, kernel_log: bool = True) -> KernelResult:
    return replace(samples.new(), console_watch=ConsoleWatch(written, seen, kernel_log))


@pytest.mark.parametrize(("written", "seen"), [(20, 19), (20, 0), (0, 0)])
def test_a_console_that_was_not_seen_proves_nothing(written: int, seen: int) -> None:
    found = verdict(watched(written, seen))
    assert (found.ok, found.unknown) == (False, True)
    assert "leave out quiet and loglevel=" in found.reasons[0]
    assert verdict(watched(20, 20)).ok


def test_what_speaks_against_a_kernel_is_no_want_of_knowledge() -> None:
    found = verdict(with_events(watched(20, 0), BOOT_WARNING))
    assert (found.ok, found.unknown) == (False, False)


def test_killed_from_outside() -> None:
    kernel = replace(
        samples.new(),
        status=Status.INTERRUPTED,
        status_exit=3,
        records_lost=1,
        tests=samples.results()[:3],
    )
    assert verdict(kernel).unknown
    failed = samples.with_test(kernel, samples.failed(samples.SHA256_TEST, "no"))
    assert not verdict(failed).unknown


INT3 = ConsoleEvent("oops", "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI", 0.4)
PANIC = ConsoleEvent("panic", "Kernel panic - not syncing: Fatal exception", 0.5)
LATE_TIMER = ConsoleEvent(
    "panic",
    "Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug and send a"
    " report.  Then try booting with the 'noapic' option.",
    46.0,
)


def boots(*events: ConsoleEvent, accel: str = "tcg") -> KernelResult:
    first = Boot(Status.BOOT_FAILED, "it died", accel=accel, console_events=events)
    last = Boot(Status.COMPLETED, accel=accel, identity=samples.new().identity)
    return replace(samples.new(), boots=(first, last))


def test_a_panic_in_an_earlier_boot_is_a_finding() -> None:
    assert only_reason(boots(PANIC)).startswith("panic in boot 1 of 2: Kernel panic")
    assert "warning in boot 1 of 2" in only_reason(boots(BOOT_WARNING))


def test_the_known_fault_of_the_emulator_is_none() -> None:
    found = verdict(boots(INT3, PANIC))
    assert found.ok
    assert any("boot 1 of 2 ended by a known fault of QEMU's TCG" in note for note in found.notes)
    assert len(verdict(boots(INT3, PANIC, accel="kvm")).reasons) == 2
    assert verdict(boots(LATE_TIMER)).ok
    assert not verdict(boots(LATE_TIMER, accel="kvm")).ok
    # What was reported before it is the kernel's.
    assert "warning in boot 1 of 2" in only_reason(boots(BOOT_WARNING, INT3))
    # Of a guest that had reported it is no fault at boot.
    reported = replace(boots(INT3).boots[0], identity=samples.new().identity)
    assert not verdict(replace(boots(INT3), boots=(reported, boots().boots[1]))).ok


def test_the_known_fault_may_end_the_last_boot() -> None:
    """What a guest said that was heard is not said of one that was not."""
    heard, dead = reversed(boots(INT3, PANIC).boots)
    kernel = replace(samples.new(), boots=(heard, dead), console_events=(INT3, PANIC))
    found = verdict(kernel)
    assert found.ok, found.reasons
    assert any("ended by a known fault of QEMU" in note for note in found.notes)
    other = replace(kernel, boots=(heard, replace(dead, console_events=(PANIC,))))
    assert not verdict(replace(other, console_events=(PANIC,))).ok
    # Of what no boot has, the guest that was heard is the one that said it.
    more = replace(kernel, console_events=(INT3, PANIC, BOOT_WARNING))
    assert "warning before the first test" in only_reason(more)


def test_the_known_fault_amid_the_tests() -> None:
    """The rest ran in the next boot; nothing is charged, to no test either."""
    test = samples.PLAN[1]
    proved = replace(INT3, test=test, lines=("Code: 55 53 66 <90> e8",))
    heard = boots().boots[1]
    ended = replace(
        heard,
        status=Status.INTERRUPTED,
        killed=True,
        console_events=(proved, replace(PANIC, test=test)),
    )
    kernel = replace(
        samples.new(),
        boots=(ended, replace(heard, purpose=Purpose.REST)),
        console_events=ended.console_events,
    )
    found = verdict(kernel)
    assert found.ok, found.reasons
    assert any("boot 1 of 2 ended by a known fault of QEMU" in note for note in found.notes)
    assert charge(kernel, Expectations(), None).tests == kernel.tests
    assert not compare(samples.new(), kernel).changes
    # Twice in one test is no accident.
    twice = (ended, replace(ended, number=2, purpose=Purpose.REST))
    again = replace(
        kernel,
        status=Status.INTERRUPTED,
        status_exit=3,
        boots=twice,
        console_events=2 * ended.console_events,
    )
    assert samples.run(again).exit_code == 1
    assert any(f"oops in {test}" in reason for reason in verdict(again).reasons)
    elsewhere = replace(twice[1], console_events=(replace(proved, test=samples.PLAN[0]),))
    assert samples.run(replace(again, boots=(ended, elsewhere))).exit_code == 3
    own = replace(ended, console_events=(replace(PANIC, test=test),))
    theirs = replace(kernel, boots=(own, kernel.boots[1]), console_events=own.console_events)
    assert not verdict(theirs).ok


def test_where_only_the_guest_beside_it_was_heard() -> None:
    """Twice the emulator: nothing is known. Twice the kernel: it is charged."""
    heard, emulated = reversed(boots(INT3, PANIC).boots)
    beside = replace(heard, purpose=Purpose.BESIDE)
    died = replace(emulated, console_events=(PANIC,))
    for dead, code in ((emulated, 3), (died, 1)):
        kernel = replace(
            samples.new(),
            status=Status.INTERRUPTED,
            status_reason="no guest told what all there was to run",
            status_exit=3,
            plan=(),
            tests=(),
            boots=(dead, beside, dead),
            console_events=2 * dead.console_events,
        )
        assert samples.run(kernel).exit_code == code


def test_an_earlier_boot_that_failed_silently_is_noted() -> None:
    found = verdict(boots())
    assert found.ok
    assert "boot 1 of 2 failed: it died" in found.notes


def test_a_kernel_that_dies_in_every_boot_where_another_boots() -> None:
    dead = Boot(Status.BOOT_FAILED, "it died", "tcg", console_events=(PANIC,))
    kernel = replace(samples.boot_failed(), boots=(dead, dead))
    run = samples.run(samples.old(), kernel)
    assert run.kernels[1].verdict.reasons[0].startswith("does not boot: died in each of 2 boots")
    assert run.exit_code == 1
    # Alone it may be the machine, with int3 the emulator; one boot is no evidence.
    assert samples.run(kernel).exit_code == 3
    emulated = replace(dead, console_events=(INT3, PANIC))
    killed = Boot(Status.INTERRUPTED, "it was killed", "tcg", killed=True)
    silent = replace(dead, console_events=())
    for other in ((dead,), (dead, emulated), (killed, dead), (dead, silent, dead)):
        assert samples.run(samples.old(), replace(kernel, boots=other)).exit_code == 3
    # Between such a boot and the next it has died twice by itself all the same.
    for one in (killed, emulated):
        run = samples.run(samples.old(), replace(kernel, boots=(dead, one, dead)))
        assert run.exit_code == 1
        assert "died in each of 2 boots" in run.kernels[1].verdict.reasons[0]


def test_a_crash_is_charged_to_the_test_that_was_running() -> None:
    timed_out = TestResult(samples.PLAN[0], Outcome.TIMEOUT, message="slow")
    panic = replace(PANIC, test=samples.PLAN[1])
    kernel = replace(
        samples.with_test(samples.new(), timed_out),
        status=Status.CRASHED,
        status_reason=PANIC.title,
        console_events=(panic,),
    )
    for one in (kernel, replace(kernel, fatal_test=samples.PLAN[1])):
        found = verdict(one)
        assert found.reasons[0] == f"crashed in {samples.PLAN[1]}: {PANIC.title}"
        assert f"{samples.PLAN[0]} timed out: slow" in found.reasons
    # What the guest said last counts, whatever the console was charged with.
    elsewhere = replace(kernel, fatal_test=samples.PLAN[2])
    assert verdict(elsewhere).reasons[0].startswith(f"crashed in {samples.PLAN[2]}: ")
    # Boots are recorded, and no test was running.
    outside = replace(kernel, boots=(Boot(Status.CRASHED),), console_events=(BOOT_WARNING, PANIC))
    assert verdict(outside).reasons[0] == f"crashed: {PANIC.title}"


def test_a_hang_between_tests_is_charged_to_none() -> None:
    timed_out = TestResult(samples.PLAN[0], Outcome.TIMEOUT, message="slow")
    kernel = replace(
        samples.with_test(samples.new(), timed_out),
        status=Status.HUNG,
        status_reason="nothing heard for 40 s while between tests",
    )
    assert verdict(kernel).reasons[0] == "hung: nothing heard for 40 s while between tests"


def test_ignored_arguments() -> None:
    found = verdict(replace(samples.new(), ignored_arguments=("fips=1",)))
    assert found.ok
    assert "the kernel called fips=1 unknown: it had no effect" in found.notes


def test_witness() -> None:
    def kernel(witness: Witness) -> KernelResult:
        fact = replace(samples.path_fact(FILE, State.ABSENT), witness=witness)
        return samples.with_path(samples.new(), FILE, fact)

    assert verdict(kernel(Witness.AGREED)).notes == verdict(samples.new()).notes
    silent = verdict(kernel(Witness.SILENT))
    assert silent.ok
    assert any("witness" in note and FILE in note for note in silent.notes)
    assert "the witness inside the kernel saw otherwise" in only_reason(kernel(Witness.DISAGREED))


def test_what_the_guest_lacks_says_nothing_of_the_kernel() -> None:
    host = Reason(Cause.HOST)
    test = samples.path_test(FILE)
    lacking = replace(samples.skipped(samples.SHA256_TEST, "no gcc"), reason=host)
    noted = verdict(samples.with_test(samples.new(), lacking))
    assert noted.ok
    assert any("could not run, which says nothing of the kernel" in note for note in noted.notes)
    # What the verdict rests on is not known then.
    probe = samples.with_test(samples.new(), replace(samples.skipped(test, "x"), reason=host))
    for fact in (samples.path_fact(FILE, State.UNKNOWN, Control.NOT_RUN), None):
        found = verdict(samples.with_path(probe, FILE, fact))
        assert (found.ok, found.unknown) == (False, True)
    unknown = samples.path_fact(FILE, State.UNKNOWN, Control.NOT_RUN)
    assert not verdict(samples.with_path(samples.new(), FILE, unknown)).unknown


def test_names_that_two_tests_share() -> None:
    kernel = replace(samples.new(), plan=(*samples.PLAN, samples.SHA256_TEST))
    found = verdict(kernel)
    assert found.reasons == (f"planned more than once: {samples.SHA256_TEST}",)
    assert found.unknown


def test_no_guest_reported() -> None:
    assert "no guest said who it is" in only_reason(replace(samples.new(), identity=None))


def test_a_difference_can_be_allowed() -> None:
    text = "skcipher cbc(aes) key16: wait 16"
    baseline = replace(samples.old(), transcripts={text: "waits, EINTR"})
    candidate = replace(samples.new(), transcripts={text: "EINTR"})
    name = "differential/skcipher.wait.waits-returns"
    assert samples.run(baseline, candidate).exit_code == 1

    def run(*overrides: str) -> RunResult:
        rules = load_expectations(None, overrides)
        return samples.run(baseline, candidate, expectations=rules)

    for pattern in (name, "differential/skcipher.wait.*"):
        allowed = run(f"{pattern}=any")
        assert allowed.exit_code == 0
        assert any(
            note.startswith(f"tolerated: {name}") for note in allowed.kernels[1].verdict.notes
        )
    assert run("differential/skcipher.recv.*=any").exit_code == 1
    unmatched = run(f"{name}=any", "differential/aead.*=any")
    assert "differential/aead.*: expected any" in unmatched.kernels[1].verdict.reasons[0]
    # Alone there is nothing to differ from.
    alone = samples.run(candidate, expectations=load_expectations(None, [f"{name}=any"]))
    assert alone.exit_code == 0


def test_skipped_probe_that_told_nothing_is_mentioned() -> None:
    """Of what is judged more than that is said (test_settle.py)."""
    test = "zero_copy/test_hash_input.py::test_splice[splice_tmpfs]"
    kernel = samples.new()
    kernel = replace(
        kernel,
        plan=(*kernel.plan, test),
        tests=(*kernel.tests, samples.skipped(test, "no tmpfs")),
    )
    found = judge(kernel, Expectations())
    assert found.ok
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


STALL = ConsoleEvent(
    "rcu_stall",
    "rcu: INFO: rcu_preempt self-detected stall on CPU",
    15.507,
    lines=("[   33.219601] rcu: INFO: rcu_preempt self-detected stall on CPU",),
)


@pytest.mark.parametrize(
    ("event", "accel", "ok"),
    [
        (STALL, "tcg", True),  # no guest is older than its QEMU
        (STALL, "kvm", False),
        (replace(STALL, seconds=40.0), "tcg", False),
        (replace(STALL, kind="kasan"), "tcg", False),
        (replace(STALL, lines=()), "tcg", False),
    ],
)
def test_a_stall_by_a_clock_that_jumped(event: ConsoleEvent, accel: str, ok: bool) -> None:
    one = with_events(samples.new(), event)
    found = judge(replace(one, boots=(Boot(Status.COMPLETED, accel=accel),)), Expectations())
    assert found.ok is ok, found.reasons
    assert any("clock" in note for note in found.notes) is ok


def test_what_was_not_waited_for_is_said() -> None:
    """It is no pass, and not told like one that had its time."""
    kernel = samples.new()
    plan = tuple(f"functional/test_x.py::test_{number}" for number in range(3))
    hung, like = "hung: asleep in x", "not waited for: asleep in x"
    tests = (
        TestResult(plan[0], Outcome.TIMEOUT, message=hung, waited=Waited.HUNG),
        *(
            TestResult(name, Outcome.TIMEOUT, message=like, waited=Waited.NOT_WAITED_FOR)
            for name in plan[1:]
        ),
    )
    verdict = judge(replace(kernel, plan=plan, tests=tests), load_expectations(None, ()))
    assert f"{plan[0]} timed out: {hung}" in verdict.reasons
    assert f"{plan[2]} timed out: {like}" in verdict.reasons
    (note,) = (note for note in verdict.notes if "waited" in note)
    assert note.startswith("2 tests were not waited for: begun, and ended as soon as")
    assert note.endswith(f"{plan[1]}, {plan[2]}")
