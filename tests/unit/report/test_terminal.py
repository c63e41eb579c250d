"""All that a run says (``-v``): what a person must be able to read off it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Literal

import pytest
from rich.console import Console

from harness.model import (
    Boot,
    CodeWord,
    ConsoleEvent,
    ConsoleWatch,
    RunResult,
    State,
    Status,
    Witness,
)
from harness.report.terminal import print_details
from tests.unit import samples

FOUR = samples.run(samples.old(), samples.new(), samples.crashed(), samples.unavailable())


def printed(result: RunResult, width: int = 80, terminal: bool = False) -> str:
    file = io.StringIO()
    colours: Literal["standard"] | None = "standard" if terminal else None
    console = Console(file=file, width=width, force_terminal=terminal, color_system=colours)
    print_details(result, console)
    return file.getvalue()


def row(text: str, label: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{label} ")]
    return re.split(r"\s{2,}", line.strip())[1:]


def test_main_job() -> None:
    text = printed(samples.main_job())
    for path in samples.PATHS:
        assert row(text, path) == ["present", "absent"]
    assert row(text, "page_cache_write") == ["present", "absent"]
    assert row(text, "af_alg_restrict") == ["none", "1"]
    assert row(text, "functional") == ["6/0/0", "4/0/2"]
    assert row(text, "verdict") == ["baseline", "ok"]
    assert row(text, "status") == ["completed", "completed"]
    assert "accelerator: tcg (KVM stops" in text
    assert "fixed: present -> absent: input is copied" in text
    assert "exit code 0: every candidate is as expected" in text
    assert "linux-modules-7.3.4+deb13-amd64 7.3.4-1: outside the signed index" in text


def test_who_vouches_for_a_state() -> None:
    old = samples.with_code(samples.old(), CodeWord.CAN)
    new = samples.with_code(samples.new(), CodeWord.CANNOT)
    seen = replace(samples.path_fact("aead.sendfile", State.ABSENT), witness=Witness.AGREED)
    text = printed(samples.run(old, samples.with_path(new, "aead.sendfile", seen)))
    assert row(text, "skcipher.splice_file") == ["present p-c", "absent p-c"]
    assert row(text, "aead.sendfile") == ["present p-c", "absent pkc"]
    assert row(text, "page_cache_write") == ["present", "absent"]
    assert "p a probe, k the witness inside the kernel, c the kernel's code" in text
    doubtful = printed(samples.run(samples.with_code(samples.new(), CodeWord.CAN)))
    assert row(doubtful, "skcipher.splice_file") == ["unknown p-!"]
    assert row(doubtful, "verdict") == ["unknown"]
    assert "but af_alg_sendmsg() still calls extract_iter_to_sg()" in doubtful
    assert "exit code 3" in doubtful
    assert "c the kernel's code" not in printed(samples.main_job())


def test_every_failure_is_its_own_word() -> None:
    text = printed(FOUR)
    assert row(text, "status") == ["completed", "completed", "crashed", "unavailable"]
    assert row(text, "verdict") == ["baseline", "ok", "NOT OK", "unknown"]
    assert row(text, "skcipher.splice_file") == ["present", "absent", "-", "-"]
    assert row(text, "taint") == ["0", "0", "-", "-"]
    assert row(text, "never reported") == ["0", "0", "12", "-"]
    assert f"crashed in {samples.path_test(samples.PATHS[0])}: {samples.KASAN}" in text
    assert "not compared: debian:6.19.6+deb13-amd64 unavailable" in text


def test_decoded_stack_traces_show_where() -> None:
    kernel = samples.crashed()
    assert "algif" not in printed(samples.run(kernel))
    report = kernel.console_events[1]
    lines = (
        "[    9.2] BUG: KASAN: use-after-free in af_alg_pull (crypto/af_alg.c:12)",
        "[    9.2]  <TASK>",
        "[    9.2]  dump_stack_lvl (lib/dump_stack.c:94 lib/dump_stack.c:120)",
        "[    9.2]  print_report (mm/kasan/report.c:378)",
        "[    9.2]  kasan_report (mm/kasan/report.c:595)",
        "[    9.2]  ? guessed (crypto/guess.c:1)",
        "[    9.2]  af_alg_pull (crypto/af_alg.c:12)",
        "[    9.2]  algif_send (include/net/sock.h:3 crypto/algif_skcipher.c:34) algif_skcipher",
        "[    9.2]  __sock_sendmsg+0x1/0x2",
        "[    9.2]  ____sys_sendmsg (net/socket.c:2592)",
        "[    9.2]  ___sys_sendmsg (net/socket.c:2646)",
    )
    decoded = replace(report, lines=lines)
    kernel = replace(kernel, console_events=(kernel.console_events[0], decoded, decoded))
    text = printed(samples.run(kernel), width=300)
    assert (
        "    - kasan: af_alg_pull (crypto/af_alg.c:12)"
        " < algif_send (include/net/sock.h:3 crypto/algif_skcipher.c:34)"
        " < ____sys_sendmsg (net/socket.c:2592)\n"
    ) in text
    assert text.count("af_alg_pull (") == 1


def test_loss_shows_in_the_verdict() -> None:
    lost = samples.with_test(samples.new(), samples.skipped(samples.SHA256_TEST, "not today"))
    text = printed(samples.run(samples.old(), lost))
    assert row(text, "verdict") == ["baseline", "lost 1"]
    assert "newly unavailable, unexplained: passed -> skipped" in text


def table(text: str) -> list[str]:
    """The lines of the table of states."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("accelerator: "))
    return lines[begin : lines.index("what the states of the zero-copy paths mean:")]


@pytest.mark.parametrize("number", [3, 7, 79])
def test_table_fits_80_columns(number: int) -> None:
    """On a terminal as many kernels at a time as have room, with names that can be read."""
    kernels = [
        replace(samples.new(), release=f"6.12.{n}+deb13-cloud-amd64", spec=f"debian:6.12.{n}")
        for n in range(10, 10 + number)
    ]
    lines = table(printed(samples.run(samples.old(), *kernels), terminal=True))
    assert max(map(len, lines)) <= 80
    states = [line for line in lines if line.strip().startswith("skcipher.splice_file ")]
    told = " ".join(states).replace("skcipher.splice_file", "").split()
    assert told == ["present", *["absent"] * number]
    # The names are not broken amid a word.
    assert {"6.12.10", "+deb13-cloud", "-amd64"} <= set(" ".join(lines).split())


def test_table_off_a_terminal_has_every_kernel_in_one_line() -> None:
    kernels = [replace(samples.new(), release=f"6.12.{n}") for n in range(79)]
    lines = table(printed(samples.run(samples.old(), *kernels)))
    (states,) = [line for line in lines if line.strip().startswith("skcipher.splice_file ")]
    assert states.split()[1:] == ["present", *["absent"] * 79]
    (names,) = [line for line in lines if line.startswith("kernel ")]
    assert names.split()[1:] == [samples.OLD, *(kernel.release for kernel in kernels)]
    assert names.index("6.12.7 ") == states.index("absent", names.index("6.12.7 "))


def test_no_control_characters_off_a_terminal() -> None:
    odd = samples.failed(samples.SHA256_TEST, "\x1b[2J\x07 [bold]x[/bold] \x9b31m\r\nsecond")
    result = samples.run(samples.old(), samples.with_test(samples.new(), odd))
    text = printed(result)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert "[bold]x[/bold]" in text
    # On a terminal only colours of our own.
    assert set(re.findall(r"\x1b[^m]*m?", printed(result, terminal=True))) <= {
        f"\x1b[{code}m" for code in ("0", "1", "2", "31", "32", "33", "1;31", "1;32")
    }


def test_off_a_terminal_every_item_is_one_line() -> None:
    text = printed(FOUR, width=40)
    assert any(
        line.strip().startswith("- crashed in") and line.endswith("[af_alg]")
        for line in text.splitlines()
    )


def test_colour_on_a_terminal() -> None:
    text = printed(samples.run(samples.regressed()), terminal=True)
    assert re.search(r"\x1b\[1;31mpresent *\x1b\[0m", text)
    assert re.search(r"\x1b\[1;31mNOT OK *\x1b\[0m", text)
    assert re.search(r"\x1b\[32mabsent *\x1b\[0m", text)  # page_cache_write


def test_nothing_is_cut() -> None:
    for terminal in (False, True):
        text = printed(samples.main_job(), terminal=terminal)
        for path in samples.PATHS:
            assert f"    zero_copy.{path}" in text
        for test in samples.PLAN:
            assert test in text


def test_kernels_of_one_release_are_told_apart() -> None:
    two = [replace(samples.new(), spec=f"git:.@{name}") for name in ("aa", "bb")]
    text = printed(samples.run(samples.old(), *two), width=120)
    assert row(text, "spec") == [f"debian:{samples.OLD}", "git:.@aa", "git:.@bb"]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_encoding(encoding: str) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_details(samples.main_job(), Console(file=file, width=80))


def test_wrapped_lines_stand_below_their_beginning() -> None:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", printed(FOUR, terminal=True)).splitlines()
    assert max(map(len, lines)) <= 80
    at = next(i for i, line in enumerate(lines) if line.startswith("  - crashed in"))
    assert lines[at + 1].startswith("    ")


def test_states_of_paths_are_explained() -> None:
    text = printed(samples.main_job())
    lines = text.splitlines()
    at = lines.index("what the states of the zero-copy paths mean:")
    assert lines[at + 1].startswith("  - present: input shares the sender's pages")
    assert lines[at + 2].startswith("  - absent: input is copied")
    assert "aead_aad (splice_file, splice_tmpfs, splice_memfd, sendfile)" in lines[at + 2]


def test_nothing_is_explained_where_no_path_was_probed() -> None:
    text = printed(samples.run(samples.unavailable()))
    assert "what the states" not in text


def test_what_could_not_be_observed_is_unknown() -> None:
    """Not ok for want of knowledge is no NOT OK; a kernel that dies in each boot is."""
    silenced = replace(samples.new(), console_watch=ConsoleWatch(20, 0, kernel_log=True))
    assert row(printed(samples.run(samples.old(), silenced)), "verdict") == ["baseline", "unknown"]
    panic = ConsoleEvent("panic", "Kernel panic - not syncing: x", 0.5)
    dead = Boot(Status.BOOT_FAILED, accel="tcg", console_events=(panic,))
    kernel = replace(samples.boot_failed(), boots=(dead, dead))
    assert row(printed(samples.run(samples.old(), kernel)), "verdict") == ["baseline", "NOT OK"]
