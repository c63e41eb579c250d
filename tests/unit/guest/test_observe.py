"""What is made of a guest's messages. No guest here: messages are played from a script."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Self

import pytest

from harness.errors import InfrastructureError
from harness.faults import tell
from harness.guest import journal
from harness.guest import observe as module
from harness.guest.console_file import ConsoleFile
from harness.guest.heard import Heard
from harness.guest.launcher import REFUSED
from harness.guest.messages import ConsoleLine, Ended, Expired, Message, RecordLine, Stopped
from harness.guest.observe import Deadlines, Listener, observe
from harness.guest.schedule import WHOLE
from harness.guest.session import Exit, GuestSettings
from harness.guest.vng import Root
from harness.model import BootableKernel, Hang, KernelResult, Outcome, Role, State, Status
from harness.progress import Progress, SilentProgress
from tests.unit.guest.boots import PLAN, RELEASE, alive, end, hello, outcome, plan, record, start

_KERNEL = BootableKernel("debian:x", RELEASE, Path("/k/boot/vmlinuz"), None, None, None)
_POWERED_OFF = Exit(ran=True, shutdown="guest-shutdown", vng_status=255)
_KILLED_BY_US = Exit(ran=True, shutdown="", vng_status=-9)


class _Monitor:
    """Stands in for QEMU's monitor."""

    def __init__(self, status: str = "running", paused_since: float | None = None) -> None:
        self._status = status
        self.paused_since = paused_since
        self.pressed: list[tuple[str, ...]] = []

    def status(self, _limit: float) -> str:
        return self._status

    def human(self, command: str, _limit: float) -> str:
        return f"(qemu) {command}\nRIP=ffffffff81000000\n"

    def press(self, *keys: str, limit: float) -> bool:
        self.pressed.append(keys)
        return True


class _Script:
    """Stands in for Session: plays messages; expires or ends when they are used up."""

    def __init__(
        self, messages: list[Message], expires: bool, found: Exit, monitor: _Monitor | None = None
    ) -> None:
        self.monitor = monitor or _Monitor()
        self.asked = 0
        self._messages = messages
        self._expires = expires
        self._exit = found
        self._now = 0.0
        self.place = Path("/tmp")

    def __call__(self, *_: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def elapsed(self) -> float:
        return self._now

    def again(self) -> str:
        return "vng --run image\n"

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

    def ask_agent(self, _request: bytes = b"") -> bool:
        self.asked += 1
        return False

    def qemu_is_stopped(self) -> bool:
        return False

    def qemu_process(self) -> int | None:
        return None

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
    monitor: _Monitor | None = None,
    progress: Progress | None = None,
    listener: Listener = lambda _: None,
) -> KernelResult:
    monkeypatch.setattr(module, "Session", _Script(messages, expires, found, monitor))
    return observe(
        _KERNEL,
        Role.CANDIDATE,
        GuestSettings(Root("disk", Path("/r")), "tcg"),
        Path("/payload"),
        Deadlines.for_accel("tcg", test=30),
        tmp_path,
        stop or threading.Event(),
        progress or SilentProgress(),
        WHOLE,
        listener,
    )


class _Told(Progress):
    """Keeps what a display would show while tests run."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.failures: list[str] = []

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        if detail and detail not in self.running:
            self.running.append(detail)

    def fails(self, subject: str, what: str) -> None:
        self.failures.append(f"{subject}: {what}")


def test_who_listens_hears_of_each_record_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[int] = []
    messages: list[Message] = [hello(), plan(), start(9.1, 2, PLAN[0])]
    messages += [outcome(9.2, 3, PLAN[0], "passed"), end(4)]
    _observe(tmp_path, monkeypatch, messages, listener=lambda heard: known.append(len(heard.tests)))
    assert known == [0, 0, 0, 1, 1]


def test_progress_hears_what_runs_and_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _Told()
    messages: list[Message] = [
        hello(),
        plan(),
        start(9.1, 2, PLAN[0]),
        outcome(9.2, 3, PLAN[0], "failed", "expected 1, saw 2"),
        start(9.3, 4, PLAN[1]),
        outcome(9.4, 5, PLAN[1], "passed"),
        end(6),
    ]
    _observe(tmp_path, monkeypatch, messages, progress=told)
    assert told.running == list(PLAN[:2])
    assert told.failures == [f"{_KERNEL.spec}: failed {PLAN[0]}: expected 1, saw 2"]


def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _observe(
        tmp_path,
        monkeypatch,
        [
            ConsoleLine(1.0, "[    0.000000] Linux version 6.12"),
            hello(af_alg_restrict=1),
            record(9.0, "plan", 1, tests=PLAN),
            record(9.1, "start", 2, id=PLAN[0]),
            record(
                9.2,
                "fact",
                3,
                name="zero_copy.skcipher.splice_file",
                state="absent",
                control="fired",
                evidence="e",
                test=PLAN[0],
            ),
            outcome(9.3, 4, PLAN[0], "passed"),
            record(9.4, "start", 5, id=PLAN[1]),
            outcome(9.5, 6, PLAN[1], "skipped", "bind: ENOENT"),
            end(7),
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
            hello(),
            record(9.0, "plan", 1, tests=[*PLAN, "third"]),
            outcome(9.3, 2, PLAN[0], "passed"),
            record(9.4, "start", 3, id=PLAN[1]),
            ConsoleLine(9.4, f"[ 8.0] afalg-harness: start {PLAN[1]}"),
            ConsoleLine(9.5, "[ 8.1] Kernel panic - not syncing: Fatal exception"),
        ],
    )
    assert result.status is Status.CRASHED
    assert result.status_reason == "Kernel panic - not syncing: Fatal exception"
    outcomes = [test.outcome for test in result.tests]
    assert outcomes == [Outcome.PASSED, Outcome.CRASHED, Outcome.MISSING]
    assert result.console_events[0].test == PLAN[1]


_BLOCKED: dict[str, object] = {
    "state": "D",
    "where": "af_alg_wait_for_data",
    "blocked": 10.0,
    "stack": ["af_alg_wait_for_data+0x1/0x2"],
}
_IN_A_TEST: list[Message] = [hello(), plan(), start(9.4, 2, PLAN[0])]
_STILL: dict[Hang, tuple[list[Message], float, str]] = {
    Hang.BOOT: ([ConsoleLine(1.0, "x")], 180, "nothing heard for 180 s while booting"),
    Hang.COLLECTION: (
        [hello(), *[alive(8.0 + 5 * n, n) for n in range(1, 49)]],
        8 + 240,
        "nothing heard for 240 s while collecting tests",
    ),
    Hang.TEST: (
        [*_IN_A_TEST, alive(54.0, 3, where="unix_stream_read_generic")],
        9.4 + 50,
        f"nothing heard for 50 s while running {PLAN[0]}, which sleeps in unix_stream_read_generic",
    ),
    Hang.BLOCKED_TEST: (
        [*_IN_A_TEST, alive(45.0, 3, **_BLOCKED)],
        9.4 + 40,
        f"nothing heard for 40 s while running {PLAN[0]},"
        " which is in uninterruptible sleep in af_alg_wait_for_data",
    ),
    Hang.KERNEL: (
        [*_IN_A_TEST, alive(20.0, 3)],
        9.4 + 50,
        f"nothing heard for 50 s while running {PLAN[0]}, nor any sign of life",
    ),
    Hang.POWER_OFF: ([hello(), plan(), end(2)], 12 + 120, "did not power off within 120 s"),
}


@pytest.mark.parametrize("hang", _STILL)
def test_what_stands_still_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Hang
) -> None:
    messages, seconds, reason = _STILL[hang]
    seen = _observe(tmp_path, monkeypatch, [*messages], expires=True, found=_KILLED_BY_US)
    assert (seen.status_reason, seen.boots[0].hang) == (reason, hang)
    assert seen.status is (Status.BOOT_FAILED if hang is Hang.BOOT else Status.HUNG)
    closed = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert (closed["ending"], closed["hang"]) == ("deadline", hang)
    assert seconds <= closed["wall_seconds"] < seconds + 40, "looking why takes some seconds"
    text = (tmp_path / "hang-1.txt").read_text()
    assert text.startswith(f"{hang}: {reason}\n")
    assert "RIP=ffffffff81000000" in text
    in_details = ["RIP=ffffffff81000000" in test.details for test in seen.tests]
    assert in_details == [test.id == seen.fatal_test for test in seen.tests]


def test_a_kernel_without_a_sign_of_life_has_its_own_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the test may take longer than that."""
    monkeypatch.setattr(Deadlines, "for_accel", lambda *_, **__: _PATIENT)
    seen = _observe(tmp_path, monkeypatch, [*_IN_A_TEST, alive(20.0, 3)], expires=True)
    assert seen.boots[0].hang is Hang.KERNEL
    assert seen.status_reason == f"no sign of life for 120 s while running {PLAN[0]}"


_PATIENT = replace(Deadlines.for_accel("tcg", test=30), test=900)


def test_signs_of_life_do_not_put_off_the_deadline_of_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs = [alive(10.0 + 5 * number, 3 + number) for number in range(100)]
    seen = _observe(tmp_path, monkeypatch, [*_IN_A_TEST, *signs])
    assert seen.boots[0].hang is Hang.TEST


def test_a_sleep_that_ended_is_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next test begins; nothing is known of its process yet."""
    said = [
        *_IN_A_TEST,
        alive(30.0, 3, **_BLOCKED),
        outcome(31.0, 4, PLAN[0]),
        start(31.1, 5, PLAN[1]),
        alive(79.0, 6, state="R"),
    ]
    seen = _observe(tmp_path, monkeypatch, said, expires=True)
    assert seen.boots[0].hang is Hang.TEST
    assert seen.status_reason.endswith(f"{PLAN[1]}, which does not sleep")


@pytest.mark.parametrize(
    ("status", "hang", "reason"),
    [
        ("io-error", Hang.PAUSED, "QEMU does not run the guest (io-error)"),
        ("internal-error", Hang.PAUSED, "QEMU does not run the guest (internal-error)"),
        ("", Hang.EMULATOR, "QEMU does not answer its monitor within 10 s"),
    ],
)
@pytest.mark.parametrize(
    "messages", [_IN_A_TEST, [ConsoleLine(1.0, "x")], [hello(), plan(), end(2)]]
)
def test_a_qemu_that_stands_still_says_nothing_of_the_kernel(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[Message],
    status: str,
    hang: Hang,
    reason: str,
) -> None:
    monitor = _Monitor(status)
    seen = _observe(
        tmp_path,
        monkeypatch,
        [*messages],
        expires=True,
        found=_KILLED_BY_US,
        monitor=monitor,
    )
    assert (seen.status, seen.status_exit) == (Status.INTERRUPTED, 3)
    assert seen.status_reason.startswith(reason)
    assert seen.boots[0].hang is hang
    assert monitor.pressed == [], "nobody is there who could show anything"


def test_a_paused_guest_is_not_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over long before the deadline of the test that runs."""
    monitor = _Monitor("io-error", paused_since=time.monotonic() - 100)
    said: list[Message] = [*_IN_A_TEST, ConsoleLine(12.0, "x")]
    seen = _observe(tmp_path, monkeypatch, said, expires=True, monitor=monitor)
    assert seen.boots[0].hang is Hang.PAUSED
    assert seen.wall_seconds is not None
    assert seen.wall_seconds < 9.4 + 50


def test_the_agent_is_asked_before_keys_are_pressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Answers(_Script):
        def ask_agent(self, _request: bytes = b"") -> bool:
            self.asked += 1
            self._messages += [
                ConsoleLine(60.0, "[ 57.0] sysrq: Show Blocked State"),
                alive(60.1, 4, **_BLOCKED, asked=True),
            ]
            return True

    monitor = _Monitor()
    monkeypatch.setattr(f"{__name__}._Script", _Answers)
    said = [*_IN_A_TEST, alive(54.0, 3)]
    seen = _observe(tmp_path, monkeypatch, said, expires=True, monitor=monitor)
    assert monitor.pressed == []
    assert "state D in af_alg_wait_for_data\naf_alg_wait_for_data+0x1/0x2" in seen.tests[0].details
    assert "sysrq: Show Blocked State" in seen.tests[0].details
    assert seen.boots[0].hang is Hang.TEST, "what was found out changes nothing"


def test_keys_are_pressed_where_the_agent_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = _Monitor()
    _observe(tmp_path, monkeypatch, [*_IN_A_TEST], expires=True, monitor=monitor)
    assert monitor.pressed == [("alt", "sysrq", "w"), ("alt", "sysrq", "l")]


@pytest.mark.parametrize(
    ("said", "hang", "words"),
    [
        ([], Hang.TEST, "which no signal ends"),
        ([alive(15.0, 3, where="x")], Hang.TEST, "which no signal ends; it sleeps in x"),
        ([alive(15.0, 3, **_BLOCKED)], Hang.BLOCKED_TEST, "uninterruptible sleep in af_alg_wait"),
    ],
)
def test_a_test_that_is_not_waited_for_any_longer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[Message],
    hang: Hang,
    words: str,
) -> None:
    """An idle guest that does not heed that its test is to be ended: long before the deadline."""

    class Patience:
        def look(self, heard: Heard, now: float) -> str:
            return f"idle while running {heard.running}" if now > 17 else ""

    monkeypatch.setattr(module, "_patience", lambda *_: Patience())
    seen = _observe(tmp_path, monkeypatch, [*_IN_A_TEST, *said], expires=True)
    assert (seen.status, seen.boots[0].hang) == (Status.HUNG, hang)
    assert seen.status_reason.startswith(f"idle while running {PLAN[0]}, ")
    assert words in seen.status_reason
    assert seen.wall_seconds is not None
    assert seen.wall_seconds < 9.4 + 50


def test_silence_is_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = _observe(
        tmp_path,
        monkeypatch,
        [hello(), record(9.0, "plan", 1, tests=PLAN), record(9.4, "start", 2, id=PLAN[0])],
        expires=True,
    )
    assert result.status is Status.HUNG
    assert [test.outcome for test in result.tests] == [Outcome.TIMEOUT, Outcome.MISSING]
    assert PLAN[0] in result.status_reason


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"release": "6.1.0-50-amd64"}, "the guest ran 6.1.0-50-amd64, not 6.12.43+deb12-amd64"),
        ({"nonce": "ff"}, "not of this run"),
    ],
)
def test_another_kernel_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, object], reason: str
) -> None:
    messages: list[Message] = [
        hello(**other),
        record(9.0, "plan", 1, tests=PLAN),
        outcome(9.3, 2, PLAN[0], "passed"),
        end(3),
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
        hello(),
        record(9.0, "plan", 1, tests=PLAN),
        record(9.4, "start", 2, id=PLAN[0]),
        end(3, status=-9),
    ]
    result = _observe(tmp_path, monkeypatch, messages)
    assert result.status is Status.CRASHED
    assert "killed by signal 9" in result.status_reason
    assert [test.outcome for test in result.tests] == [Outcome.CRASHED, Outcome.MISSING]


def test_lost_and_broken_records_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Message] = [
        hello(),
        record(9.0, "plan", 2, tests=PLAN),
        RecordLine(9.1, '{"type": "outc'),
        record(9.2, "outcome", 3, id=PLAN[0]),
    ]
    result = _observe(tmp_path, monkeypatch, messages)
    assert result.records_lost == 3
    notes = " / ".join(result.notes)
    assert "records lost" in notes
    assert "cut short" in notes
    assert "malformed outcome record" in notes


def test_an_interruption_is_its_own_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    stop.set()
    result = _observe(tmp_path, monkeypatch, [hello()], stop=stop)
    assert result.status is Status.INTERRUPTED


def test_transcripts_of_several_tests_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _observe(
        tmp_path,
        monkeypatch,
        [
            hello(),
            record(9.0, "plan", 1, tests=[]),
            record(9.1, "transcripts", 2, transcripts={"hash sha256: recv 0": "0"}),
            record(9.2, "transcripts", 3, transcripts={"hash sha256: recv 1": "1 00000000 trunc"}),
            record(9.3, "transcripts", 4, transcripts=None),
            end(5),
        ],
    )
    assert result.transcripts == {
        "hash sha256: recv 0": "0",
        "hash sha256: recv 1": "1 00000000 trunc",
    }
    assert result.records_lost == 1


def test_a_guest_that_never_ceases_to_talk_is_held_to_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Console lines come without a pause, so that no wait for one ever expires."""
    flood: list[Message] = [ConsoleLine(10.0 + second, "noise") for second in range(2000)]
    said: list[Message] = [hello(), record(9.0, "plan", 1, tests=PLAN)]
    result = _observe(tmp_path, monkeypatch, [*said, *flood])
    assert result.status is Status.HUNG
    assert result.status_reason.startswith("no sign of life for 120 s while between tests")
    lines = (tmp_path / "console.log").read_text().count("noise")
    assert 120 <= lines < 150, "it is ended at the deadline, and looked at for some seconds"


def test_a_suite_that_goes_on_and_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Message] = [hello(), record(9.0, "plan", 1, tests=PLAN)]
    facts: list[Message] = [
        record(9.0 + n, "transcripts", 2 + n, transcripts={}) for n in range(3000)
    ]
    result = _observe(tmp_path, monkeypatch, [*said, *facts])
    assert result.status is Status.HUNG
    assert "the suite did not end within 1800 s" in result.status_reason


_WHOLE: list[Message] = [
    hello(),
    record(9.0, "plan", 1, tests=PLAN),
    outcome(9.3, 2, PLAN[0], "passed"),
    outcome(9.4, 3, PLAN[1], "passed"),
    end(4),
]


def test_a_guest_that_does_not_power_off_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _observe(tmp_path, monkeypatch, [*_WHOLE], expires=True, found=_KILLED_BY_US)
    assert result.status is Status.HUNG
    assert result.status_reason == "did not power off within 120 s"
    assert [test.outcome for test in result.tests] == [Outcome.PASSED] * 2


@pytest.mark.parametrize(
    ("found", "said", "cause"),
    [
        (Exit(True, "", 255), "", "SIGKILL, or a fault of its own"),
        (
            Exit(True, "host-signal", 255),
            "qemu-system-x86_64: terminating on signal 15 from pid 7 (kill)",
            "SIGTERM",
        ),
        (
            Exit(True, "host-signal", 255),
            "[    0.417893] smp: Brinqemu-system-x86_64: terminating on signal 15 from pid 7",
            "SIGTERM",
        ),
        (
            Exit(True, "host-signal", 255),
            "qemu-system-x86_64: terminating on signal 999",
            "QEMU was",
        ),
        (
            Exit(True, "", 255),
            "qemu-system-x86_64: ../../hw/pci/msix.c:218: msix_table_mmio_write: Assertion"
            " `addr + size <= dev->msix_entries_nr * PCI_MSIX_ENTRY_SIZE' failed.",
            "QEMU failed (qemu-system-x86_64: ../../hw/pci/msix.c:218: msix_table_mmio_write",
        ),
        # A guest's words on its console are no word of QEMU's.
        (Exit(True, "", 255), "[  1.0] qemu-system-x86_64: terminating on signal 15", "SIGKILL"),
    ],
)
def test_qemu_killed_from_outside_says_nothing_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Exit, said: str, cause: str
) -> None:
    messages = [*_WHOLE[:3], record(9.35, "start", 3, id=PLAN[1]), ConsoleLine(9.4, said)]
    result = _observe(tmp_path, monkeypatch, messages, found=found)
    assert result.status is Status.INTERRUPTED
    assert result.status_reason.startswith((f"QEMU was killed from outside ({cause}", cause))
    assert result.status_reason.endswith(f" in {PLAN[1]}")
    assert result.status_exit == 3
    assert [test.outcome for test in result.tests] == [Outcome.PASSED, Outcome.MISSING]


def test_a_full_disk_says_nothing_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU stops the guest, which says nothing more until its deadline."""
    messages = [*_WHOLE[:3], record(9.35, "start", 3, id=PLAN[1]), Stopped(9.4, "no space in /x")]
    killed_by_us = Exit(ran=True, shutdown="", vng_status=-9)
    result = _observe(tmp_path, monkeypatch, messages, expires=True, found=killed_by_us)
    assert (result.status, result.status_exit) == (Status.INTERRUPTED, 3)
    assert result.status_reason == f"no space in /x in {PLAN[1]}"
    assert [test.outcome for test in result.tests] == [Outcome.PASSED, Outcome.MISSING]


@pytest.mark.parametrize(
    "said",
    [
        "OSError: [Errno 28] No space left on device",
        "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
    ],
)
def test_a_host_without_room_for_a_guest_says_nothing_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    messages: list[Message] = [ConsoleLine(0.2, said), ConsoleLine(0.3, "Traceback")]
    never_ran = Exit(ran=False, shutdown="", vng_status=1)
    result = _observe(tmp_path, monkeypatch, messages, found=never_ran)
    assert (result.status, result.status_exit) == (Status.INTERRUPTED, 3)
    assert "in /tmp: " + said in result.status_reason


def test_a_guest_that_the_launcher_refused_says_nothing_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_ran = Exit(ran=False, shutdown="", vng_status=1)
    said: list[Message] = [ConsoleLine(0.2, f"{REFUSED}too long"), ConsoleLine(0.3, "Traceback")]
    result = _observe(tmp_path, monkeypatch, said, found=never_ran)
    assert (result.status, result.status_exit) == (Status.INTERRUPTED, 3)
    assert result.status_reason == "the guest was not started (too long) while booting"


def test_a_guest_that_ran_was_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says itself."""
    said = [ConsoleLine(0.2, f"{REFUSED}too long")]
    result = _observe(tmp_path, monkeypatch, [*said])
    assert result.status is Status.BOOT_FAILED
    assert result.status_exit is None


@pytest.mark.parametrize("shutdown", ["guest-shutdown", "guest-reset"])
def test_a_guest_that_filled_its_disk_says_nothing_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shutdown: str
) -> None:
    """Whatever became of it then: its writes failed, by our doing."""
    messages = [*_WHOLE, ConsoleLine(9.9, "[ 2.0] Kernel panic - not syncing: Fatal exception")]
    found = Exit(ran=True, shutdown=shutdown, vng_status=255, filled=True)
    result = _observe(tmp_path, monkeypatch, messages, found=found)
    assert (result.status, result.status_exit) == (Status.INTERRUPTED, 3)
    assert result.status_reason == "the guest filled its disk (it may write 256 MiB)"
    assert result.tests[0].outcome is Outcome.PASSED


def test_a_kernel_that_has_no_room_left_may_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words from a guest: it ran, so they are its own."""
    messages: list[Message] = [
        ConsoleLine(0.2, "tar: write error: No space left on device"),
        ConsoleLine(0.3, "[  2.0] Kernel panic - not syncing: Attempted to kill init!"),
    ]
    result = _observe(tmp_path, monkeypatch, messages, found=Exit(True, "guest-reset", 255))
    assert result.status is Status.BOOT_FAILED


def test_a_guest_that_resets_itself_has_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triple fault: nothing on the console, QEMU ends by the guest's doing."""
    found = Exit(ran=True, shutdown="guest-reset", vng_status=255)
    messages = [*_WHOLE[:3], record(9.35, "start", 3, id=PLAN[1])]
    result = _observe(tmp_path, monkeypatch, messages, found=found)
    assert result.status is Status.CRASHED
    assert (result.fatal_test, result.status_exit) == (PLAN[1], None)


def test_a_second_boot_is_added_to_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = Exit(ran=True, shutdown="guest-reset", vng_status=255)
    panic: list[Message] = [ConsoleLine(3.0, "[ 1.0] Kernel panic - not syncing: Oops: int3")]
    first = _observe(tmp_path, monkeypatch, panic, found=reset)
    assert [boot.status for boot in first.boots] == [Status.BOOT_FAILED]
    second = _observe(tmp_path, monkeypatch, [*_WHOLE])
    assert [boot.status for boot in second.boots] == [Status.BOOT_FAILED, Status.COMPLETED]
    assert second.status is Status.COMPLETED
    assert second.boots[0].console_events[0].kind == "panic"
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["number"] for event in events if event["type"] == "boot"] == [1, 2]


@pytest.mark.parametrize("name", ["console.log", "events.jsonl"])
def test_a_full_disk_under_our_own_files_is_said_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The file that is full is named, also where closing it fails as well."""
    append = journal._append

    def fill(path: Path, descriptor: int) -> None:
        if path.name == name:
            with open("/dev/full", "w") as nothing:  # noqa: PTH123
                os.dup2(nothing.fileno(), descriptor)

    def full(path: Path) -> IO[str]:
        file = append(path)
        fill(path, file.fileno())
        return file

    def full_console(path: Path, number: int) -> ConsoleFile:
        file = ConsoleFile(path, number)
        fill(path, file._file.fileno())
        return file

    monkeypatch.setattr(journal, "_append", full)
    monkeypatch.setattr(journal, "ConsoleFile", full_console)
    messages: list[Message] = [ConsoleLine(1.0, "x"), hello()]
    with pytest.raises(OSError, match="No space left") as raised:
        _observe(tmp_path, monkeypatch, messages)
    assert tell(raised.value).line == f"no space left: {tmp_path / name}"


def test_a_full_disk_under_the_way_back_is_said_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vng.txt").symlink_to("/dev/full")
    with pytest.raises(InfrastructureError, match=f"no space left in {tmp_path}; .* --out"):
        _observe(tmp_path, monkeypatch, [hello()])
