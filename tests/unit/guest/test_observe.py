"""What is made of a guest's messages. No guest here: messages are played from a script."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from harness.guest import observe as module
from harness.guest.messages import ConsoleLine, Ended, Expired, Message, RecordLine
from harness.guest.observe import Deadlines, observe
from harness.guest.session import Exit, GuestSettings
from harness.guest.vng import Root
from harness.model import BootableKernel, KernelResult, Outcome, Role, State, Status
from harness.progress import SilentProgress

_RELEASE = "6.12.43+deb12-amd64"
_KERNEL = BootableKernel("debian:x", _RELEASE, Path("/k/boot/vmlinuz"), None, None, None)
_POWERED_OFF = Exit(ran=True, shutdown="guest-shutdown", vng_status=255)
_PLAN = ["functional/test_a.py::test_one", "functional/test_a.py::test_two"]


def _record(at: float, kind: str, seq: object, **fields: object) -> RecordLine:
    return RecordLine(at, json.dumps({"type": kind, "seq": seq, "uptime": at - 3, **fields}))


def _hello(**fields: object) -> RecordLine:
    known: dict[str, object] = {
        "release": _RELEASE,
        "version": "#1 SMP",
        "machine": "x86_64",
        "cmdline": "quiet",
        "nonce": "00" * 8,
        "af_alg_restrict": None,
        "af_alg_error": "",
        "taint": 0,
    }
    return _record(8.0, "hello", 0, **{**known, **fields})


def _outcome(at: float, seq: int, test: str, outcome: str, message: str = "") -> RecordLine:
    return _record(
        at, "outcome", seq, id=test, outcome=outcome, seconds=0.1, message=message, details=""
    )


def _end(seq: int, status: int = 0, taint: int = 0) -> RecordLine:
    return _record(12.0, "end", seq, status=status, seconds=3.0, taint=taint)


class _Script:
    """Stands in for Session: plays messages; expires or ends when they are used up."""

    def __init__(self, messages: list[Message], expires: bool, found: Exit) -> None:
        self._messages = messages
        self._expires = expires
        self._exit = found
        self._now = 0.0
        self.argv = ["vng", "--run", "image"]

    def __call__(self, *_: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def elapsed(self) -> float:
        return self._now

    def next(self, deadline: float) -> Message:
        if self._messages:
            message = self._messages.pop(0)
            self._now = message.seconds
            return message
        if self._expires:
            self._now = deadline
            return Expired(deadline)
        return Ended(self._now)

    def drain(self) -> Iterator[Message]:
        return iter(())

    def exit(self) -> Exit:
        return self._exit


@pytest.fixture(autouse=True)
def _fixed_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "00" * size)


def _observe(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[Message],
    *,
    expires: bool = False,
    stop: threading.Event | None = None,
    found: Exit = _POWERED_OFF,
) -> KernelResult:
    monkeypatch.setattr(module, "Session", _Script(messages, expires, found))
    return observe(
        _KERNEL,
        Role.CANDIDATE,
        GuestSettings(Root("disk", Path("/r")), "tcg"),
        Path("/payload"),
        Deadlines.for_accel("tcg", test=30),
        tmp_path,
        stop or threading.Event(),
        SilentProgress(),
    )


def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _observe(
        tmp_path,
        monkeypatch,
        [
            ConsoleLine(1.0, "[    0.000000] Linux version 6.12"),
            _hello(af_alg_restrict=1),
            _record(9.0, "plan", 1, tests=_PLAN),
            _record(9.1, "start", 2, id=_PLAN[0]),
            _record(
                9.2,
                "fact",
                3,
                name="zero_copy.skcipher.splice_file",
                state="absent",
                control="fired",
                evidence="e",
                test=_PLAN[0],
            ),
            _outcome(9.3, 4, _PLAN[0], "passed"),
            _record(9.4, "start", 5, id=_PLAN[1]),
            _outcome(9.5, 6, _PLAN[1], "skipped", "bind: ENOENT"),
            _end(7),
        ],
    )
    assert result.status is Status.COMPLETED
    assert [test.outcome for test in result.tests] == [Outcome.PASSED, Outcome.SKIPPED]
    assert result.tests[1].message == "bind: ENOENT"
    assert result.facts.af_alg_restrict == 1
    assert result.facts.zero_copy["skcipher.splice_file"].state is State.ABSENT
    assert (result.boot_seconds, result.suite_seconds) == (8.0, 4.0)
    assert result.notes == ()
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["type"] for event in events][:2] == ["boot", "hello"]
    assert "Linux version" in (tmp_path / "console.log").read_text()
    assert (tmp_path / "vng.txt").read_text() == "vng --run image\n"


def test_a_panic_keeps_what_had_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _observe(
        tmp_path,
        monkeypatch,
        [
            _hello(),
            _record(9.0, "plan", 1, tests=[*_PLAN, "third"]),
            _outcome(9.3, 2, _PLAN[0], "passed"),
            _record(9.4, "start", 3, id=_PLAN[1]),
            ConsoleLine(9.4, f"[ 8.0] afalg-harness: start {_PLAN[1]}"),
            ConsoleLine(9.5, "[ 8.1] Kernel panic - not syncing: Fatal exception"),
        ],
    )
    assert result.status is Status.CRASHED
    assert result.status_reason == "Kernel panic - not syncing: Fatal exception"
    outcomes = [test.outcome for test in result.tests]
    assert outcomes == [Outcome.PASSED, Outcome.CRASHED, Outcome.MISSING]
    assert result.console_events[0].test == _PLAN[1]


def test_silence_is_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _observe(
        tmp_path,
        monkeypatch,
        [_hello(), _record(9.0, "plan", 1, tests=_PLAN), _record(9.4, "start", 2, id=_PLAN[0])],
        expires=True,
    )
    assert result.status is Status.HUNG
    assert [test.outcome for test in result.tests] == [Outcome.TIMEOUT, Outcome.MISSING]
    assert _PLAN[0] in result.status_reason


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        ({"release": "6.1.0-50-amd64"}, "the guest ran 6.1.0-50-amd64, not 6.12.43+deb12-amd64"),
        ({"nonce": "ff"}, "not of this run"),
    ],
)
def test_another_kernel_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hello: dict[str, object], reason: str
) -> None:
    messages: list[Message] = [
        _hello(**hello),
        _record(9.0, "plan", 1, tests=_PLAN),
        _outcome(9.3, 2, _PLAN[0], "passed"),
        _end(3),
    ]
    result = _observe(tmp_path, monkeypatch, messages)
    assert result.status is Status.BOOT_FAILED
    assert reason in result.status_reason
    # What another kernel did must not be compared or reported as this one's.
    assert (result.plan, result.tests, result.facts.named()) == ((), (), {})


def test_a_guest_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Message] = [ConsoleLine(1.0, "qemu-system-x86_64: could not open disk")]
    result = _observe(tmp_path, monkeypatch, messages)
    assert result.status is Status.BOOT_FAILED
    assert "could not open disk" in result.status_reason


def test_a_killed_suite_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Message] = [
        _hello(),
        _record(9.0, "plan", 1, tests=_PLAN),
        _record(9.4, "start", 2, id=_PLAN[0]),
        _end(3, status=-9),
    ]
    result = _observe(tmp_path, monkeypatch, messages)
    assert result.status is Status.CRASHED
    assert "killed by signal 9" in result.status_reason
    assert [test.outcome for test in result.tests] == [Outcome.CRASHED, Outcome.MISSING]


def test_lost_and_broken_records_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Message] = [
        _hello(),
        _record(9.0, "plan", 2, tests=_PLAN),
        RecordLine(9.1, '{"type": "outc'),
        _record(9.2, "outcome", 3, id=_PLAN[0]),
    ]
    result = _observe(tmp_path, monkeypatch, messages)
    assert result.records_lost == 3
    notes = " / ".join(result.notes)
    assert "records lost" in notes
    assert "cut short" in notes
    assert "malformed outcome" in notes


def test_an_interruption_is_its_own_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    stop.set()
    result = _observe(tmp_path, monkeypatch, [_hello()], stop=stop)
    assert result.status is Status.INTERRUPTED


def test_transcripts_of_several_tests_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _observe(
        tmp_path,
        monkeypatch,
        [
            _hello(),
            _record(9.0, "plan", 1, tests=[]),
            _record(9.1, "transcripts", 2, transcripts={"hash sha256: recv 0": "0"}),
            _record(9.2, "transcripts", 3, transcripts={"hash sha256: recv 1": "1 00000000 trunc"}),
            _record(9.3, "transcripts", 4, transcripts=None),
            _end(5),
        ],
    )
    assert result.transcripts == {
        "hash sha256: recv 0": "0",
        "hash sha256: recv 1": "1 00000000 trunc",
    }
    assert result.records_lost == 1
