"""Fingerprints: the same report has the same one, another report another."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.judge.fingerprint import fingerprint
from harness.model import ConsoleEvent

TITLE = "WARNING: CPU: 1 PID: 77 at crypto/af_alg.c:300 af_alg_pull_tsgl+0x1/0x9 [af_alg]"
LINES = (
    f"[    7.100000] {TITLE}",
    "[    7.100001] CPU: 1 UID: 0 PID: 77 Comm: python3 Not tainted 7.3.4 #1",
    "[    7.100002] RIP: 0010:af_alg_pull_tsgl+0x1/0x9 [af_alg]",
    "[    7.100003] Call Trace:",
    "[    7.100004]  __warn+0x80/0x130",
    "[    7.100005]  ? ret_from_fork+0x1/0x2",
    "[    7.100006]  skcipher_recvmsg.constprop.0+0x1f0/0x500 [algif_skcipher]",
    "[    7.100007]  sock_recvmsg+0x90/0xa0",
    "[    7.100008]  __sys_recvfrom+0xc0/0x140",
)
EVENT = ConsoleEvent("warning", TITLE, 7.1, "a::b", LINES)


def test_shape() -> None:
    assert re.fullmatch("[0-9a-f]{8}", fingerprint(EVENT))


def test_another_boot_and_build() -> None:
    def moved(line: str) -> str:
        line = line.replace("CPU: 1", "CPU: 0").replace("PID: 77", "PID: 1234")
        return line.replace("+0x1f0/0x500", "+0x33/0x44").replace(":300", ":312")

    other = replace(
        EVENT,
        title=moved(TITLE),
        seconds=99.0,
        test="",
        lines=tuple(moved(line).replace("7.1", "8.2") for line in LINES),
    )
    assert fingerprint(other) == fingerprint(EVENT)


def test_decoded_trace() -> None:
    decoded = tuple(
        re.sub(
            r"(\S+)\+0x\w+/0x\w+ ?\[?(\w*)\]?$", r"\1 (a/b.c:7 c/d.h:8 (discriminator 2)) \2", line
        )
        for line in LINES
    )
    assert decoded[-1].endswith("__sys_recvfrom (a/b.c:7 c/d.h:8 (discriminator 2)) ")
    assert fingerprint(replace(EVENT, lines=decoded)) == fingerprint(EVENT)


def test_guesses_do_not_count() -> None:
    """What the kernel found on the stack by chance differs from boot to boot."""
    sure = tuple(line for line in LINES if " ? " not in line)
    assert len(sure) < len(LINES)
    assert fingerprint(replace(EVENT, lines=sure)) == fingerprint(EVENT)


def test_other_reports() -> None:
    elsewhere = tuple(line.replace("skcipher_recvmsg", "aead_recvmsg") for line in LINES)
    assert fingerprint(replace(EVENT, lines=elsewhere)) != fingerprint(EVENT)
    assert fingerprint(replace(EVENT, kind="kasan")) != fingerprint(EVENT)


def test_title_where_there_is_no_trace() -> None:
    def stuck(cpu: int, seconds: int, name: str) -> ConsoleEvent:
        title = f"BUG: soft lockup - CPU#{cpu} stuck for {seconds}s! [{name}:{cpu + 70}]"
        return ConsoleEvent("soft_lockup", title, 1.0, lines=(title,))

    assert fingerprint(stuck(0, 22, "python3")) == fingerprint(stuck(1, 26, "python3"))
    assert fingerprint(stuck(0, 22, "python3")) != fingerprint(stuck(0, 22, "kworker"))
