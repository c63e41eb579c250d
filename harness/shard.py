"""Which kernels of a run fall to which of several machines.

The shards of a run do not know of each other. So what falls to one follows from what all of
them are given alike: the kernels that are named and, if it is given, a file with how long each
took. The store of this machine is not asked: those of two machines may differ, and then a
kernel would run on both of them, or on none.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.model import Role, RunResult, Shard, Status
from harness.report import results_file
from harness.run_options import RunOptions


def narrowed(
    options: RunOptions, roles: Sequence[tuple[str, Role]], number: int, count: int, times: Times
) -> RunOptions:
    """``options`` for shard ``number`` of ``count``: with the kernels that fall to it alone.

    ``roles`` are all kernels of the whole run (``planned_roles``). Each shard has the baseline,
    so that it can compare, and run again what was lost. Its ``specs`` are empty if no
    candidate falls to it.
    """
    candidates = [spec for spec, role in roles if role is Role.CANDIDATE]
    baseline = next((spec for spec, role in roles if role is Role.BASELINE), None)
    mine = shared_out(candidates, count, times)[number - 1]
    whole = Shard(number, count, tuple(spec for spec, _ in roles))
    return replace(options, specs=mine, baseline=baseline, shard=whole)


#: Seconds by spec.
Times = Mapping[str, float]


def shared_out(specs: Sequence[str], count: int, times: Times) -> list[tuple[str, ...]]:
    """The ``specs`` of each of ``count`` shards: the same for the same specs, in any order.

    The longest first, each to whom has the least to do so far. One whose time is not known
    counts as the mean of the others. Among equals a hash decides, which is the same anywhere.
    """
    known = {spec: times[spec] for spec in specs if spec in times}
    mean = math.fsum(known.values()) / len(known) if known else 1.0
    order = sorted(specs, key=lambda spec: (-known.get(spec, mean), _digest(spec)))
    loads = [(0.0, number) for number in range(count)]
    falls_to: dict[str, int] = {}
    for spec in order:
        load, number = heapq.heappop(loads)
        falls_to[spec] = number
        heapq.heappush(loads, (load + known.get(spec, mean), number))
    return [tuple(spec for spec in specs if falls_to[spec] == number) for number in range(count)]


def _digest(spec: str) -> str:
    return hashlib.sha256(spec.encode()).hexdigest()


def load_times(path: Path) -> dict[str, float]:
    """How long kernels took, from a run directory, a results.json, or what ``runs times`` prints.

    Raises InputError.
    """
    if path.is_dir():
        return dict(_of_run(results_file.load(path)))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--shard-times {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--shard-times {path}: not JSON: {error}") from error
    if isinstance(data, dict) and "schema" in data:
        return dict(_of_run(results_file.structured(data, str(path))))
    if not isinstance(data, dict) or not all(map(_is_time, data.values())):
        raise InputError(
            f"--shard-times {path}: neither a run nor an object of kernel specs with seconds"
        )
    return {spec: float(seconds) for spec, seconds in data.items()}


def _is_time(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < math.inf  # type: ignore[operator]


def _of_run(run: RunResult) -> Iterator[tuple[str, float]]:
    for kernel in run.kernels:
        if kernel.status is Status.COMPLETED and kernel.wall_seconds:
            yield kernel.spec, kernel.wall_seconds
