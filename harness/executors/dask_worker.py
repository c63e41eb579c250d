"""What runs in a worker of a Dask cluster: one kernel's work, and what ends it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from harness.executors.work import Done, Guests, Work, control_kernel, do, fingerprint
from harness.faults import tell
from harness.guest.accel import qemu_version
from harness.progress import Progress, Tone

#: The resource of Dask of which each guest takes one (``dask worker --resources vm=1``).
RESOURCE = "vm"
#: Seconds within which a guest is ended for whose result nobody waits any more.
_LOOK_SECONDS = 1.0
_REPORT_SECONDS = 1.0  # between two reports of one activity

_lock = threading.Lock()
_stops: dict[str, threading.Event] = {}
_stopped: set[str] = set()  # also of what has not begun


@dataclass(frozen=True)
class Seen:
    """What a worker says of itself."""

    guests: int  # at once
    fingerprint: str
    problem: str = ""  # why no guest can be started there


def look(dask_worker: object) -> Seen:
    """What the worker is good for. (Dask passes it, by the name of the parameter.)"""
    state = dask_worker.state  # type: ignore[attr-defined]
    problem = ""
    try:
        qemu_version()
    except Exception as error:  # noqa: BLE001  (said where it is asked)
        problem = tell(error).line
    offered = int(state.total_resources.get(RESOURCE, 0))
    return Seen(min(offered, state.nthreads), fingerprint(), problem)


def stop_work(ids: list[str]) -> None:
    """End the guests of these works, be they running, waiting or not here at all."""
    with _lock:
        _stopped.update(ids)
        for one in ids:
            if one in _stops:
                _stops[one].set()


def work_on(work: Work, topic: str) -> Done:
    """Do ``work``; what it is doing goes to ``topic``. Raises as ``do`` does."""
    with _stoppable(work.id) as stop:
        return do(work, _Told(topic, work.id), stop)


def control(guests: Guests, append: tuple[str, ...], release: str, name: str) -> str | None:
    """``work.control_kernel`` on this machine; ``name`` is by what it is stopped."""
    with _stoppable(name) as stop:
        return control_kernel(guests, append, release, stop)


@contextlib.contextmanager
def _stoppable(name: str) -> Iterator[threading.Event]:
    """An event that is set when the work is to end: by word, or as nobody waits for it."""
    stop, over = threading.Event(), threading.Event()
    with _lock:
        if name in _stopped:
            stop.set()
        _stops[name] = stop
    watch = _watch_task(stop, over)
    try:
        yield stop
    finally:
        over.set()
        watch.join()
        with _lock:
            del _stops[name]
            _stopped.discard(name)


def _watch_task(stop: threading.Event, over: threading.Event) -> threading.Thread:
    """Set ``stop`` once the scheduler wants this task no more (its client was killed)."""
    from distributed import get_worker  # noqa: PLC0415  (slow; there where this runs)

    worker = get_worker()
    key = worker.get_current_task()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            task = worker.state.tasks.get(key)
            if task is None or task.state == "cancelled":
                stop.set()
                return

    thread = threading.Thread(target=watch, name="task", daemon=True)
    thread.start()
    return thread


class _Told(Progress):
    """Tells whoever waits what is being done, by way of the scheduler."""

    def __init__(self, topic: str, work: str) -> None:
        from distributed import get_worker  # noqa: PLC0415

        self._worker = get_worker()
        self._topic, self._work = topic, work
        self._lock = threading.Lock()
        self._last = ("", 0.0)

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        """Pass on what is new, and how far it is, once a second."""
        now = time.monotonic()
        with self._lock:
            said, when = self._last
            if said == activity and now - when < _REPORT_SECONDS:
                return
            self._last = activity, now
        self._tell("report", subject, activity, fraction, detail)

    def fails(self, subject: str, what: str) -> None:
        """Pass it on."""
        self._tell("fails", subject, what)

    def answers(self, subject: str, what: str, tone: Tone) -> None:
        """Pass it on."""
        self._tell("answers", subject, what, int(tone))

    def finish(self, subject: str, outcome: str) -> None:
        """Pass it on."""
        self._tell("finish", subject, outcome)

    def _tell(self, *words: str | float | None) -> None:
        with contextlib.suppress(Exception):  # a display that is behind is no reason to fail
            self._worker.log_event(self._topic, [self._work, *words])
