"""Stack traces with file and line, by a script that is called as the kernel's own is."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest import stacktrace
from harness.guest.stacktrace import decoded
from harness.model import BootableKernel, ConsoleEvent, KernelResult, Outcome, TestResult
from harness.processes import interruptible
from tests.unit.samples import kernel

#: Like the kernel's: a line out for each line in, leading space lost, places appended.
SCRIPT = """\
test "$2" = auto || exit 3
test "$DEBUGINFOD_URLS" = "" || exit 4
while read line; do
    case $line in
        *af_alg_sendmsg+0x12/0x34*) echo "${line%+0x*} (crypto/af_alg.c:12)${line##*/0x34}" ;;
        *algif_x*) echo "${line%+0x*} ($3)" ;;
        *) echo "$line" | tr -d '[]' ;;
    esac
done
"""
LINES = (
    "[   12.345678][  T123] BUG: KASAN: use-after-free in af_alg_sendmsg+0x12/0x34",
    "[   12.345679][  T123] Call Trace:",
    "[   12.345680][  T123]  <TASK>",
    "[   12.345681][  T123]  ? af_alg_sendmsg+0x12/0x34 (P)",
    "[   12.345682][  T123]  __sock_sendmsg+0x5/0x60",
    "[   12.345683][  T123]  algif_x+0x1/0x2 [algif_hash]",
    "[   12.345683][  T123]  unknown+0x1/0x2 [algif_hash]",
    "[   12.345684][  T123] Code: 48 89 e5 af_alg_sendmsg+0x12/0x34",
    "[   12.345685][  T123] C:\\af_alg_sendmsg+0x12/0x34",
)
DECODED = (
    "[   12.345678][  T123] BUG: KASAN: use-after-free in af_alg_sendmsg (crypto/af_alg.c:12)",
    *LINES[1:3],
    "[   12.345681][  T123]  ? af_alg_sendmsg (crypto/af_alg.c:12) (P)",
    LINES[4],
    "[   12.345683][  T123]  algif_x (/modules of it)",
    *LINES[6:],
)


@pytest.fixture
def bootable(tmp_path: Path) -> BootableKernel:
    """A kernel with symbols and the script above."""
    symbols = tmp_path / "symbols"
    symbols.mkdir()
    (symbols / "vmlinux").write_text("")
    (symbols / "decode_stacktrace.sh").write_text(SCRIPT)
    modules = Path("/modules of it")
    return BootableKernel("x", "7.3.0", Path("/k"), None, modules, None, symbols=symbols)


def _observed(*events: tuple[str, ...]) -> KernelResult:
    lost = TestResult("test_x", Outcome.CRASHED, details="\n".join(LINES))
    failed = TestResult("test_y", Outcome.FAILED, details=LINES[0])
    return replace(
        kernel("7.3.0"),
        console_events=tuple(ConsoleEvent("kasan", "KASAN", 1.0, "t", lines) for lines in events),
        tests=(lost, failed),
        notes=("first",),
    )


def test_decoded(bootable: BootableKernel) -> None:
    result = decoded(_observed(LINES, LINES[3:5]), bootable)
    assert result.console_events[0].lines == DECODED
    assert result.console_events[1].lines == DECODED[3:5]
    assert result.notes == ("first",)
    # The console of the test that the kernel died in; what a test itself said stays.
    assert result.tests[0].details == "\n".join(DECODED)
    assert result.tests[1].details == LINES[0]


def test_nothing_to_decode(bootable: BootableKernel) -> None:
    plain = _observed(LINES[1:3])
    assert bootable.symbols is not None
    (bootable.symbols / "decode_stacktrace.sh").write_text("exit 1")
    assert decoded(plain, bootable) is plain
    crashed = _observed(LINES)
    assert decoded(crashed, replace(bootable, symbols=None)) is crashed


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 7", "decode_stacktrace.sh failed (7)"),
        ("echo one line", "decode_stacktrace.sh made 1 lines of 5"),
        ("cat; echo one more", "decode_stacktrace.sh made 6 lines of 5"),
    ],
)
def test_failure_leaves_the_raw_lines(bootable: BootableKernel, script: str, problem: str) -> None:
    assert bootable.symbols is not None
    (bootable.symbols / "decode_stacktrace.sh").write_text(script)
    result = decoded(_observed(LINES), bootable)
    assert result.console_events[0].lines == LINES
    assert result.notes[1:] == (f"stack traces are not decoded in full: {problem}",)


def test_script_that_is_gone(bootable: BootableKernel) -> None:
    assert bootable.symbols is not None
    (bootable.symbols / "decode_stacktrace.sh").unlink()
    result = decoded(_observed(LINES), bootable)
    assert result.console_events[0].lines == LINES
    assert "decode_stacktrace.sh failed (127)" in result.notes[1]


def test_time_limit_keeps_what_is_decoded(
    bootable: BootableKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bootable.symbols is not None
    monkeypatch.setattr(stacktrace, "TIME_LIMIT", 2.0)
    slow = SCRIPT.replace("        *) echo", "        *) sleep 300; echo")
    (bootable.symbols / "decode_stacktrace.sh").write_text(slow)
    started = time.monotonic()
    result = decoded(_observed(LINES), bootable)
    assert time.monotonic() - started < 10
    assert result.console_events[0].lines == (*DECODED[:5], *LINES[5:])
    assert result.notes[1:] == ("stack traces are not decoded in full: it took longer than 2 s",)


def test_interrupted(bootable: BootableKernel) -> None:
    """What was observed is not lost to a Ctrl-C while it is decoded."""
    assert bootable.symbols is not None
    (bootable.symbols / "decode_stacktrace.sh").write_text("sleep 300")
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with interruptible(stop):
        result = decoded(_observed(LINES), bootable)
    assert result.console_events[0].lines == LINES
    assert "interrupted" in result.notes[1]
