"""Console logs of real guests, which lie in ``guest/console_logs``."""

from __future__ import annotations

from pathlib import Path

from harness.guest.console import scan
from harness.model import ConsoleEvent

_LOGS = Path(__file__).parent / "guest" / "console_logs"


def scan_log(name: str) -> list[ConsoleEvent]:
    """Scan a stored console.log, whose lines begin with the host's time in brackets."""
    lines = []
    for line in (_LOGS / name).read_text().splitlines():
        seconds, _, text = line.removeprefix("[").partition("] ")
        lines.append((float(seconds), text))
    assert len(lines) > 200, "a whole boot is longer than that"
    return scan(lines)
