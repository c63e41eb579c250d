"""How long kernels took in earlier runs, kept in the cache: what a display says is left, and
which kernel of several goes first.

Nothing else rests on it, so that whatever goes wrong with the file is passed over.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock
from immutabledict import immutabledict

from harness.files import write_whole

_NAME = "durations.json"
_KEPT = 50  # selections
_KERNELS = 200  # of each


def selection_key(accel: str, suites: Sequence[str], arguments: Sequence[str]) -> str:
    """Under which durations are kept: what is run, and how fast the guests are."""
    return json.dumps([accel, sorted(suites), list(arguments)])


@dataclass(frozen=True)
class Durations:
    """What earlier runs of a selection took, in seconds; as far as that is known."""

    each: float | None = None  # a kernel of the last run, on average
    kernels: Mapping[str, float] = field(default_factory=immutabledict)  # by spec

    def of(self, spec: str) -> float:
        """What a kernel may be expected to take; 0 where nothing is known at all."""
        return self.kernels.get(spec, self.each or 0.0)


def recall(cache: Path, key: str) -> Durations:
    """What is known of a selection."""
    known = _load(cache).get(key)
    if not isinstance(known, dict):
        return Durations()
    kernels = known.get("kernels")
    named = kernels.items() if isinstance(kernels, dict) else ()
    took = {spec: seconds for spec, value in named if (seconds := _seconds(value))}
    return Durations(_seconds(known.get("each")), immutabledict(took))


def remember(cache: Path, key: str, took: Mapping[str, float]) -> None:
    """Keep how many seconds each kernel, at least one, took."""
    with contextlib.suppress(OSError), FileLock(cache / f".{_NAME}.lock"):
        others = {name: value for name, value in _load(cache).items() if name != key}
        before = recall(cache, key).kernels
        newest = [*((spec, seconds) for spec, seconds in before.items() if spec not in took)]
        newest += [(spec, round(seconds, 1)) for spec, seconds in took.items()]
        each = round(sum(took.values()) / len(took), 1)
        new = {"each": each, "kernels": dict(newest[-_KERNELS:])}
        kept = dict([*others.items(), (key, new)][-_KEPT:])
        write_whole(cache / _NAME, json.dumps(kept, indent=1))


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _load(cache: Path) -> dict[str, object]:
    try:
        known = json.loads((cache / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
