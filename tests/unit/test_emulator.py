"""What is a fault of QEMU's emulation, by logs of real guests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.emulator import emulator_fault, tells_of_emulator_fault
from harness.model import Boot, ConsoleEvent, Status
from tests.unit import samples
from tests.unit.console_logs import scan_log


def _died(events: list[ConsoleEvent], accel: str = "tcg") -> Boot:
    return Boot(Status.BOOT_FAILED, "it died", accel, console_events=tuple(events))


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("emulator-int3-6.12.43.log", "Oops: int3"),
        ("emulator-flags-6.12.43.log", "Oops: double fault"),
    ],
)
def test_guests_that_died_of_one(log: str, said: str) -> None:
    events = scan_log(log)
    fault = emulator_fault(_died(events))
    assert fault is not None
    assert fault.title.startswith(said)
    assert emulator_fault(_died(events, accel="kvm")) is None
    reported = replace(_died(events), identity=samples.new().identity)
    assert emulator_fault(reported) == fault, "proved by what no CPU does"


def test_a_kernel_that_died_by_itself() -> None:
    """Its flags are those of a CPU."""
    events = scan_log("panic-6.12.43.log")
    assert any("EFLAGS: 00000" in line for event in events for line in event.lines)
    assert emulator_fault(_died(events)) is None


@pytest.mark.parametrize(
    ("lines", "told", "proved"),
    [
        (["Oops: int3: 0000 [#1]"], True, False),
        (["Oops: int3: 0000 [#1]", "Code: 55 53 66 <90> e8 81 c6"], True, True),
        (["Oops: int3: 0000 [#1]", "Code: 55 53 cc <90> e8 81 c6"], True, False),
        (["Kernel panic - not syncing: IO-APIC + timer doesn't work!"], True, False),
        (["Oops: 0002 [#1]", "Code: 55 53 66 <90> e8 81 c6"], False, False),
    ],
)
def test_what_a_guest_says_that_had_reported_must_be_proved(
    lines: list[str], told: bool, proved: bool
) -> None:
    title, *more = lines
    boot = _died([ConsoleEvent("oops", title, 1.0, lines=tuple(more))])
    assert (emulator_fault(boot) is not None) is told
    reported = replace(boot, identity=samples.new().identity)
    assert (emulator_fault(reported) is not None) is proved


@pytest.mark.parametrize(
    ("flags", "possible"),
    [
        ("00010246", True),  # RF
        ("003f7fd7", True),  # all that there are
        ("00000244", False),  # without the one that is always set
        ("00400246", False),
        ("10870a02", False),
        ("0000020a", False),
        ("00000222", False),
        ("00008202", False),
    ],
)
def test_flags(flags: str, *, possible: bool) -> None:
    line = f"[    5.224957] RSP: 0018:ff36d34d404737f0 EFLAGS: {flags}"
    assert tells_of_emulator_fault(["Oops: 0000", line]) is not possible


def test_flags_that_tell_nothing() -> None:
    """Those of a program lie in memory that a kernel may spoil; so may what is said later."""
    sane = "RSP: 0018:ff36d34d404737f0 EFLAGS: 00010246"
    spoiled = "RSP: 0018:ff36d34d404737f0 EFLAGS: 10870a02"
    program = "RSP: 002b:00007fffaeb049e0 EFLAGS: 10870a02 ORIG_RAX: 0000000000000101"
    assert not tells_of_emulator_fault([program])
    assert not tells_of_emulator_fault([sane, spoiled])
    assert tells_of_emulator_fault([spoiled, sane])
