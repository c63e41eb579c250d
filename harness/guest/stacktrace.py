"""Names file and line in the stack traces of kernels that were built with debug information.

The kernel's own scripts/decode_stacktrace.sh does it, the copy that belongs to the kernel:
it takes lines of a console and appends to each ``function+0x12/0x34`` where that is.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.errors import HostError, InfrastructureError, Interrupted
from harness.guest.console import PREFIX
from harness.model import FATAL, BootableKernel, ConsoleEvent, KernelResult
from harness.processes import find_program, helper, search_path
from harness.scratch import scratch_directory

#: Seconds for all traces of a kernel; a new address takes one or two.
TIME_LIMIT = 120.0

_ADDRESS = re.compile(r"[^+ ]\+0x[0-9a-f]+/0x[0-9a-f]+")


def decoded(result: KernelResult, kernel: BootableKernel) -> KernelResult:
    """``result`` with its console events decoded, if ``kernel`` has symbols.

    What cannot be decoded, or not in time, stays as it is; a note then says why.
    """
    events = [
        *result.console_events,
        *(event for boot in result.boots for event in boot.console_events),
    ]
    lines = [line for event in events for line in event.lines]
    if kernel.symbols is None or not any(map(_ADDRESS.search, lines)):
        return result
    known, problem = _decode(dict.fromkeys(filter(None, map(_traced, lines))), kernel)
    note = () if not problem else (f"stack traces are not decoded in full: {problem}",)
    return replace(
        result,
        notes=(*result.notes, *note),
        console_events=_with_places(result.console_events, known),
        boots=tuple(
            replace(boot, console_events=_with_places(boot.console_events, known))
            for boot in result.boots
        ),
        # Of a test that the kernel died in, these are the lines of its console.
        tests=tuple(
            replace(
                test,
                details="\n".join(_with_place(line, known) for line in test.details.split("\n")),
            )
            if test.outcome in FATAL
            else test
            for test in result.tests
        ),
    )


def _with_places(
    events: Iterable[ConsoleEvent], known: Mapping[str, str]
) -> tuple[ConsoleEvent, ...]:
    return tuple(
        replace(event, lines=tuple(_with_place(line, known) for line in event.lines))
        for event in events
    )


def _traced(line: str) -> str:
    """What of a console's line is to be decoded; "" if nothing is."""
    text = PREFIX.sub("", line).strip()
    # The script hands code to another one, and takes a backslash for an escape.
    if not _ADDRESS.search(text) or "Code:" in text or "\\" in text:
        return ""
    return text


def _with_place(line: str, known: Mapping[str, str]) -> str:
    text = _traced(line)
    return line.rstrip().removesuffix(text) + known[text] if text in known else line


def _decode(texts: Iterable[str], kernel: BootableKernel) -> tuple[dict[str, str], str]:
    """Each of ``texts`` that could be decoded -> what it is then; what went wrong, or ""."""
    assert kernel.symbols is not None
    wanted = list(texts)
    argv: list[str | Path] = ["bash", kernel.symbols / "decode_stacktrace.sh"]
    argv += [kernel.symbols / "vmlinux", "auto"]
    argv += [kernel.modules_tree] if kernel.modules_tree is not None else []
    problem = ""
    with scratch_directory() as place:
        given, made = place / "given", place / "made"
        given.write_text("".join(f"{text}\n" for text in wanted), encoding="utf-8")
        try:
            for program in ("addr2line", "nm"):
                find_program(program)
            with (
                given.open() as stdin,
                made.open("w") as stdout,
                helper(
                    argv,
                    stdin=stdin.fileno(),
                    stdout=stdout.fileno(),
                    stderr=subprocess.DEVNULL,
                    # No server is asked for symbols.
                    environment={"PATH": search_path(), "LANG": "C.UTF-8", "DEBUGINFOD_URLS": ""},
                ) as process,
            ):
                status = process.wait(TIME_LIMIT)
            if status != 0:
                problem = f"decode_stacktrace.sh failed ({status})"
        except subprocess.TimeoutExpired:
            problem = f"it took longer than {TIME_LIMIT:.0f} s"
        except Interrupted:
            problem = "interrupted"
        except HostError as error:
            problem = str(error)
        except (InfrastructureError, OSError) as error:
            problem = f"decode_stacktrace.sh: {error}"
        said = made.read_text(encoding="utf-8", errors="replace") if made.exists() else ""
    # It writes a line for each that it reads; one that was cut short has no end.
    lines = [line.strip() for line in said.split("\n")[:-1]]
    if not problem and len(lines) != len(wanted):
        return {}, f"decode_stacktrace.sh made {len(lines)} lines of {len(wanted)}"
    pairs = zip(wanted, lines, strict=False)
    # Where it finds no place it still takes the brackets off a module's name.
    return {text: line for text, line in pairs if _addresses(line) < _addresses(text)}, problem


def _addresses(text: str) -> int:
    return len(_ADDRESS.findall(text))
