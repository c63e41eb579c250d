"""A kernel's files are read as what happened: however it ended, whoever edited them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ExitCode, InputError
from harness.guest.journal import BootRecord, ClosedRecord, Ending
from harness.guest.messages import ConsoleLine
from harness.guest.replay import replay
from harness.model import Hang, KernelResult, Outcome, PackageFile, Role, Status
from tests.unit.console_logs import death_in
from tests.unit.guest.boots import (
    BOOT,
    NONCE,
    PLAN,
    POWERED_OFF,
    RELEASE,
    Said,
    console,
    end,
    forget_the_host,
    hello,
    marker,
    outcome,
    passing,
    plan,
    result,
    start,
    write,
)

_POWER_DOWN = console(12.5, "reboot: Power down")
_PANIC = "Kernel panic - not syncing: Fatal exception"
_RESET = replace(POWERED_OFF, shutdown="guest-reset")
_KILLED = ClosedRecord(Ending.KILLED, 30.0, "QEMU was killed from outside (SIGTERM)", "host-signal")
_AMID = [hello(), plan(), start(9.2, 2, PLAN[0]), outcome(9.3, 3, PLAN[0]), start(9.4, 4, PLAN[1])]


_PAUSED = ClosedRecord(Ending.DEADLINE, 90.0, "QEMU stood still", hang=Hang.PAUSED)


def _late(reason: str) -> ClosedRecord:
    return ClosedRecord(Ending.DEADLINE, 90.0, reason)


def _outcomes(seen: KernelResult) -> list[str]:
    return [str(test.outcome) for test in seen.tests]


@pytest.mark.parametrize(
    ("said", "closed", "status", "reason", "fatal"),
    [
        ([hello(), *passing(), _POWER_DOWN], POWERED_OFF, Status.COMPLETED, "", ""),
        ([hello(), *passing()], POWERED_OFF, Status.COMPLETED, "", ""),
        # It said its last words, and the machine has no switch (acpi=off).
        ([hello(), *passing(), _POWER_DOWN], _late("late"), Status.COMPLETED, "", ""),
        ([hello(), *passing()], _late("did not power off"), Status.HUNG, "did not power off", ""),
        ([hello(), *passing()], _RESET, Status.CRASHED, "reset while powering off", ""),
        ([hello(), *passing(), console(12.3, _PANIC)], _RESET, Status.CRASHED, _PANIC, ""),
        (
            [hello(), *passing()],
            _KILLED,
            Status.INTERRUPTED,
            "QEMU was killed from outside (SIGTERM) while powering off",
            "",
        ),
        ([hello(), *passing()], None, Status.INTERRUPTED, "stops without its end", ""),
        ([hello(), *passing(), _POWER_DOWN], None, Status.COMPLETED, "", ""),
        ([*_AMID], _RESET, Status.CRASHED, f"the guest died in {PLAN[1]}", PLAN[1]),
        ([*_AMID, console(9.5, _PANIC)], _RESET, Status.CRASHED, _PANIC, PLAN[1]),
        ([*_AMID, console(9.5, _PANIC)], None, Status.CRASHED, _PANIC, PLAN[1]),
        ([*_AMID], _late("silence"), Status.HUNG, "silence", PLAN[1]),
        (
            [*_AMID],
            _KILLED,
            Status.INTERRUPTED,
            f"QEMU was killed from outside (SIGTERM) in {PLAN[1]}",
            "",
        ),
        ([*_AMID], _PAUSED, Status.INTERRUPTED, f"QEMU stood still in {PLAN[1]}", ""),
        ([hello(), *passing()], _PAUSED, Status.INTERRUPTED, "still while powering off", ""),
        ([hello(), *passing(), _POWER_DOWN], _PAUSED, Status.COMPLETED, "", ""),
        ([console(3.0, "x")], _PAUSED, Status.INTERRUPTED, "still while booting", ""),
        ([*_AMID, console(9.5, _PANIC)], _PAUSED, Status.CRASHED, _PANIC, PLAN[1]),
        ([*_AMID], None, Status.INTERRUPTED, "stops without its end", ""),
        (
            [*_AMID],
            ClosedRecord(Ending.STOPPED, 10.0),
            Status.INTERRUPTED,
            f"stopped in {PLAN[1]}",
            "",
        ),
        ([hello(), plan(), end(2, -9)], POWERED_OFF, Status.CRASHED, "killed by signal 9", ""),
        ([hello(), plan(), end(2, 3)], POWERED_OFF, Status.INTERRUPTED, "within itself", ""),
        ([hello(), plan(), end(2, 7)], POWERED_OFF, Status.CRASHED, "status 7", ""),
        (
            [ConsoleLine(1.0, "could not open disk")],
            ClosedRecord(Ending.NEVER_RAN, 2.0),
            Status.BOOT_FAILED,
            "could not open disk",
            "",
        ),
        ([console(3.0, _PANIC)], _RESET, Status.BOOT_FAILED, _PANIC, ""),
        ([console(3.0, "x")], _late("silence"), Status.BOOT_FAILED, "silence", ""),
        (
            [console(3.0, "x")],
            _KILLED,
            Status.INTERRUPTED,
            "QEMU was killed from outside (SIGTERM) while booting",
            "",
        ),
        (
            [console(3.0, "x")],
            ClosedRecord(Ending.STOPPED, 4.0),
            Status.INTERRUPTED,
            "stopped while booting",
            "",
        ),
    ],
)
def test_each_ending(
    tmp_path: Path,
    said: list[Said],
    closed: ClosedRecord | None,
    status: Status,
    reason: str,
    fatal: str,
) -> None:
    seen = result(tmp_path, said, closed)
    assert seen.status is status
    assert reason in seen.status_reason
    assert seen.fatal_test == fatal
    killed = closed is not None and (closed.ending is Ending.KILLED or closed.hang is not None)
    of_ours = (killed and status is Status.INTERRUPTED) or "within itself" in reason
    assert seen.status_exit == (ExitCode.INFRASTRUCTURE if of_ours else None)
    assert [boot.status for boot in seen.boots] == [status]


def test_what_finished_before_qemu_was_killed_is_kept(tmp_path: Path) -> None:
    assert _outcomes(result(tmp_path, _AMID, _KILLED)) == ["passed", "missing"]


@pytest.mark.parametrize("marked", [True, False])
def test_a_panic_is_not_charged_to_an_earlier_time_out(tmp_path: Path, marked: bool) -> None:
    """The first test ran out of time, the kernel dies when the second is over."""
    said: list[Said] = [
        hello(),
        plan(),
        start(9.2, 2, PLAN[0]),
        outcome(9.3, 3, PLAN[0], "timeout", "no end within 3 s"),
        start(9.4, 4, PLAN[1]),
        outcome(9.5, 5, PLAN[1]),
        *([marker(9.2, f"start {PLAN[0]}"), marker(9.4, f"start {PLAN[1]}")] if marked else []),
        console(9.6, _PANIC),
    ]
    seen = result(tmp_path, said, _RESET)
    assert seen.status is Status.CRASHED
    assert seen.fatal_test == (PLAN[1] if marked else "")
    assert _outcomes(seen) == ["timeout", "passed"]


def test_a_crashed_test_shows_the_reports_of_its_own(tmp_path: Path) -> None:
    said: list[Said] = [
        *_AMID,
        console(4.0, "WARNING: CPU: 1 PID: 1 at early.c:1 early+0x1/0x2"),
        marker(9.2, f"start {PLAN[0]}"),
        console(9.2, "UBSAN: shift-out-of-bounds in other.c:1:1"),
        marker(9.4, f"start {PLAN[1]}"),
        console(9.5, _PANIC),
        console(9.5, "Call Trace: mine"),
    ]
    seen = result(tmp_path, said, _RESET)
    assert seen.tests[1].outcome is Outcome.CRASHED
    assert "Call Trace: mine" in seen.tests[1].details
    assert "early" not in seen.tests[1].details
    assert "other.c" not in seen.tests[1].details


def test_all_boots_are_in_one_directory(tmp_path: Path) -> None:
    write(tmp_path, [console(3.0, _PANIC)], _RESET)
    second = replace(BOOT, number=2, nonce="22" * 8)
    # A guest cannot write the line that separates boots: its lines bear a time.
    forged = ConsoleLine(4.0, "=== boot 2")
    said: list[Said] = [forged, hello(nonce="22" * 8), *passing(), _POWER_DOWN]
    seen = result(tmp_path, said, POWERED_OFF, second)
    assert [boot.status for boot in seen.boots] == [Status.BOOT_FAILED, Status.COMPLETED]
    assert [len(boot.console_events) for boot in seen.boots] == [1, 0]
    assert seen.boots[0].status_reason == _PANIC
    assert seen.boots[0].accel == "tcg"
    assert seen.status is Status.COMPLETED
    assert seen.console_events == seen.boots[0].console_events
    assert _outcomes(seen) == ["passed", "passed"]
    assert "\n=== boot 2\n" in (tmp_path / "console.log").read_text()


def test_a_boot_that_was_cut_off_ends_where_the_next_begins(tmp_path: Path) -> None:
    write(tmp_path, [*_AMID, console(9.5, "last")], None)
    for name in ("console.log", "events.jsonl"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-5])
    second = replace(BOOT, number=2)
    seen = result(tmp_path, [hello(), *passing(), _POWER_DOWN], POWERED_OFF, second)
    assert [boot.status for boot in seen.boots] == [Status.INTERRUPTED, Status.COMPLETED]
    assert seen.records_lost == 0


def test_what_was_started_is_in_the_result(tmp_path: Path) -> None:
    package = PackageFile("linux-image", "1", "00", "local")
    boot = replace(BOOT, role=Role.BASELINE, notes=("from the pool",), packages=(package,))
    seen = result(tmp_path, [hello(), *passing()], boot=boot)
    assert (seen.spec, seen.release, seen.role) == ("debian:x", RELEASE, Role.BASELINE)
    assert seen.packages == (package,)
    assert seen.notes == ("from the pool",)
    assert (seen.boot_seconds, seen.suite_seconds, seen.wall_seconds) == (8.0, 4.0, 13.0)
    assert seen.directory == f"kernels/{tmp_path.name}"


Edit = Callable[[list[str]], list[str]]


def _edited(tmp_path: Path, name: str, edit: Edit) -> KernelResult:
    """What is made of a whole good run after an edit of one file's lines."""
    shown = [marker(8.0, f"hello {NONCE}"), marker(9.2, f"start {PLAN[0]}"), _POWER_DOWN]
    write(tmp_path, [ConsoleLine(0.5, "vng"), hello(), *passing(), *shown])
    path = tmp_path / name
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(edit(lines)))
    return replay(tmp_path)


@pytest.mark.parametrize("prefix", ["[     4.000] [    1.000000] ", "[    1.000000] ", ""])
def test_edited_a_report_before_the_first_test(tmp_path: Path, prefix: str) -> None:
    report = prefix + "BUG: KASAN: slab-use-after-free in af_alg_free_sg+0x5e/0x80\n"
    seen = _edited(tmp_path, "console.log", lambda lines: [lines[0], report, *lines[1:]])
    assert [(event.kind, event.test) for event in seen.console_events] == [("kasan", "")]


@pytest.mark.parametrize("left", [2, 3, 4, 5, 6])
def test_edited_the_last_records_cut_off(tmp_path: Path, left: int) -> None:
    """The console shows that the guest powered off in order: it is the records that are lost."""
    seen = _edited(tmp_path, "events.jsonl", lambda lines: lines[:left])
    assert "missing" in _outcomes(seen) or not seen.tests
    assert seen.records_lost == 1
    assert "crashed" not in _outcomes(seen)


def test_edited_the_very_last_record_cut_off(tmp_path: Path) -> None:
    seen = _edited(tmp_path, "events.jsonl", lambda lines: lines[:-2])
    assert _outcomes(seen) == ["passed", "passed"]
    assert seen.records_lost == 1
    assert seen.notes == ("the guest's last record is missing",)


def test_edited_a_record_cut_in_two(tmp_path: Path) -> None:
    seen = _edited(tmp_path, "events.jsonl", lambda lines: [*lines[:5], lines[5][:40]])
    assert seen.records_lost == 2  # and the last


def test_edited_records_in_the_wrong_order(tmp_path: Path) -> None:
    def swap(lines: list[str]) -> list[str]:
        return [*lines[:4], lines[5], lines[4], *lines[6:]]

    assert _edited(tmp_path, "events.jsonl", swap).records_lost > 0


def test_edited_another_nonce(tmp_path: Path) -> None:
    def other(lines: list[str]) -> list[str]:
        return [lines[0], lines[1].replace(NONCE, "11" * 8), *lines[2:]]

    seen = _edited(tmp_path, "events.jsonl", other)
    assert seen.status is Status.BOOT_FAILED
    assert "not of this run" in seen.status_reason
    assert seen.tests == ()


def test_edited_a_record_of_the_hosts_that_is_none(tmp_path: Path) -> None:
    def garble(lines: list[str]) -> list[str]:
        return [lines[0].replace('"candidate"', '"judge"'), *lines[1:]]

    with pytest.raises(InputError, match=r"events\.jsonl: line 1: .*role"):
        _edited(tmp_path, "events.jsonl", garble)


@pytest.mark.parametrize("empty", [True, False])
def test_nothing_to_replay(tmp_path: Path, empty: bool) -> None:
    if empty:
        (tmp_path / "console.log").touch()
        (tmp_path / "events.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds anything") as raised:
        replay(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(InputError, match=r"events\.jsonl: Is a directory"):
        replay(tmp_path)


_SHOWN = console(1.0, f"Command line: console=ttyS0 afalg_harness.nonce={NONCE} init=/bin/sh")


def test_files_of_the_version_before(tmp_path: Path) -> None:
    write(tmp_path, [_SHOWN, hello(), *passing(), _POWER_DOWN])
    forget_the_host(tmp_path)
    seen = replay(tmp_path)
    assert seen.status is Status.COMPLETED
    assert (seen.spec, seen.release) == (tmp_path.name, RELEASE)
    assert _outcomes(seen) == ["passed", "passed"]
    assert seen.records_lost == 0
    assert seen.notes == ()
    assert seen.console_watch is None, "those versions wrote other lines into the kernel log"


@pytest.mark.parametrize("source", ["console", "vng"])
def test_without_a_record_of_the_boot_its_command_line_tells_the_nonce(
    tmp_path: Path, source: str
) -> None:
    shown = [_SHOWN, _POWER_DOWN] if source == "console" else [_POWER_DOWN]
    write(tmp_path, [*shown, hello(nonce="11" * 8), *passing()])
    if source == "vng":
        (tmp_path / "vng.txt").write_text(f"vng --append afalg_harness.nonce={NONCE}\n")
    forget_the_host(tmp_path)
    seen = replay(tmp_path)
    assert seen.status is Status.BOOT_FAILED
    assert "not of this run" in seen.status_reason


def test_a_guest_that_nothing_vouches_for_is_told(tmp_path: Path) -> None:
    write(tmp_path, [hello(), *passing(), _POWER_DOWN], boot=BootRecord())
    assert "nothing says which boot the guest's report is of" in replay(tmp_path).notes


@pytest.mark.parametrize("log", ["emulator-int3-6.12.43.log", "emulator-flags-6.12.43.log"])
@pytest.mark.parametrize(
    ("begun", "where", "outcomes"),
    [
        (_AMID, f"in {PLAN[1]}", ["passed", "missing"]),
        ([hello(), *passing()], "while powering off", ["passed", "passed"]),
    ],
)
def test_a_guest_that_the_emulation_ended(
    tmp_path: Path, log: str, begun: list[Said], where: str, outcomes: list[str]
) -> None:
    """What a real guest said as it died of QEMU's fault at boot, said later on."""
    death: list[Said] = [ConsoleLine(12.6, text) for text in death_in(log)]
    seen = result(tmp_path, [*begun, *death], _RESET)
    assert (seen.status, seen.status_exit) == (Status.INTERRUPTED, ExitCode.INFRASTRUCTURE)
    assert seen.status_reason.startswith("QEMU's emulation failed (Oops: ")
    assert seen.status_reason.endswith(where)
    assert _outcomes(seen) == outcomes
    assert seen.boots[0].killed
