"""Runs on real workers of Dask, whose guests are played."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dask
import distributed
import pytest

from harness import run as module
from harness.errors import HarnessError, InfrastructureError
from harness.executors.choice import executors_of
from harness.executors.dask_cluster import Cluster, dask_cluster
from harness.executors.dask_worker import Seen, _Told
from harness.executors.work import fingerprint
from harness.judge.expectations import load_expectations
from harness.kernels.sources import KernelSources
from harness.model import HostInfo, KernelResult, RunResult, Status
from harness.progress import Progress, SilentProgress, Tone
from harness.report import results_file
from harness.run import Run
from harness.run_options import RunOptions
from tests.unit.executors import played

_SIX = tuple(f"debian:{name}" for name in ("a", "b", "c", "d", "e", "worse"))
_PATIENCE = 600.0  # seconds; machines are busy


def _until(condition: Callable[[], object], what: str) -> None:
    """Wait until something has happened in another process."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never seen: {what}"
        threading.Event().wait(0.05)


class Workers:
    """A scheduler in this process, and workers in processes of their own."""

    def __init__(self, address: str, place: Path) -> None:
        self.address = address
        self.place = place
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, count: int, *options: str) -> None:
        """Start workers with room for a guest each; they join when they are ready."""
        argv = [sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--no-nanny"]
        argv += ["--nthreads", "1", "--no-dashboard", "--local-directory", str(self.place)]
        argv += ["--preload", played.__file__, *(options or ("--resources", "vm=1"))]
        top = Path(__file__).parents[3]
        environment = {
            **os.environ,
            played.VARIABLE: str(self.place),
            "PYTHONPATH": str(top),
            "TMPDIR": str(self.place),
        }
        for _ in range(count):
            with (self.place / "workers.log").open("ab") as log:
                self.processes.append(
                    subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
                )

    def end(self) -> None:
        """End them all."""
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = str(tmp_path_factory.mktemp("dask"))
    with (
        dask.config.set({"temporary-directory": place, "distributed.scheduler.http.routes": []}),
        distributed.LocalCluster(
            n_workers=0, dashboard_address=None, local_directory=place, silence_logs=50
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture
def workers(scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    place = tmp_path / "played"
    place.mkdir()
    monkeypatch.setenv(played.VARIABLE, str(place))
    monkeypatch.setattr(module, "write_payload", lambda _, path: path.write_bytes(b"payload"))
    monkeypatch.setattr(module, "revision", lambda *_: "s")
    monkeypatch.setattr(module, "own_revisions", lambda *_: ())
    started = Workers(scheduler, place)
    try:
        with played.played():
            yield started
    finally:
        started.end()


def _options(out: Path, *specs: str, executor: str = "local") -> RunOptions:
    return RunOptions(
        specs=specs,
        baseline=None,
        sources=KernelSources(cache=out.parent / "cache"),
        out=out,
        command="afalg-harness run",
        expectations=load_expectations(None, ()),
        executor=executor,
    )


def _run(options: RunOptions, progress: Progress | None = None) -> RunResult:
    progress = progress or SilentProgress()
    with executors_of(options, progress) as executors:
        return Run(options, progress, executors=executors).execute()


def _on(workers: Workers) -> str:
    return f"dask:{workers.address}"


def _without_times(result: RunResult) -> RunResult:
    """What must not depend on where it ran."""
    host = HostInfo("", "", "", "", 0)
    return replace(result, id="", started="", ended="", host=host)


def _log(out: Path, kernel: KernelResult) -> str:
    return (out / kernel.directory / "console.log").read_text()


def test_two_workers_are_as_good_as_this_machine(workers: Workers, tmp_path: Path) -> None:
    workers.start(2)
    here = _run(_options(tmp_path / "here", *_SIX))
    there = _run(_options(tmp_path / "there", *_SIX, executor=_on(workers)))
    assert [kernel.status_reason for kernel in there.kernels] == 6 * [""]
    assert _without_times(there) == _without_times(here)
    assert here.exit_code == 1 and len(here.kernels[5].boots) > 1  # what was lost was confirmed
    assert results_file.load(tmp_path / "there") == there
    for kernel in there.kernels:
        told = f"{kernel.release} says so\n"
        assert _log(tmp_path / "there", kernel) == len(kernel.boots) * told
        assert (tmp_path / "there" / kernel.directory / "machine.txt").read_text().strip()
    pids = {path.name.rpartition("-")[2] for path in workers.place.glob("began-*")}
    assert pids > {str(os.getpid())}
    # "The newest" suite was decided here, not by each worker.
    suites = {path.name.removeprefix("suite-") for path in workers.place.glob("suite-*")}
    assert suites == {f"trixie-{pid}" for pid in pids - {str(os.getpid())}} | {
        f"None-{os.getpid()}"
    }


def test_a_kernel_whose_worker_is_lost_runs_on_another(workers: Workers, tmp_path: Path) -> None:
    workers.start(2)
    (workers.place / "kill-c").touch()
    there = _run(_options(tmp_path / "there", *_SIX, executor=_on(workers)))
    assert [kernel.status_reason for kernel in there.kernels] == 6 * [""]
    assert sum(process.poll() == -signal.SIGKILL for process in workers.processes) == 1
    assert len(list(workers.place.glob("began-c-*"))) == 2
    here = _run(_options(tmp_path / "here", *_SIX))
    assert _without_times(there) == _without_times(here)


def test_what_kills_every_worker_ends_no_other(workers: Workers, tmp_path: Path) -> None:
    """Each worker that takes it dies, as often as a kernel is begun at most."""
    for _ in range(4):
        workers.start(1)
    specs = ("debian:a", "debian:c", "debian:d")

    class Killing(SilentProgress):
        def report(
            self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
        ) -> None:
            if "was lost" in activity:
                (workers.place / "kill-c").touch()

    (workers.place / "kill-c").touch()
    there = _run(_options(tmp_path / "there", *specs, executor=_on(workers)), Killing())
    first, second, third = there.kernels
    assert (first.status, third.status) == (Status.COMPLETED, Status.COMPLETED)
    assert (second.status, second.status_exit) == (Status.UNAVAILABLE, 3)
    assert second.status_reason.startswith(
        "debian:c: 3 workers were lost while they ran it (tcp://"
    )
    assert len(list(workers.place.glob("began-c-*"))) == 3


def test_an_interruption_reaches_the_guests(workers: Workers, tmp_path: Path) -> None:
    """What has no worker yet is not begun, and what was seen so far is kept."""
    workers.start(1)
    options = _options(tmp_path / "run", "debian:a", "debian:endless", executor=_on(workers))
    stop = threading.Event()
    with executors_of(options, SilentProgress()) as executors:
        run = Run(options, SilentProgress(), executors=executors, stop=stop)
        found: list[RunResult] = []
        thread = threading.Thread(target=lambda: found.append(run.execute()))
        thread.start()
        _until(lambda: list(workers.place.glob("began-endless-*")), "the endless one")
        stop.set()
        thread.join(_PATIENCE)
    (result,) = found
    assert result.exit_code == 130
    assert (workers.place / "ended-endless").exists()
    stopped = {kernel.release: kernel for kernel in result.kernels}["endless"]
    assert stopped.boots[0].stopped
    assert _log(tmp_path / "run", stopped) == "endless says so\n"


_CLIENT = """
import sys
from pathlib import Path
from unittest import mock
from tests.unit.executors import played
from tests.unit.executors.test_dask_cluster import _options, _run
from harness import run
address, out = sys.argv[1:]
with played.played():
    run.write_payload = lambda _, path: path.write_bytes(b"payload")
    run.revision, run.own_revisions = lambda *_: "s", lambda *_: ()
    _run(_options(Path(out), "debian:endless", executor=f"dask:{address}"))
"""


def test_guests_end_with_the_one_who_waits_for_them(workers: Workers, tmp_path: Path) -> None:
    """However it ends: it is killed."""
    workers.start(1)
    argv = [sys.executable, "-c", _CLIENT, workers.address, str(tmp_path / "run")]
    client = subprocess.Popen(argv, cwd=Path(__file__).parents[3])
    try:
        _until(lambda: list(workers.place.glob("began-endless-*")), "the endless one")
    finally:
        client.kill()
        client.wait()
    _until((workers.place / "ended-endless").exists, "its end")


def test_what_goes_wrong_there_is_told_as_here(workers: Workers, tmp_path: Path) -> None:
    workers.start(1)
    specs = ("debian:a", "debian:missing", "debian:broken")
    there = _run(_options(tmp_path / "there", *specs, executor=_on(workers)))
    told = [(kernel.status_exit, kernel.status_reason) for kernel in there.kernels[1:]]
    assert told == [
        (2, "debian:missing: no such kernel"),
        (3, "debian:broken: does not compile"),
    ]


class _Heard(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def finish(self, subject: str, outcome: str) -> None:
        self.lines.append(f"{subject}: {outcome}")


def test_workers_without_the_resource_are_said(workers: Workers, tmp_path: Path) -> None:
    workers.start(1, "--resources", "gpu=1")
    with distributed.Client(workers.address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=_PATIENCE)
    options = _options(tmp_path / "run", "debian:a", executor=_on(workers))
    with pytest.raises(InfrastructureError, match="offers the resource vm; start them by: dask"):
        _run(options)
    assert not options.out.exists()


def test_another_version_is_not_used(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.executors import dask_cluster as cluster_module  # noqa: PLC0415

    workers.start(1)
    with distributed.Client(workers.address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=_PATIENCE)
    monkeypatch.setattr(cluster_module, "fingerprint", lambda: "of another one")
    heard = _Heard()
    with pytest.raises(InfrastructureError, match="has another version of afalg-harness"):
        _run(_options(tmp_path / "run", "debian:a", executor=_on(workers)), heard)
    assert len([line for line in heard.lines if "a worker is not used" in line]) == 1


class _Answers:
    """Stands for a client whose only worker answers in turn as told."""

    def __init__(self, *answers: Seen | OSError) -> None:
        self._answers = iter(answers)

    def nthreads(self) -> dict[str, int]:
        return {"tcp://w:1": 1}

    def run(self, *_: object, **__: object) -> dict[str, Seen | OSError]:
        return {"tcp://w:1": next(self._answers)}


class _Display(Progress):
    """Remembers all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def report(
        self, subject: str, activity: str, fraction: float | None = None, detail: str = ""
    ) -> None:
        self.told.append(("report", subject, activity, fraction, detail))

    def fails(self, subject: str, what: str) -> None:
        self.told.append(("fails", subject, what))

    def answers(self, subject: str, what: str, tone: Tone) -> None:
        self.told.append(("answers", subject, what, tone))

    def finish(self, subject: str, outcome: str) -> None:
        self.told.append(("finish", subject, outcome))


def test_what_a_worker_says_is_shown_as_it_said_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, display = Cluster(_Answers(), SilentProgress()), _Display()
    cluster._displays["w"] = display
    worker = SimpleNamespace(log_event=lambda _, words: cluster._hear((0.0, words)))
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)
    told = _Told("topic", "w")
    told.report("k", "running", 0.5, "test_it")
    told.fails("k", "test_it")
    told.answers("k", "gone", Tone.GOOD)
    told.finish("k", "passed")
    assert display.told == [
        ("report", "k", "running", 0.5, "test_it"),
        ("fails", "k", "test_it"),
        ("answers", "k", "gone", Tone.GOOD),
        ("finish", "k", "passed"),
    ]


@pytest.mark.parametrize("twice", [False, True])
def test_a_worker_that_did_not_answer_is_asked_once_more(*, twice: bool) -> None:
    """It ended just then, and is back; or nothing can be had of it."""
    closed, heard = OSError("Stream is closed"), _Heard()
    cluster = Cluster(_Answers(closed, closed if twice else Seen(1, fingerprint())), heard)
    cluster._account(["tcp://w:1"])
    assert (cluster._slots.all(), heard.lines) == (0, [])
    cluster._account(["tcp://w:1"])
    assert cluster._slots.all() == (0 if twice else 1)
    assert len(heard.lines) == (1 if twice else 0)


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.executors.dask_cluster._CONNECT_SECONDS", 1)
    options = _options(tmp_path / "run", "debian:a")
    with (
        pytest.raises(HarnessError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "),
        dask_cluster("tcp://127.0.0.1:1", options, SilentProgress()),
    ):
        pass


def test_workers_of_our_own(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``dask:local``: as many as there shall be guests; nothing of them is left."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    with dask.config.set({"distributed.worker.preload": [played.__file__]}):
        options = _options(tmp_path / "run", "debian:a", "debian:b", executor="dask:local")
        there = _run(replace(options, jobs=2))
    assert [kernel.status for kernel in there.kernels] == 2 * [Status.COMPLETED]
