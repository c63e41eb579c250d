"""A guest that lies, breaks or is not heard on its console: nothing raises, all is counted."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.guest import journal as journal_module
from harness.guest.heard import Heard
from harness.guest.inside import records
from harness.guest.journal import Journal, read_journal
from harness.guest.messages import RecordLine
from harness.guest.parsing import Refused
from harness.model import Control, Outcome, State, Status, Witness
from tests.unit.guest.boots import (
    BOOT,
    NONCE,
    PLAN,
    POWERED_OFF,
    Said,
    alive,
    console,
    end,
    hello,
    marker,
    outcome,
    passing,
    plan,
    record,
    result,
    start,
)


def _fact(seq: int, **fields: object) -> RecordLine:
    known: dict[str, object] = {
        "name": "zero_copy.skcipher.splice_file",
        "state": "absent",
        "control": "fired",
        "evidence": "seen",
        "test": PLAN[0],
    }
    return record(9.25, "fact", seq, **{**known, **fields})


def test_a_fact_has_its_reason_and_its_witness(tmp_path: Path) -> None:
    reason = {"cause": "not_bound", "type": "skcipher", "name": "cbc(aes)", "errno": "ENOENT"}
    said = [hello(), plan(), _fact(2, state="unreachable", reason=reason, witness="silent")]
    fact = result(tmp_path, said).facts.zero_copy["skcipher.splice_file"]
    assert (fact.state, fact.control) == (State.UNREACHABLE, Control.FIRED)
    assert fact.witness is Witness.SILENT
    assert fact.reason is not None
    assert (fact.reason.name, fact.reason.errno, fact.reason.restrict) == (
        "cbc(aes)",
        "ENOENT",
        None,
    )


def test_a_skip_has_its_reason(tmp_path: Path) -> None:
    skipped = record(
        9.3,
        "outcome",
        2,
        id=PLAN[0],
        outcome="skipped",
        seconds=0.1,
        message="m",
        details="",
        reason={"cause": "no_module", "name": "algif_rng"},
    )
    test = result(tmp_path, [hello(), plan(), skipped]).tests[0]
    assert test.reason is not None
    assert test.reason.name == "algif_rng"


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "outc',
        "not JSON at all",
        "[1, 2]",
        "{}",
        '{"raw": "{}"}',
        '{"type": "start", "seq": "x", "id": "a"}',
        '{"type": "start", "seq": null, "id": "a"}',
        '{"type": "start", "seq": true, "id": "a"}',
        '{"type": "start", "seq": -1, "id": "a"}',
        '{"type": "start", "seq": 1e400, "id": "a"}',
        '{"type": "start", "seq": ' + "9" * 30 + ', "id": "a"}',
        '{"type": "start", "seq": ' + "9" * 5000 + ', "id": "a"}',
        '{"type": "end", "seq": 7, "status": 0, "seconds": NaN, "taint": 0}',
        '{"type": "end", "seq": 7, "status": 0, "seconds": 1e999, "taint": 0}',
        '{"type": "end", "seq": 7, "status": "0", "seconds": 1, "taint": 0}',
        '{"type": "plan", "seq": 7, "tests": "abc"}',
        '{"type": "transcripts", "seq": 7, "transcripts": ["a"]}',
        '{"type": "transcripts", "seq": 7, "transcripts": {"a": 1}}',
        '{"type": "boot", "seq": 7}',
        '{"type": "closed", "seq": 7, "by": "host", "ending": "guest", "wall_seconds": 1}',
        '{"type": ["hello"], "seq": 7}',
        '{"type": "start", "seq": 7, "id": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type": "start", "seq": 7, "id": ' + "[" * 300 + "]" * 300 + "}",
        '{"type": ' + "[" * 300 + "]" * 300 + ', "seq": 7}',
    ],
)
def test_what_is_no_record_is_counted(tmp_path: Path, line: str) -> None:
    said = [hello(), *passing()[:-1], RecordLine(11.0, line), end(6)]
    seen = result(tmp_path, said)
    assert seen.records_lost > 0
    assert seen.notes != ()
    assert [test.outcome for test in seen.tests] == [Outcome.PASSED] * 2


def _second(line: RecordLine) -> RecordLine:
    """A guest's first record with the number of its second."""
    return replace(line, text=line.text.replace('"seq": 0', '"seq": 1'))


_BEGUN = [start(9.1, 2, PLAN[0])]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([hello(), hello(), *passing(1)], "again, or late: number 0 after 0"),
        ([hello(), _second(hello()), *passing(2)], "a second hello"),
        ([hello(), _second(hello(nonce="11" * 8)), *passing(2)], "a second hello"),
        ([plan(0), hello()], "before the guest's first"),
        ([hello(), plan(1), plan(2)], "a second plan"),
        ([hello(), plan(1), start(9.2, 2, "other.py::test")], "not planned: other.py::test"),
        ([hello(), plan(1), outcome(9.2, 2, "other.py::test")], "not planned: other.py::test"),
        ([hello(), plan(1), _fact(2, test="other.py::test")], "not planned: other.py::test"),
        ([hello(), plan(1), outcome(9, 2, PLAN[0], "crashed")], "calls"),
        ([hello(), plan(1), outcome(9, 2, PLAN[0], "missing")], "calls"),
        (
            [hello(), plan(1), outcome(9, 2, PLAN[0], "failed"), outcome(9, 3, PLAN[0])],
            "a second outcome",
        ),
        ([hello(), *passing(), _fact(7)], "after the guest's last"),
        ([hello(), plan(2)], "records lost: number 2 after 0"),
        ([hello(), plan(1), start(9.1, 1, PLAN[0])], "again, or late: number 1 after 1"),
        ([hello(), plan(1), *_BEGUN, start(9.2, 3, PLAN[0])], "begins again"),
        ([hello(), plan(1), *_BEGUN, outcome(9, 3, PLAN[0]), start(9, 4, PLAN[0])], "begins again"),
        (
            [hello(), plan(1), record(9.1, "taint", 2, before=0, after=1, test="other.py::test")],
            "not planned: other.py::test",
        ),
        (
            [hello(), plan(1), record(9.1, "collection_error", 2, id="a.py", message="m")],
            "collection fails after the plan: a.py",
        ),
        ([hello(), plan(1), RecordLine(9.1, '{"type": "st', 5_000_000)], "record of 5000012 char"),
    ],
)
def test_what_cannot_be_is_not_believed(tmp_path: Path, said: list[Said], why: str) -> None:
    seen = result(tmp_path, said)
    assert seen.records_lost > 0
    assert any(why in note for note in seen.notes), seen.notes


def test_a_refused_outcome_changes_nothing(tmp_path: Path) -> None:
    said = [hello(), plan(), outcome(9, 2, PLAN[0], "failed"), outcome(9, 3, PLAN[0], "passed")]
    assert result(tmp_path, said).tests[0].outcome is Outcome.FAILED


def test_a_record_that_comes_late_changes_nothing(tmp_path: Path) -> None:
    said = [hello(), plan(), *_BEGUN, outcome(9, 5, PLAN[0], "failed"), outcome(9, 3, PLAN[1])]
    seen = result(tmp_path, said)
    assert [test.outcome for test in seen.tests] == [Outcome.FAILED, Outcome.MISSING]
    assert seen.records_lost == 2


def test_a_guest_that_never_ceases_to_report_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RECORDS_LIMIT", 20_000)
    facts = [_fact(number, name=f"f{number}", evidence="x" * 100) for number in range(2, 1000)]
    seen = result(tmp_path, [hello(), plan(), *facts, end(1000)])
    assert (tmp_path / "events.jsonl").stat().st_size < 22_000
    kept = len(seen.facts.other)
    assert 50 < kept < 100
    assert seen.records_lost == 1000 - 1 - kept
    assert any("of records: no more are taken" in note for note in seen.notes)
    assert seen.status is not Status.COMPLETED


def test_a_record_without_an_end_does_not_fill_the_disk(tmp_path: Path) -> None:
    seen = result(tmp_path, [hello(), plan(), RecordLine(9.0, "x" * 200, 1 << 40)])
    assert (tmp_path / "events.jsonl").stat().st_size < 3000
    assert seen.records_lost == 1
    assert seen.notes[0].startswith(f"a record of {(1 << 40) + 200} characters: 'xxx")


def test_many_refusals_are_counted_and_few_are_named(tmp_path: Path) -> None:
    rubbish = [RecordLine(9.0, f"rubbish {number}") for number in range(500)]
    seen = result(tmp_path, [hello(), *rubbish])
    assert seen.records_lost == 500
    assert len(seen.notes) == 11
    assert seen.notes[-1] == "490 more records lost"


@pytest.mark.parametrize("other", [{"nonce": "11" * 8}, {"release": "6.1.0-1-amd64"}])
def test_nothing_of_another_guest_is_kept(tmp_path: Path, other: dict[str, object]) -> None:
    seen = result(tmp_path, [hello(af_alg_restrict=1, **other), plan(), _fact(2), *passing(3)[1:]])
    assert seen.status is Status.BOOT_FAILED
    assert (seen.plan, seen.tests, seen.facts.named()) == ((), (), {})
    assert seen.facts.af_alg_restrict is None


def test_a_text_that_no_file_can_hold_is_mended(tmp_path: Path) -> None:
    message = 'expected "\ud800\udc80"'
    seen = result(tmp_path, [hello(), plan(), outcome(9, 2, PLAN[0], "failed", message)])
    assert seen.tests[0].message.encode() != b""
    assert seen.records_lost == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_KINDS = st.sampled_from([*records.TYPES, "boot", "closed", "nonsense"])
_TEXTS = ["version", "machine", "cmdline", "af_alg_error", "name", "evidence", "message", "details"]
_NUMBERS = ["seq", "uptime", "status", "seconds", "taint", "before", "after", "lost"]
_FIELDS = {
    "nonce": st.just(NONCE) | _JSON,
    "release": st.just(BOOT.release) | _JSON,
    "tests": st.just(PLAN) | _JSON,
    "id": st.sampled_from(PLAN) | _JSON,
    "test": st.sampled_from(PLAN) | _JSON,
    "outcome": st.sampled_from(["passed", "failed", "crashed"]) | _JSON,
    "state": st.just("absent") | _JSON,
    "control": st.just("fired") | _JSON,
    "transcripts": st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2) | _JSON,
    "lines": st.lists(st.text(max_size=40), max_size=4) | _JSON,
    "by": st.just("host"),
    "raw": st.text(max_size=8),
    "host_seconds": _JSON,
    **{name: st.text(max_size=8) | _JSON for name in _TEXTS},
    **{name: st.integers(-1, 8) | _JSON for name in _NUMBERS},
}
_RECORDS = st.fixed_dictionaries({"type": _KINDS}, optional=_FIELDS)
_LINES = (
    _RECORDS.map(json.dumps)
    | _RECORDS.map(lambda data: json.dumps(data)[:-3])
    | st.text(max_size=30)
)
_GOOD = st.sampled_from([line.text for line in [hello(), *passing(), _fact(2)]])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_GOOD | _LINES, max_size=12))
def test_no_stream_of_records_raises_and_files_say_what_was_heard(lines: list[str]) -> None:
    said = [RecordLine(8.0, line.replace("\n", " ")) for line in lines]
    live = Heard(BOOT)
    with tempfile.TemporaryDirectory() as directory:
        with Journal(Path(directory)) as journal:
            journal.boot(BOOT)
            for line in said:
                live.record(line.seconds, journal.record(line))
            journal.closed(POWERED_OFF)
        (boot,) = read_journal(Path(directory))
        what_was_kept = list(boot.records)
    again = Heard(BOOT)
    for seconds, what in what_was_kept:
        again.record(seconds, what)
    assert boot.boot == BOOT
    assert boot.closed == POWERED_OFF
    for name in ("tests", "facts", "plan", "records_lost", "disowned", "transcripts", "notes"):
        assert getattr(again, name) == getattr(live, name)
    if any(isinstance(what, Refused) for _, what in what_was_kept) and not live.disowned:
        assert live.records_lost > 0


@pytest.mark.parametrize("test", PLAN)
def test_reports_before_and_after_the_suite_belong_to_no_test(tmp_path: Path, test: str) -> None:
    kasan = "BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80"
    said: list[Said] = [
        console(4.0, kasan),
        hello(),
        *passing(),
        marker(8.0, f"hello {NONCE}"),
        marker(9.2, f"start {test}"),
        console(9.25, kasan),
        marker(12.0, "end"),
        console(12.5, kasan),
    ]
    events = result(tmp_path, said).console_events
    assert [event.test for event in events] == ["", test, ""]


def test_no_marker_charges_what_was_not_planned(tmp_path: Path) -> None:
    said: list[Said] = [
        hello(),
        *passing(),
        marker(9.2, "start security/test_other.py::test_x"),
        console(9.25, "UBSAN: shift-out-of-bounds in a.c:1:1"),
    ]
    assert [event.test for event in result(tmp_path, said).console_events] == [""]


def test_a_long_test_id_is_charged_though_the_kernel_log_cuts_it(tmp_path: Path) -> None:
    test = f"a/test_a.py::test_one[{'x' * 2000}]"
    cut = f"afalg-harness: start {test}"[:800]
    said: list[Said] = [
        hello(),
        plan(1, [test]),
        start(9.2, 2, test),
        console(9.2, cut),
        console(9.25, "UBSAN: shift-out-of-bounds in a.c:1:1"),
        outcome(9.3, 3, test),
        end(4),
    ]
    seen = result(tmp_path, said)
    assert [event.test for event in seen.console_events] == [test]
    assert seen.console_watch is not None
    assert seen.console_watch.seen == 1


def _log(at: float, seq: int, *lines: str, lost: int = 0) -> RecordLine:
    return record(at, "kernel_log", seq, lines=list(lines), lost=lost)


_QUIET = [
    hello(),
    plan(),
    start(9.2, 2, PLAN[0]),
    outcome(9.3, 3, PLAN[0]),
    start(9.4, 4, PLAN[1]),
    outcome(9.5, 5, PLAN[1]),
    _log(
        11.0,
        6,
        f"[    5.000000] afalg-harness: hello {NONCE}",
        f"[    6.200000] afalg-harness: start {PLAN[0]}",
        "[    6.250000] WARNING: possible circular locking dependency detected",
        f"[    6.400000] afalg-harness: start {PLAN[1]}",
        "[    6.450000] UBSAN: shift-out-of-bounds in a.c:1:1",
    ),
    end(7),
]


def test_what_the_console_hides_is_found_in_the_kernel_log(tmp_path: Path) -> None:
    seen = result(tmp_path, _QUIET)
    events = [(event.kind, event.test, event.seconds) for event in seen.console_events]
    assert events == [("lockdep", PLAN[0], 9.25), ("ubsan", PLAN[1], 9.45)]
    watch = seen.console_watch
    assert watch is not None
    assert (watch.written, watch.seen, watch.kernel_log) == (4, 0, True)
    assert seen.records_lost == 0


def test_what_both_show_is_one_report(tmp_path: Path) -> None:
    on_console: list[Said] = [
        marker(8.0, f"hello {NONCE}"),
        marker(9.2, f"start {PLAN[0]}"),
        console(9.26, "WARNING: possible circular locking dependency detected"),
        console(9.26, "swapper/0 is trying to acquire lock"),
        marker(9.4, f"start {PLAN[1]}"),
        console(9.46, "UBSAN: shift-out-of-bounds in a.c:1:1"),
        console(9.47, "UBSAN: shift-out-of-bounds in a.c:1:1"),
        marker(12.0, "end"),
    ]
    seen = result(tmp_path, [*_QUIET[:-1], *on_console, _QUIET[-1]])
    assert [(event.kind, event.test) for event in seen.console_events] == [
        ("lockdep", PLAN[0]),
        ("ubsan", PLAN[1]),
        ("ubsan", PLAN[1]),
    ]
    assert len(seen.console_events[0].lines) == 2, "the console's own report"
    assert seen.console_watch is not None
    assert seen.console_watch.seen == seen.console_watch.written == 4


def test_a_gap_in_the_kernel_log_is_told(tmp_path: Path) -> None:
    said = [hello(), *passing()[:-1], _log(11.0, 6, "[    6.2] x", lost=3), end(7)]
    watch = result(tmp_path, said).console_watch
    assert watch is not None
    assert not watch.kernel_log


def test_a_guest_that_died_owes_no_line_that_was_under_way(tmp_path: Path) -> None:
    said: list[Said] = [
        hello(),
        plan(),
        start(9.2, 2, PLAN[0]),
        marker(8.0, f"hello {NONCE}"),
        console(9.3, "Kernel panic - not syncing: Fatal exception"),
    ]
    died = replace(POWERED_OFF, wall_seconds=10.5, shutdown="guest-reset")
    watch = result(tmp_path, said, died).console_watch
    assert watch is not None
    assert (watch.written, watch.seen) == (1, 1)


def test_arguments_that_the_kernel_does_not_know(tmp_path: Path) -> None:
    unknown = 'Unknown kernel command line parameters "virtme_root_user=1 fips=1", will be passed'
    boot = replace(BOOT, arguments=(*BOOT.arguments, "fips=1", "nosmp"))
    said: list[Said] = [console(1.0, unknown), hello(), *passing()]
    assert result(tmp_path / "console", said, boot=boot).ignored_arguments == ("fips=1",)
    said = [hello(), *passing()[:-1], _log(11.0, 6, f"[    0.0] {unknown}"), end(7)]
    assert result(tmp_path / "log", said, boot=boot).ignored_arguments == ("fips=1",)


@pytest.mark.parametrize("line", [_log(50.0, 3, "[ 1.0] x"), alive(50.0, 3)])
def test_what_says_nothing_of_the_suite_does_not_put_off_a_deadline(line: RecordLine) -> None:
    heard = Heard(BOOT)
    with tempfile.TemporaryDirectory() as directory, Journal(Path(directory)) as journal:
        for said in (hello(), plan(), start(9.2, 2, PLAN[0]), line):
            heard.record(said.seconds, journal.record(said))
    assert heard.last_record == 9.2
    assert heard.last_sign == 50.0
