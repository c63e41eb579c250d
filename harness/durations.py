"""How long a kernel took in earlier runs, kept in the cache: what a display says is left.

Nothing else rests on it, so that whatever goes wrong with the file is passed over.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from harness.files import write_whole

_NAME = "durations.json"
_KEPT = 50  # selections


def selection_key(accel: str, suites: Sequence[str], arguments: Sequence[str]) -> str:
    """Under which durations are kept: what is run, and how fast the guests are."""
    return json.dumps([accel, sorted(suites), list(arguments)])


def expected_seconds(cache: Path, key: str) -> float | None:
    """Seconds that a kernel took when the same was run last; None if that is not known."""
    seconds = _load(cache).get(key)
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None


def remember(cache: Path, key: str, seconds: float) -> None:
    """Keep how many ``seconds`` a kernel took."""
    with contextlib.suppress(OSError), FileLock(cache / f".{_NAME}.lock"):
        known = {name: value for name, value in _load(cache).items() if name != key}
        kept = dict([*known.items(), (key, round(seconds, 1))][-_KEPT:])
        write_whole(cache / _NAME, json.dumps(kept, indent=1))


def _load(cache: Path) -> dict[str, object]:
    try:
        known = json.loads((cache / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
