"""What a run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.defaults import CONFIRM, MOST_BOOTS
from harness.guest.payload import Selection
from harness.judge.expectations import Expectations
from harness.kernels.sources import KernelSources
from harness.model import Shard


@dataclass(frozen=True)
class RunOptions:
    """What ``afalg-harness run`` was asked to do."""

    specs: tuple[str, ...]
    baseline: str | None  # spec; None: the first of several specs
    sources: KernelSources
    out: Path
    command: str
    expectations: Expectations
    selection: Selection = field(default_factory=Selection)
    jobs: int | None = 1  # guests at once; None: as many as the host has room for
    accel: str = "auto"
    root: str = "image"  # "image", "host", or a path
    guest_suite: str | None = None  # of Debian, that the image is of; None: the newest stable one
    append: tuple[str, ...] = ()
    suite_timeout: float | None = None  # seconds
    boots: int = MOST_BOOTS  # of one kernel, for each repetition of the plan
    repeat: int = 1  # how often the whole plan is run
    confirm: int = CONFIRM  # how often what was lost is run again before it is said
    reuse: bool = False  # take stored results of the same kernels instead of booting them
    dump_memory: Path | None = None  # directory for the memory of guests that stand still
    executor: str = "local"  # where guests are: as ``--executor``
    shard: Shard | None = None  # ``specs`` are its own kernels; None: all there are
