"""Console logs of real guests, which lie in ``guest/console_logs``."""

from __future__ import annotations

from pathlib import Path

from harness.guest.console import scan
from harness.model import ConsoleEvent

_LOGS = Path(__file__).parent / "guest" / "console_logs"


def read_log(name: str) -> list[tuple[float, str]]:
    """The lines of a stored console.log, each with the host's time in seconds."""
    lines = []
    for line in (_LOGS / name).read_text().splitlines():
        seconds, _, text = line.removeprefix("[").partition("] ")
        lines.append((float(seconds), text))
    assert len(lines) > 200, "a whole boot is longer than that"
    return lines


def scan_log(name: str) -> list[ConsoleEvent]:
    """What is reported in it."""
    return scan(read_log(name))


def death_in(name: str) -> list[str]:
    """The lines in which a guest reports that it dies."""
    texts = [text for _, text in read_log(name)]
    first = next(number for number, text in enumerate(texts) if "Oops: " in text)
    return texts[first:]
