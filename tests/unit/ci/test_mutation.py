"""The campaign of ci/mutation.py: what counts as noticed, and which tests look first."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import mutation
import pytest
from mutant_orders import SUITES, order_for
from mutant_survivors import reason_of
from mutation import Attempt, Expected, Watch, report, verdict_of

from harness.guest.inside import records
from harness.guest.journal import EVENTS
from harness.locations import suite_dir
from harness.model import ConsoleEvent, Control, KernelResult, Outcome, Role, State, Status

TEST = "functional/test_hash.py::test_sha256"


def finish(outcome: Outcome, test: str = TEST) -> records.Finish:
    return records.Finish(id=test, outcome=outcome, seconds=1.0, message="why", details="")


def probed(state: State, name: str = "zero_copy.skcipher.vmsplice") -> records.Probed:
    return records.Probed(name, state, Control.FIRED, "", TEST)


@pytest.fixture
def expected() -> Expected:
    seen = Expected()
    for record in (
        finish(Outcome.PASSED),
        probed(State.ABSENT),
        records.Transcripts({"send": "32"}),
        records.TaintChange(0, 4096, TEST),
    ):
        seen.add(record)
    return seen


def test_what_was_seen_before_is_expected(expected: Expected) -> None:
    for record in (
        finish(Outcome.PASSED),
        finish(Outcome.PASSED, "functional/test_new.py::test_it"),
        probed(State.ABSENT),
        records.Transcripts({"send": "32", "recv": "16"}),
        records.TaintChange(0, 4096, TEST),
    ):
        assert expected.deviation(record) == ""


@pytest.mark.parametrize(
    "record",
    [
        finish(Outcome.FAILED),
        finish(Outcome.SKIPPED),
        probed(State.PRESENT),
        probed(State.UNKNOWN),
        probed(State.PRESENT, "zero_copy.aead.vmsplice"),  # of a path that was not told
        records.Transcripts({"send": "EIO"}),
        records.TaintChange(4096, 4608, TEST),
    ],
)
def test_anything_else_is_noticed(expected: Expected, record: records.Record) -> None:
    assert expected.deviation(record)


def test_what_differs_between_boots_is_not_held_against_a_mutant(expected: Expected) -> None:
    expected.add(finish(Outcome.SKIPPED))
    assert expected.deviation(finish(Outcome.SKIPPED)) == ""
    assert expected.deviation(finish(Outcome.FAILED))


def line_of(record: records.Record) -> str:
    data = {"type": "outcome", "seq": 3, "uptime": 1.0, **vars(record)}
    return json.dumps({**data, "by": "guest", "host_seconds": 2.0}) + "\n"


def test_the_guest_is_stopped_at_the_first_record_that_is_not_expected(
    expected: Expected, tmp_path: Path
) -> None:
    stop = threading.Event()
    watch = Watch(tmp_path, expected, stop)
    watch.report("spec", "booting")  # there is no file yet
    events = tmp_path / EVENTS
    good, bad = (line_of(finish(outcome)) for outcome in (Outcome.PASSED, Outcome.FAILED))
    events.write_text('{"by": "host", "type": "boot"}\n' + good + bad[:-10])
    watch.report("spec", "running")
    assert not stop.is_set()  # the second line is not whole yet
    events.write_text('{"by": "host", "type": "boot"}\n' + good + bad)
    watch.report("spec", "running")
    assert stop.is_set()
    assert TEST in watch.found


def test_each_file_of_the_suites_is_run_once_whatever_goes_first() -> None:
    files = {
        str(path.relative_to(suite_dir()))
        for suite in SUITES
        for path in (suite_dir() / suite).glob("test_*.py")
    }
    for subject in ("af_alg.c:alg_bind", "algif_hash.c:hash_accept", "algif_rng.c:rng_bind", ""):
        for kind in ("line", "zero_copy"):
            order = order_for(kind, subject)
            assert sorted(order) == sorted(files)


@pytest.mark.parametrize(
    ("kind", "function", "first"),
    [
        ("zero_copy", "af_alg.c:af_alg_sendmsg", "zero_copy/test_input.py"),
        ("line", "af_alg.c:af_alg_sendmsg", "functional/test_skcipher_stream.py"),
        ("line", "af_alg.c:alg_setkey", "functional/test_setkey.py"),
        ("condition", "algif_hash.c:hash_accept", "functional/test_accept.py"),
        ("line", "af_alg.c:af_alg_check_restriction", "policy/test_level.py"),
    ],
)
def test_the_tests_of_the_altered_function_go_first(kind: str, function: str, first: str) -> None:
    assert order_for(kind, function)[0] == first


def test_every_file_that_goes_first_exists() -> None:
    import mutant_orders  # noqa: PLC0415

    named = {file for _, files in mutant_orders._FIRST for file in files}
    assert not [file for file in named if not (suite_dir() / file).is_file()]


def test_the_score_leaves_out_what_is_equivalent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutation, "reason_of", lambda told: "same" if "dead" in told else "")
    attempts = [Attempt(f"alive {number}", "line", "caught") for number in range(19)]
    attempts += [Attempt("dead", "line", "survived"), Attempt("open", "fault", "survived")]
    assert report(attempts) == 0
    said = capsys.readouterr().out
    assert "caught 19 of 20 that are not equivalent: 95.0%" in said
    assert "no reason known" in said
    assert report([*attempts, Attempt("other", "line", "unknown")]) == 1


@pytest.mark.parametrize(
    ("mutant", "told"),
    [
        ("[line] algif_rng.c:258: return -ENOMEM;  =>  return -EIO;", "allocation"),
        ("[line] algif_aead.c:402: memset(ctx, 0, len);  =>  (nothing)", "zeroes memory"),
        ("[line] algif_hash.c:63: memset(ctx->result, 0, ds);  =>  (nothing)", "written before"),
        ("[line] af_alg.c:1105: ctx->used += plen;  =>  (nothing)", ""),
        ("[line] af_alg.c:1105: if (err)  =>  return -ENOMEM;", ""),
    ],
)
def test_the_reason_of_a_survivor_is_known_by_its_text(mutant: str, told: str) -> None:
    reason = reason_of(mutant)
    assert told in reason
    assert bool(reason) == bool(told)


def ended(status: Status, *lines: str) -> KernelResult:
    events = (ConsoleEvent("panic", lines[0], 1.0, lines=lines),) if lines else ()
    return KernelResult("spec", "7.3", Role.CANDIDATE, status, console_events=events)


_PANIC = ("Kernel panic - not syncing: IO-APIC + timer doesn't work!", "check_timer+0x1")


@pytest.mark.parametrize(
    ("result", "found", "verdict"),
    [
        (ended(Status.COMPLETED), "", "survived"),
        (ended(Status.INTERRUPTED), "test failed", "caught"),  # by us, at what was found
        (ended(Status.INTERRUPTED), "", "unknown"),
        (ended(Status.CRASHED), "", "caught"),
        (ended(Status.HUNG), "", "caught"),
        (ended(Status.COMPLETED, "WARNING", "af_alg_sendmsg+0x1"), "", "caught"),
        (ended(Status.BOOT_FAILED), "", "unknown"),
        (ended(Status.BOOT_FAILED, *_PANIC), "", "unknown"),  # the host was too busy
        (ended(Status.BOOT_FAILED, "Oops", "alg_create+0x1/0x2 [af_alg]"), "", "caught"),
    ],
)
def test_verdict(result: KernelResult, found: str, verdict: str) -> None:
    assert verdict_of(result, found, set())[0] == verdict


def test_a_report_of_the_unaltered_kernel_is_no_finding() -> None:
    known = {("panic", "WARNING")}
    assert verdict_of(ended(Status.COMPLETED, "WARNING"), "", known)[0] == "survived"
