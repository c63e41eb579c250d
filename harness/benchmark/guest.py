"""Boots one guest that measures, and takes what it measured.

QEMU's ``-icount shift=0`` makes the guest's clocks go by the instructions that it executes, one
nanosecond each, whatever else the machine does meanwhile. Emulation is then on one thread
(``tcg_cpus_icount``), so the guest has one CPU. ``sleep=off``: an idle guest is not waited for.
Where cycles or nanoseconds are counted it has one CPU as well, on which all is that is counted.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from harness.benchmark.plan import Plan
from harness.errors import BootError, InfrastructureError, Interrupted
from harness.guest.inside.counting import INSTRUCTIONS
from harness.guest.messages import ConsoleLine, Ended, Message, RecordLine
from harness.guest.observe import KERNEL_ARGUMENTS
from harness.guest.session import GuestSettings, Session
from harness.guest.vng import Root
from harness.model import BootableKernel

RECORDS = "records.jsonl"
CONSOLE = "console.log"
#: Addresses of user space are the same in each boot. So is what depends on them.
_ARGUMENTS = (*KERNEL_ARGUMENTS, "norandmaps", "nokaslr", "quiet")
_ICOUNT = ("-icount", "shift=0,sleep=off")
#: Emulation that counts takes three times as long as one that does not, and hosts are busy.
_BOOT_SECONDS = 600.0
_ROW_SECONDS = 300.0  # the longest silence after it


@dataclass(frozen=True)
class Told:
    """What one guest said."""

    ready: dict[str, Any]
    calibration: dict[str, list[int]]
    rows: tuple[dict[str, Any], ...]
    openssl: str
    drivers: dict[str, str]
    seconds: float  # since the start of vng


def settings(root: Root, unit: str, accel: str, cpu: str, append: tuple[str, ...]) -> GuestSettings:
    """How the guest is run in which ``unit`` is counted.

    ``cpu`` as QEMU takes it, ``append`` are further kernel arguments.
    """
    return GuestSettings(
        root=root,
        accel=accel,
        cpus=1,
        append=(*_ARGUMENTS, *append),
        program="benchmark.py",
        qemu_options=(*(_ICOUNT if unit == INSTRUCTIONS else ()), "-cpu", cpu),
    )


def measure(
    kernel: BootableKernel,
    how: GuestSettings,
    payload: Path,
    plan: Plan,
    directory: Path,
    stop: threading.Event,
    tell: Callable[[str, float | None], None],
) -> Told:
    """Boot ``kernel`` and have it measure ``plan``.

    Console and records go to files in ``directory`` as they come. ``tell`` hears what is done
    and which part of it is. Raises BootError, InfrastructureError, Interrupted.
    """
    with (
        (directory / CONSOLE).open("w", encoding="utf-8", errors="replace") as console,
        (directory / RECORDS).open("w", encoding="utf-8") as records,
        Session(kernel, how, payload) as session,
    ):
        (directory / "vng.txt").write_text(session.again())
        tell("booting", None)
        heard = _Heard(plan)
        while not heard.done:
            if stop.is_set():
                raise Interrupted("interrupted")
            message = session.next(session.elapsed() + 0.5)
            _write(message, console, records)
            heard.take(message, kernel, session.elapsed())
            if heard.asks:
                session.send(json.dumps({"type": "start", **plan.order()}).encode() + b"\n")
                heard.asks = False
            tell(heard.activity, heard.share)
        seconds = session.elapsed()
        for message in session.drain():
            _write(message, console, records)
        return heard.told(seconds)


def _write(message: Message, console: TextIO, records: TextIO) -> None:
    if isinstance(message, ConsoleLine):
        console.write(f"[{message.seconds:9.3f}] {message.text}\n")
        console.flush()
    elif isinstance(message, RecordLine):
        records.write(message.text + "\n")
        records.flush()


class _Heard:
    """Keeps account of what a guest says, and of its silence."""

    def __init__(self, plan: Plan) -> None:
        self._planned = plan.rows()
        self._ready: dict[str, Any] = {}
        self._calibration: dict[str, list[int]] = {}
        self._rows: list[dict[str, Any]] = []
        self._openssl = ""
        self._drivers: dict[str, str] = {}
        self._last = 0.0
        self._said = ""  # the console's last line
        self.asks = False  # the guest waits for the plan
        self.done = False
        self.activity = "booting"

    @property
    def share(self) -> float | None:
        """Of the rows, those that are there."""
        return len(self._rows) / self._planned if self._ready else None

    def take(self, message: Message, kernel: BootableKernel, now: float) -> None:
        """Hear one message, or that there is none. Raises BootError, InfrastructureError."""
        if isinstance(message, ConsoleLine) and message.text.strip():
            self._said = message.text.strip()
        elif isinstance(message, RecordLine):
            self._last = now
            self._record(message.text, kernel)
        elif isinstance(message, Ended) and not self.done:
            kind = InfrastructureError if self._ready else BootError
            raise kind(f"{kernel.spec}: the guest ended; it said last: {self._said}")
        limit = _ROW_SECONDS if self._ready else _BOOT_SECONDS
        if now - self._last > limit and not self.done:
            what = "while measuring" if self._ready else "while booting"
            raise BootError(f"{kernel.spec}: nothing heard for {limit:g} s {what}; {self._said}")

    def _record(self, text: str, kernel: BootableKernel) -> None:
        try:
            record = json.loads(text)
            kind = record.pop("type")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InfrastructureError(
                f"{kernel.spec}: the guest sends what no program of ours does: {text[:80]!r}"
            ) from error
        if kind == "ready":
            if record["af_alg_error"]:
                raise InfrastructureError(f"{kernel.spec}: no AF_ALG: {record['af_alg_error']}")
            self._ready, self.asks, self.activity = record, True, "measuring"
        elif kind == "calibration":
            self._calibration = record
        elif kind == "row":
            self._rows.append(record)
        elif kind == "failed":
            last = record["trace"].strip().splitlines()[-1]
            raise InfrastructureError(f"{kernel.spec}: measuring failed in the guest: {last}")
        elif kind == "end":
            if len(self._rows) != self._planned:
                raise InfrastructureError(
                    f"{kernel.spec}: of {self._planned} rows the guest sent {len(self._rows)}"
                )
            self._openssl, self._drivers = record["openssl"], record["drivers"]
            self.done = True

    def told(self, seconds: float) -> Told:
        """All of it."""
        rows = tuple(self._rows)
        return Told(self._ready, self._calibration, rows, self._openssl, self._drivers, seconds)
