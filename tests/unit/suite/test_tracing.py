"""What is read out of the kernel's trace buffer, and of /proc/crypto."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.guest.test_oracle import suite_module

#: As 6.12 writes it; a task may have any name.
_TRACE = b"""\
           <...>-412     [001] .....    37.129283: begin: (splice_to_socket+0x0/0x4b0)
  a: (b) -1 [0]-412     [001] .....    37.129300: copy_0: (af_alg_sendmsg+0x4b2/0x8d0 [af_alg]) \
bytes=4096 sort=4
CPU:1 [LOST 12 EVENTS]
           <...>-413     [000] ...1.    37.129311: end: (sock_splice+0x1/0x2 <- f) taken=-22
"""
_CRYPTO = """\
name         : cbc(aes)
driver       : cbc-aes-aesni
module       : aesni_intel
priority     : 400
refcnt       : 3
selftest     : passed

name         : driver
driver       : refcnt : 5
module       : kernel
refcnt       : 11
selftest     : passed

"""


@pytest.fixture
def tracing() -> ModuleType:
    suite_module("libc")
    return suite_module("tracing")


def heard(tracing: ModuleType, written: bytes) -> Any:
    """What a listener is told."""
    tracer = tracing.Tracer.__new__(tracing.Tracer)
    tracer._pipe, end = os.pipe2(os.O_NONBLOCK)
    os.write(end, written)
    told = tracing.Heard()
    tracer._listeners = [told.add]
    tracer.drain()
    os.close(end)
    os.close(tracer._pipe)
    return told


def test_a_kprobe_that_is_hit_once(
    tracing: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is disabled at once, and taken out at the end, with the others."""
    monkeypatch.setattr(tracing, "_TRACING", tmp_path)
    places = [
        tmp_path / "events/afalg_once",
        *(tmp_path / f"events/afalg_once/once_{n}" for n in (0, 1, 2)),
    ]
    for place in places:
        place.mkdir(parents=True)
        (place / "enable").write_text("?")
    for name in ("kprobe_events", "tracing_on"):
        (tmp_path / name).touch()
    tracer = tracing.Tracer.__new__(tracing.Tracer)
    tracer._listeners, tracer._once, tracer._options = [], [], {}
    tracer._mounted, tracer._was_on = False, "1"
    tracer._pipe, end = os.pipe2(os.O_NONBLOCK)
    for number in (0, 1):
        event = f"once_{number}"
        line = f"  a-1 [000] ..... 1.0: {event}: (f+0x0/0x1) at={number}\n".encode()
        assert (
            tracer.see("f", "at=%ip", lambda line=line: os.write(end, line)).told == f"at={number}"
        )
        assert (tmp_path / f"events/afalg_once/{event}/enable").read_text()[:1] == "0"
    with pytest.raises(OSError, match="was not called"):
        tracer.see("f", "at=%ip", lambda: None)
    set_up = (tmp_path / "kprobe_events").read_text()
    assert set_up.splitlines() == [f"p:afalg_once/once_{n} f at=%ip" for n in (0, 1, 2)]
    tracer.close()
    left = (tmp_path / "kprobe_events").read_text().removeprefix(set_up)
    assert left.splitlines() == [f"-:afalg_once/once_{n}" for n in (0, 1, 2)]
    os.close(end)


def test_calls_are_read_in_their_order(tracing: ModuleType) -> None:
    told = heard(tracing, _TRACE)
    assert [(call.thread, call.event, call.arguments) for call in told.calls] == [
        ("412", "begin", {}),
        ("412", "copy_0", {"bytes": "4096", "sort": "4"}),
        ("413", "end", {"taken": "-22"}),
    ]
    assert told.calls[1].place == "af_alg_sendmsg+0x4b2/0x8d0 [af_alg]"
    assert told.lost


def test_nothing_was_lost(tracing: ModuleType) -> None:
    told = heard(tracing, _TRACE.replace(b"LOST", b"here"))
    assert (len(told.calls), told.lost) == (3, False)
    assert heard(tracing, b"").calls == []


def test_references_to_transforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    suite_module("blocking")
    suite_module("unavailable")
    resources = suite_module("resources")
    (tmp_path / "crypto").write_text(_CRYPTO)
    monkeypatch.setattr(resources, "Path", lambda _: tmp_path / "crypto")
    assert resources.transforms() == {"cbc-aes-aesni": 3, "refcnt : 5": 11}
