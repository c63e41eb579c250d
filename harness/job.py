"""One kernel's share of a run: boot after boot until nothing is left to run.

What is to be done is a value that can be sent anywhere; what only the machine that does it
has (its directories, its display, its signals) is in a ``Workplace`` of its own.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import Interrupted
from harness.first_answer import FirstAnswer
from harness.guest.accel import Accel
from harness.guest.heard import Heard
from harness.guest.journal import EVENTS, take_in
from harness.guest.observe import Deadlines, Listener, boot_once, observe
from harness.guest.patience import known_times
from harness.guest.payload import whole_files
from harness.guest.plans import forget_plan, keep_plan
from harness.guest.replay import replay
from harness.guest.schedule import WHOLE, Limits, Order, next_order
from harness.guest.session import GuestSettings
from harness.guest.stacktrace import decoded
from harness.guest.vng import Root
from harness.kernels.image.config import crypto_config
from harness.model import BootableKernel, CodeFinding, KernelResult, Purpose, Role, Status
from harness.processes import interruptible
from harness.progress import PartialProgress, Progress
from harness.sharing import asked_beside, files_beside
from harness.static.reading import read_code

#: In a kernel's directory, what belongs to a guest that runs beside the first.
_BESIDE = "beside"


@dataclass(frozen=True)
class KernelJob:
    """What is to be done with one kernel."""

    spec: str
    role: Role
    test_seconds: float  # that one test may take
    suite_seconds: float | None = None  # that all tests of a boot may take
    append: tuple[str, ...] = ()  # kernel arguments
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Workplace:
    """Where it is done."""

    root: Root
    payload: Path
    directory: Path  # of this kernel's files; it must exist
    accel: Callable[[BootableKernel], Accel]
    stop: threading.Event  # set when everything is to end
    progress: Progress
    dump_memory: Path | None = None  # directory for the memory of guests that stand still
    guests: int = 1  # that a kernel may have at once


def run_kernel(job: KernelJob, kernel: BootableKernel, place: Workplace) -> KernelResult:
    """Boot ``kernel`` as often as ``job`` takes; what was observed, not judged yet.

    Goes on where the files in the workplace's directory end, if they hold boots already.
    """
    config: dict[str, str] = {}
    if kernel.config is not None:
        with contextlib.suppress(OSError):
            shutil.copyfile(kernel.config, place.directory / "config")
            config = crypto_config(kernel.config)
    answer = FirstAnswer(job.spec, job.role, place.progress, place.directory)
    with ThreadPoolExecutor(1, thread_name_prefix="code") as reader:
        reading = reader.submit(read_code, kernel)
        reading.add_done_callback(answer.read)
        observed = _boot_until_done(job, kernel, place, answer)
    return _completed(observed, kernel, place, config, reading.result())


def confirm_kernel(
    job: KernelJob,
    kernel: BootableKernel,
    place: Workplace,
    before: KernelResult,
    tests: Sequence[str],
    times: int,
) -> KernelResult:
    """Run ``tests`` once more alone, ``times`` over in fresh boots; what all boots come to.

    ``before`` is what was observed so far. A boot of which nothing is heard is made up for once.
    """
    observed = before
    for _ in range(2 * times):
        confirmed = [
            boot
            for boot in observed.boots
            if boot.purpose is Purpose.CONFIRM and boot.identity is not None
        ]
        if len(confirmed) >= times or place.stop.is_set():
            break
        observed = _boot(job, kernel, place, Order(Purpose.CONFIRM, tuple(tests)))
    return _completed(observed, kernel, place, before.config, before.code)


def reports(kernel: BootableKernel, append: tuple[str, ...], place: Workplace) -> bool:
    """Whether a guest of ``kernel``, booted as those of a job with this ``append``, reports.

    It is ended then, and nothing is run in it. Raises InputError if it cannot be a guest.
    """
    accel, heard = place.accel(kernel).name, _OwnStop(place.stop)

    def heed(told: Heard) -> None:
        if told.identity is not None:
            heard.set()

    settings = GuestSettings(root=place.root, accel=accel, append=append)
    boot_once(
        kernel,
        Role.CANDIDATE,
        settings,
        place.payload,
        Deadlines.for_accel(accel, 0),
        place.directory,
        heard,
        place.progress,
        WHOLE,
        heed,
    )
    result = replay(place.directory)
    return result.identity is not None and result.status is not Status.BOOT_FAILED


def _boot_until_done(
    job: KernelJob, kernel: BootableKernel, place: Workplace, answer: FirstAnswer
) -> KernelResult:
    take_in(place.directory, place.directory / _BESIDE)
    observed = replay(place.directory) if (place.directory / EVENTS).exists() else None
    while not place.stop.is_set():
        plan, boots = (observed.plan, observed.boots) if observed else ((), ())
        order = next_order(plan, boots, job.limits)
        if order is None:
            break
        files = whole_files(place.payload) if order == WHOLE and place.guests > 1 else ()
        theirs = files_beside(files, known_times().files) if not boots else ()
        if theirs:
            beside = Order(Purpose.BESIDE, asked_beside(files, theirs))
            observed = _boot_two(job, kernel, place, (Order(left=theirs), beside), answer)
        else:
            observed = _boot(job, kernel, place, order, answer.heed)
        if not boots:
            _learn_plan(place, observed)
    if observed is None:
        raise Interrupted("stopped before it was booted")
    return observed


def _learn_plan(place: Workplace, observed: KernelResult) -> None:
    """Keep what the first boot planned, for guests to come."""
    if observed.status is Status.COMPLETED and not observed.collection_errors:
        keep_plan(place.payload, place.root, observed.plan)
    elif not any(boot.stopped for boot in observed.boots):  # it may not be what the suite has
        forget_plan(place.payload, place.root)


def _boot_two(
    job: KernelJob,
    kernel: BootableKernel,
    place: Workplace,
    orders: tuple[Order, Order],
    answer: FirstAnswer,
) -> KernelResult:
    """Boot it, and once more beside that when the first answer stands.

    The second guest's files are its own until both have ended. If the first guest ends without
    that answer the second one comes after it.
    """
    accel, stop = place.accel(kernel).name, _OwnStop(place.stop)
    own = place.directory / _BESIDE
    own.mkdir(exist_ok=True)
    deadlines = Deadlines.for_accel(accel, job.test_seconds, job.suite_seconds)
    settings = _settings(job, place, accel)
    first, second = orders
    common = (kernel, job.role, settings, place.payload, deadlines)
    with ThreadPoolExecutor(1, thread_name_prefix="beside") as other:
        progress = PartialProgress(place.progress)
        beside: list[Future[None]] = []  # one or none

        def begin() -> None:
            if not beside:
                arguments = (*common, own, stop, progress, second)
                beside.append(other.submit(boot_once, *arguments, elsewhere=1))

        def heed(heard: Heard) -> None:
            answer.heed(heard)
            if answer.is_over.is_set():
                begin()

        try:
            boot_once(*common, place.directory, stop, place.progress, first, heed)
        except BaseException:
            stop.set()
            raise
        if not stop.is_set():
            begin()
            place.progress.report(kernel.spec, "waiting for the second guest")
        for one in beside:
            one.result()
    take_in(place.directory, own)
    return replay(place.directory)


class _OwnStop(threading.Event):
    """Set where all is to end, or for reasons of a guest's own."""

    def __init__(self, all_of_it: threading.Event) -> None:
        super().__init__()
        self._all_of_it = all_of_it

    def is_set(self) -> bool:
        """Whether it is set."""
        return super().is_set() or self._all_of_it.is_set()


def _boot(
    job: KernelJob,
    kernel: BootableKernel,
    place: Workplace,
    order: Order,
    listener: Listener = lambda _: None,
) -> KernelResult:
    accel = place.accel(kernel).name
    return observe(
        kernel,
        job.role,
        _settings(job, place, accel),
        place.payload,
        Deadlines.for_accel(accel, job.test_seconds, job.suite_seconds),
        place.directory,
        place.stop,
        place.progress,
        order,
        listener,
    )


def _settings(job: KernelJob, place: Workplace, accel: str) -> GuestSettings:
    return GuestSettings(
        root=place.root, accel=accel, append=job.append, dump_memory=place.dump_memory
    )


def _completed(
    observed: KernelResult,
    kernel: BootableKernel,
    place: Workplace,
    config: Mapping[str, str],
    code: tuple[CodeFinding, ...],
) -> KernelResult:
    """What was observed, with what the host knows beside it."""
    if kernel.symbols is not None and not place.stop.is_set():
        place.progress.report(kernel.spec, "decoding stack traces")
        with interruptible(place.stop):
            observed = decoded(observed, kernel)
    return replace(observed, exact=kernel.exact, config=config, code=code)
