"""Guests on the workers of a Dask cluster, one for each resource ``vm`` that they offer.

Dask carries work to a worker and its result back. Which worker takes what is decided here
(``slots.py``), and each kernel is sent to a worker by name: so nothing ever waits on a worker,
and when one is lost, that is the kernel that ran there and no other. Dask itself suspects all
tasks that a lost worker held, and fails those that were on several.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import secrets
import signal
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import dask
import distributed

from harness.capacity import default_jobs
from harness.errors import FetchError, HostError, InfrastructureError, Interrupted
from harness.executors.dask_worker import RESOURCE, Seen, control, look, stop_work, work_on
from harness.executors.executor import Directory, Found, PinnedKernel
from harness.executors.packed import Packed, moved, packed, put
from harness.executors.pinned import pin
from harness.executors.slots import Slots
from harness.executors.work import Again, Done, Guests, Work, fingerprint
from harness.guest.image import chosen_suite
from harness.job import KernelJob
from harness.model import HostInfo, ImageContents, KernelResult
from harness.processes import interruptible
from harness.progress import Progress, Tone
from harness.run_options import RunOptions
from harness.scratch import scratch_directory

#: How often a kernel is begun whose worker is lost under it. It may be what kills them.
_ATTEMPTS = 3
_CONNECT_SECONDS = 30
_LOOK_SECONDS = 1.0  # between two looks at which workers there are
_POLL_SECONDS = 0.5
_GATHER_SECONDS = 10.0  # for a result on its way, before its worker is looked for
#: How long a guest that was told to end may take to say what it saw.
_GRACE_SECONDS = 30.0
#: In a kernel's directory: the name of the machine that ran it.
_MACHINE = "machine.txt"

_T = TypeVar("_T")


class _WorkerLost(Exception):
    """The worker is gone that had the work."""


@contextlib.contextmanager
def dask_cluster(where: str, options: RunOptions, progress: Progress) -> Iterator[Cluster]:
    """A cluster to run guests on, for as long as this block.

    ``where`` is the address of a scheduler (``tcp://HOST:PORT``), or ``local``: workers of our
    own on this machine, for as many guests at once as ``options`` say. Raises
    InfrastructureError if no scheduler answers.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module="distributed")
        cache = ""
        address: Any = where
        if where == "local":
            cache = str(options.sources.cache)
            count = options.jobs or default_jobs()
            progress.report("dask", f"starting {count} workers on this machine")
            place = stack.enter_context(scratch_directory())
            address = stack.enter_context(_local(count, place))
        try:
            client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InfrastructureError(
                f"--executor: no Dask scheduler answers at {where} ({error})"
            ) from error
        stack.enter_context(client)
        yield stack.enter_context(Cluster(client, progress, cache))


@contextlib.contextmanager
def _local(count: int, place: Path) -> Iterator[Any]:
    """Workers on this machine. Ctrl-C on the terminal is for us, who tell them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # A scheduler makes a directory of its own among the temporary ones.
        with dask.config.set({"temporary-directory": str(place)}):
            cluster = _local_cluster(count, place)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with cluster:
        yield cluster


def _local_cluster(count: int, place: Path) -> Any:
    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        resources={RESOURCE: 1},
        memory_limit=0,
        dashboard_address=None,
        local_directory=str(place),
        silence_logs=logging.CRITICAL,
    )


class Cluster:
    """A connection to a cluster, which several runs may share. Use as a context manager."""

    def __init__(self, client: Any, progress: Progress, cache: str = "") -> None:
        self._client = client
        self._progress = progress
        self.cache = cache  # of the workers; "": each its own
        self._slots = Slots()
        self._seen: dict[str, Seen] = {}
        self._silent: set[str] = set()  # workers that were asked once, in vain
        self._over = threading.Event()
        self._looked = threading.Event()  # once at least
        self._topic = f"afalg-{secrets.token_hex(8)}"
        self._displays: dict[str, Progress] = {}  # by work
        self._watch = threading.Thread(target=self._watch_workers, name="workers", daemon=True)

    def __enter__(self) -> Cluster:
        self._client.subscribe_topic(self._topic, self._hear)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join(_GRACE_SECONDS)

    def executor(
        self, options: RunOptions, progress: Progress, stop: threading.Event
    ) -> DaskExecutor:
        """The executor of a run."""
        return DaskExecutor(self, options, progress, stop)

    def slots(self) -> int:
        """How many guests the workers have room for."""
        self._looked.wait(_CONNECT_SECONDS)
        return self._slots.all()

    def check(self) -> None:
        """Raise InfrastructureError if there are workers, and no guest can run on any."""
        self._looked.wait(_CONNECT_SECONDS)
        if self._slots.all() or not self._seen:
            return
        problems = [seen.problem for seen in self._seen.values() if seen.problem and seen.guests]
        if problems:
            raise InfrastructureError(f"--executor: none of its workers can be used: {problems[0]}")
        raise InfrastructureError(
            f"--executor: none of its {len(self._seen)} workers offers the resource {RESOURCE};"
            f" start them by: dask worker ADDRESS --resources {RESOURCE}=1"
        )

    def do(self, work: Work, progress: Progress, stop: threading.Event) -> Done:
        """Have ``work`` done by a worker, by another one if that is lost.

        Raises what the work raises, Interrupted, and InfrastructureError.
        """
        if not self._slots.all():
            progress.report(work.job.spec, f"waiting for a worker that offers {RESOURCE}")
        self._displays[work.id] = progress
        try:
            return self.call(
                work_on,
                work,
                self._topic,
                name=work.job.spec,
                work=work.id,
                stop=stop,
                progress=progress,
            )
        finally:
            del self._displays[work.id]

    def call(
        self,
        function: Callable[..., _T],
        *arguments: object,
        name: str,
        work: str,
        stop: threading.Event,
        progress: Progress,
    ) -> _T:
        """What ``function`` returns in a worker, as ``do``; ``name`` is what it is about."""
        lost: list[str] = []
        while len(lost) < _ATTEMPTS:
            with self._slots.taken(stop) as address:
                try:
                    return self._on(address, function, arguments, work, stop)
                except _WorkerLost:
                    lost.append(address)
                    progress.report(name, f"its worker {address} was lost; again elsewhere")
        raise InfrastructureError(
            f"{name}: {len(lost)} workers were lost while they ran it ({', '.join(lost)})"
        )

    def _on(
        self,
        address: str,
        function: Callable[..., _T],
        arguments: Sequence[object],
        work: str,
        stop: threading.Event,
    ) -> _T:
        future = self._client.submit(
            function,
            *arguments,
            key=f"{self._topic}-{work}-{secrets.token_hex(4)}",
            workers=[address],
            allow_other_workers=False,
            resources={RESOURCE: 1},
            pure=False,
        )
        try:
            result: _T = self._result(future, address, work, stop)
            return result
        finally:
            with contextlib.suppress(Exception):
                future.cancel()  # a worker that still is at it ends its guest

    def _result(self, future: Any, address: str, work: str, stop: threading.Event) -> Any:
        until: float | None = None
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        while True:
            done.wait(_POLL_SECONDS)
            if done.is_set() and not future.done():
                self._over.wait(_POLL_SECONDS)  # its result was lost, with its worker perhaps
            if future.done():
                try:
                    return future.result(timeout=_GATHER_SECONDS)
                except TimeoutError:
                    if future.status == "error":
                        raise  # the work's own
                except (distributed.KilledWorker, CancelledError) as error:
                    raise _WorkerLost from error
            if not self._slots.has(address):
                raise _WorkerLost
            if stop.is_set() and until is None:
                until = time.monotonic() + _GRACE_SECONDS
                with contextlib.suppress(Exception):
                    self._client.run(stop_work, [work], workers=[address], on_error="ignore")
            if until is not None and time.monotonic() > until:
                raise Interrupted(f"{address} did not say how its guest ended")

    def _hear(self, event: tuple[float, Sequence[Any]]) -> None:
        """Pass on what a worker says of what it does."""
        work, kind, *words = event[1]
        display = self._displays.get(work)
        if display is None:
            return
        match kind:
            case "report":
                display.report(*words)
            case "fails":
                display.fails(*words)
            case "answers":
                subject, what, tone = words
                display.answers(subject, what, Tone(tone))
            case "finish":
                display.finish(*words)

    def _watch_workers(self) -> None:
        """Keep account of the workers, until the end or as the scheduler is gone."""
        while True:
            try:
                self._account(list(self._client.nthreads()))
            except Exception as error:  # noqa: BLE001  (whatever it is, nothing more will come)
                if not self._over.is_set():
                    words = str(error).splitlines() or [type(error).__name__]
                    self._slots.close(f"the Dask scheduler was lost: {words[0]}")
                self._looked.set()
                return
            self._looked.set()
            if self._over.wait(_LOOK_SECONDS):
                return

    def _account(self, addresses: list[str]) -> None:
        new = [address for address in addresses if address not in self._seen]
        if new:
            answers = self._client.run(look, workers=new, on_error="return")
            for address, answer in answers.items():
                # It may have ended just now. One that stays is asked once more.
                if isinstance(answer, OSError) and address not in self._silent:
                    self._silent.add(address)
                else:
                    self._seen[address] = self._judged(address, answer)
        self._seen = {name: seen for name, seen in self._seen.items() if name in addresses}
        rooms = {name: seen.guests for name, seen in self._seen.items() if not seen.problem}
        self._slots.update({name: guests for name, guests in rooms.items() if guests > 0})

    def _judged(self, address: str, answer: Seen | BaseException) -> Seen:
        """What a worker said, with what is wrong with it; that is said once."""
        if not isinstance(answer, Seen):
            seen = Seen(1, "", f"{address} has no afalg-harness of this version ({answer})")
        elif answer.fingerprint != fingerprint():
            seen = replace(answer, problem=f"{address} has another version of afalg-harness")
        elif answer.problem:
            seen = replace(answer, problem=f"{address}: {answer.problem}")
        else:
            return answer
        if seen.guests:
            self._progress.finish("dask", f"a worker is not used: {seen.problem}")
        return seen


class DaskExecutor:
    """Boots the kernels of one run on a cluster, as an ``Executor``."""

    def __init__(
        self, cluster: Cluster, options: RunOptions, progress: Progress, stop: threading.Event
    ) -> None:
        self._cluster = cluster
        self._options = options
        self._progress = progress
        self._stop = stop
        self._lock = threading.Lock()
        self._first: Done | None = None
        self._payload = Path()
        self._guests: Guests | None = None
        self._suite = options.guest_suite

    def check(self) -> None:
        """Raise InfrastructureError if no worker can be used."""
        self._cluster.check()

    def prepare(self) -> None:
        """Decide which suite the guests' root is of, once in a run; each machine makes its own."""
        options, sources = self._options, self._options.sources
        # Where this machine has no mirror, those that have one decide.
        with interruptible(self._stop), contextlib.suppress(HostError, FetchError):
            if options.root == "image":
                self._suite = chosen_suite(
                    sources.cache,
                    sources.mirror,
                    suite=options.guest_suite,
                    refresh=sources.refresh,
                )

    def load(self, payload: Path) -> None:
        """Keep what ``payload`` holds, to be sent with each kernel."""
        options = self._options
        self._payload = payload
        self._guests = Guests(
            zlib.compress(payload.read_bytes()),
            options.root,
            options.accel,
            options.sources.mirror,
            tuple(map(_anywhere, options.sources.kconfigs)),
            self._cluster.cache,
            self._suite,
        )

    def at_once(self, kernels: int) -> int:
        """All of them wait for a worker: there may be more later on."""
        return max(1, kernels)

    def slots(self) -> int:
        """How many guests the workers take now."""
        return max(1, self._cluster.slots())

    def accel(self) -> str:
        """That of the first guest; emulation while there is none."""
        first = self._first.host.accel if self._first is not None else ""
        wanted = self._options.accel
        return first or (wanted if wanted != "auto" else "tcg")

    def host(self) -> HostInfo:
        """The machine that had the first result."""
        if self._first is not None:
            return self._first.host
        vng = importlib.metadata.version("virtme-ng")
        return HostInfo("", "no guest was started", qemu="", vng=vng, cpus=0)

    def image(self) -> str:
        """That of the first result."""
        return self._first.image if self._first is not None else ""

    def image_contents(self) -> ImageContents | None:
        """That of the first result."""
        return self._first.image_contents if self._first is not None else None

    def find(self, spec: str) -> PinnedKernel:
        """Say which kernel it is; a worker fetches it."""
        with interruptible(self._stop):
            return pin(spec, self._options.sources, self._progress)

    def run(
        self, job: KernelJob, kernel: Found, directory: Directory, earlier: Path | None
    ) -> KernelResult:
        """Have a worker boot it."""
        return self._do(job, kernel, directory, earlier)

    def confirm(
        self,
        job: KernelJob,
        kernel: Found,
        directory: Directory,
        before: KernelResult,
        tests: Sequence[str],
        times: int,
    ) -> KernelResult:
        """Have a worker boot it once more, another one perhaps."""
        again = Again(before, tuple(tests), times)
        return self._do(job, kernel, directory, directory(before.release), again)

    def control(self, release: str) -> str | None:
        """Boot another kernel on some worker."""
        if self._first is None or self._guests is None:
            return None
        name = secrets.token_hex(8)
        return self._cluster.call(
            control,
            *(self._guests, self._options.append, release, name),
            name="another kernel",
            work=name,
            stop=self._stop,
            progress=self._progress,
        )

    def _do(
        self,
        job: KernelJob,
        kernel: Found,
        directory: Directory,
        earlier: Path | None,
        again: Again | None = None,
    ) -> KernelResult:
        assert isinstance(kernel, PinnedKernel) and self._guests is not None
        before: Packed = packed(earlier) if earlier is not None else {}
        work = Work(secrets.token_hex(8), job, kernel, self._guests, before, again)
        done = self._cluster.do(work, self._progress, self._stop)
        place = directory(done.result.release)
        machine = {_MACHINE: zlib.compress(f"{done.machine}\n".encode())}
        files = moved(done.files, {done.directory: place, done.payload: self._payload})
        put({**files, **machine}, place, self._options.out)
        with self._lock:
            self._first = self._first or done
        notes = (*done.result.notes, *_unlike(self._first, done))
        named = f"{place.parent.name}/{place.name}"
        return replace(done.result, directory=named, notes=tuple(dict.fromkeys(notes)))


def _anywhere(kconfig: str) -> str:
    """A fragment of ours by its name, a file by its absolute path."""
    path = Path(kconfig).expanduser()
    return str(path.absolute()) if path.is_file() else kconfig


def _unlike(first: Done, done: Done) -> Iterator[str]:
    """A note on what was observed on a machine that is unlike the first."""
    for what, one, other in (
        ("accelerator", first.host.accel, done.host.accel),
        ("guest image", first.image[:12], done.image[:12]),
        ("CPU model", _cpu(first), _cpu(done)),
    ):
        if one and other and one != other:
            yield f"ran on {done.machine}, {what} {other}, others with {one}"


def _cpu(done: Done) -> str:
    return done.result.identity.cpu if done.result.identity is not None else ""
