"""Runs of real guests that ended in each way: their files say what the live run said.

Each folder of ``runs`` is a run directory as it was written, with what is of no matter here
(the boot's chatter, kernel configs) left out of its files.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge.conclude import conclude
from harness.judge.expectations import run_expectations
from harness.model import Hang, Outcome, RunResult, Status
from harness.replayed import replay_run
from harness.report import results_file

_RUNS = Path(__file__).parent / "runs"

#: Name of the run -> how its kernel's last boot ended, why, where, and the run's exit code.
_ENDINGS = {
    "failure": (Status.COMPLETED, "", "", 1),
    "panic": (
        Status.CRASHED,
        "Kernel panic - not syncing: sysrq triggered crash",
        "panic/test_it.py::test_panics",
        1,
    ),
    "oops": (Status.CRASHED, "Kernel panic - not syncing", "oops/test_it.py::test_oopses", 1),
    "reports": (Status.COMPLETED, "", "", 1),
    "quiet": (Status.COMPLETED, "", "", 1),
    "hang": (
        Status.HUNG,
        "nothing heard for 23 s while running hang/test_it.py::test_hangs",
        "hang/test_it.py::test_hangs",
        1,
    ),
    "blocked": (
        Status.HUNG,
        "nothing heard for 15 s while running blocked/test_it.py::test_sleeps_uninterruptibly,"
        " which is in uninterruptible sleep in kernel_clone",
        "blocked/test_it.py::test_sleeps_uninterruptibly",
        1,
    ),
    "silent": (
        Status.HUNG,
        "nothing heard for 50 s while running silent/test_it.py::test_takes_every_cpu,"
        " nor any sign of life",
        "silent/test_it.py::test_takes_every_cpu",
        1,
    ),
    "paused": (
        Status.INTERRUPTED,
        "QEMU does not run the guest: io-error (No space left on device)"
        " in paused/test_it.py::test_writes_more_than_the_host_has_room_for",
        "",
        3,
    ),
    "off": (Status.HUNG, "did not power off within 20 s", "", 1),
    "flood": (
        Status.CRASHED,
        "Kernel panic - not syncing: sysrq triggered crash",
        "smallflood/test_it.py::test_panics",
        1,
    ),
    "poweroff": (Status.HUNG, "did not power off within 120 s", "", 1),
    "nomem": (
        Status.BOOT_FAILED,
        "Kernel panic - not syncing: System is deadlocked on memory",
        "",
        3,
    ),
    "noroot": (
        Status.BOOT_FAILED,
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
        "",
        1,
    ),
    "sigkill": (
        Status.INTERRUPTED,
        "QEMU was killed from outside (SIGKILL, or a fault of its own)"
        " in killed/test_it.py::test_waits",
        "",
        3,
    ),
    "stopped": (
        Status.INTERRUPTED,
        "QEMU does not answer its monitor within 10 s (its process is stopped)"
        " in stopped/test_it.py::test_waits",
        "",
        3,
    ),
    "stands": (
        Status.INTERRUPTED,
        "QEMU does not answer its monitor within 10 s (its process is stopped) while booting",
        "",
        3,
    ),
    "sigterm": (
        Status.INTERRUPTED,
        "QEMU was killed from outside (SIGTERM) in killed/test_it.py::test_waits",
        "",
        3,
    ),
    "interrupted": (Status.INTERRUPTED, "stopped in killed/test_it.py::test_waits", "", 130),
}


#: What stood still, in the runs of since that is told.
_HANGS = {
    "blocked": [Hang.BLOCKED_TEST],
    "silent": [Hang.KERNEL],
    "paused": [Hang.PAUSED],
    "off": [Hang.POWER_OFF],
    "stopped": [Hang.EMULATOR],
    "stands": [Hang.EMULATOR, Hang.EMULATOR],
}


def _judged(run: RunResult) -> RunResult:
    return conclude(run, run_expectations(run), None)


def test_every_run_is_looked_at() -> None:
    assert sorted(_ENDINGS) == sorted(path.name for path in _RUNS.iterdir())


@pytest.mark.parametrize("name", _ENDINGS)
def test_the_files_say_what_the_live_run_said(name: str) -> None:
    stored, replayed = results_file.load(_RUNS / name), replay_run(_RUNS / name)
    (live,), (again,) = stored.kernels, replayed.kernels
    # Judging, which also charges tests with reports, the config and a word on the boots before
    # are the run's.
    again_told = replace(
        again, verdict=live.verdict, config=live.config, notes=live.notes, tests=live.tests
    )
    assert again_told == live
    judged_tests = [_judged(run).kernels[0].tests for run in (stored, replayed)]
    assert judged_tests[0] == judged_tests[1]
    assert set(again.notes) <= set(live.notes)
    assert _judged(replayed).exit_code == _judged(stored).exit_code


@pytest.mark.parametrize("name", _ENDINGS)
def test_how_it_ended(name: str) -> None:
    status, reason, fatal, code = _ENDINGS[name]
    run = _judged(replay_run(_RUNS / name))
    (kernel,) = run.kernels
    assert kernel.status is status
    assert kernel.status_reason.startswith(reason)
    assert kernel.fatal_test == fatal
    assert kernel.records_lost == 0
    assert run.exit_code == code
    assert not kernel.verdict.ok


@pytest.mark.parametrize("name", _ENDINGS)
def test_what_stood_still(name: str) -> None:
    (kernel,) = replay_run(_RUNS / name).kernels
    assert [boot.hang for boot in kernel.boots if boot.hang] == _HANGS.get(name, [])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("blocked", ("state D in kernel_clone", "sysrq: Show Blocked State", "schedule+0x")),
        ("silent", ("Show backtrace of all active CPUs", "i8042_interrupt")),
    ],
)
def test_what_was_found_out_is_in_the_details_of_the_test(
    name: str, words: tuple[str, ...]
) -> None:
    (kernel,) = replay_run(_RUNS / name).kernels
    (test,) = [test for test in kernel.tests if test.id == kernel.fatal_test]
    assert test.outcome is Outcome.TIMEOUT
    assert all(word in test.details for word in words)


def test_what_a_flood_was_about() -> None:
    """Nine tenths of the console were left out; the report in them and the panic are there."""
    (kernel,) = replay_run(_RUNS / "flood").kernels
    found = [(event.kind, event.test.partition("::")[2]) for event in kernel.console_events]
    assert found == [("kasan", "test_floods_the_console"), ("panic", "test_panics")]
    assert any("the console was cut in its middle" in note for note in kernel.notes)


def test_both_boots_of_a_kernel_that_died_at_boot_are_there() -> None:
    (kernel,) = replay_run(_RUNS / "nomem").kernels
    assert [boot.status for boot in kernel.boots] == [Status.BOOT_FAILED] * 2
    assert [boot.console_events[0].kind for boot in kernel.boots] == ["panic", "panic"]


def test_what_a_silent_console_hid() -> None:
    (kernel,) = replay_run(_RUNS / "quiet").kernels
    assert [(event.kind, event.test.partition("::")[2]) for event in kernel.console_events] == [
        ("lockdep", "test_lockdep"),
        ("ubsan", "test_ubsan"),
    ]
    watch = kernel.console_watch
    assert watch is not None
    assert watch.seen == 0 < watch.written
    assert watch.kernel_log
    assert kernel.ignored_arguments == ("fips_x=1",)


@pytest.mark.parametrize("name", ["failure", "reports", "hang", "panic", "oops", "sigkill"])
def test_a_console_that_speaks_shows_every_line_of_ours(name: str) -> None:
    (kernel,) = replay_run(_RUNS / name).kernels
    watch = kernel.console_watch
    assert watch is not None
    assert watch.seen == watch.written > 0


@pytest.mark.parametrize("name", _ENDINGS)
def test_without_the_records_no_run_is_good(name: str, tmp_path: Path) -> None:
    """Nothing that is left out makes a kernel look better."""
    run = tmp_path / "run"
    shutil.copytree(_RUNS / name, run)
    (events,) = run.glob("kernels/*/events.jsonl")
    lines = events.read_text().splitlines(keepends=True)
    for kept in range(len(lines)):
        events.write_text("".join(lines[:kept]))
        judged = _judged(replay_run(run))
        assert judged.exit_code != 0
        assert not judged.kernels[0].verdict.ok
