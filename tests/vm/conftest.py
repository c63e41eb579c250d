"""Runs the command as a person would, on real kernels."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock

from harness.judge.conclude import conclude
from harness.judge.expectations import run_expectations
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.locations import default_cache_dir
from harness.model import Boot, BootableKernel, KernelResult, RunResult
from harness.progress import SilentProgress
from harness.replayed import replay_run
from harness.report import results_file
from tests import documented
from tests.packaging import Part, build_deb

COMMAND = Path(sys.executable).parent / "afalg-harness"
#: Longer than any single run here takes on a busy machine, in seconds.
_PATIENCE = 1500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder boots kernels."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)


@dataclass(frozen=True)
class Finished:
    """One ended command, with the result it stored (None if it stored none)."""

    code: int
    stdout: str
    stderr: str
    out: Path

    @property
    def result(self) -> RunResult:
        """The stored result."""
        return results_file.load(self.out)

    def kernel(self, spec: str) -> KernelResult:
        """The stored result of one kernel spec."""
        return next(kernel for kernel in self.result.kernels if kernel.spec == spec)


RunCommand = Callable[..., Finished]


def boots_that_ran(kernel: KernelResult) -> list[Boot]:
    """The boots in which tests were begun.

    On a busy host one may stand still before that, by a fault of the emulation, and is repeated.
    """
    return [boot for boot in kernel.boots if boot.planned]


#: The last of trixie's kernels with zero-copy, and the first without: those that README runs.
_, BEFORE, AFTER = documented.arguments("run debian:6.12.95+deb13-amd64")
#: The oldest of Debian's kernels, and one of those that come in several packages.
GENERATIONS = ("6.1.0-50-amd64", "7.0.13+deb13-amd64")
#: One shape of each path, every hole, some hashes: what known truth is about. What listens in
#: the kernel for the tests of zero copy does so past others between them.
_SELECTED = (
    *("zero_copy/test_input.py", "security/test_page_cache_write.py"),
    *("security/test_requests.py", "security/test_templates.py"),
    *("zero_copy/test_handovers.py", "functional/test_hash_stream.py"),
)
_SUITES = tuple(word for selected in _SELECTED for word in ("--suite", selected))


def bootable(spec: str) -> BootableKernel:
    """A kernel in the cache that the commands use; it is fetched if need be."""
    cache = Path(os.environ.get("AFALG_CACHE") or default_cache_dir())
    return resolve(spec, KernelSources(cache), SilentProgress())


def _nonces(out: Path) -> list[str]:
    """What the latest boot of each kernel has on its command line, and no other."""
    texts = [file.read_text() for file in out.glob("kernels/*/vng.txt")]
    return [text.partition("afalg_harness.nonce=")[2].split()[0] for text in texts]


def guest_processes(out: Path) -> list[int]:
    """QEMU processes of the guests that the run's vng.txt files name by their nonce."""
    nonces = _nonces(out)
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = cmdline.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "-kernel" in text and any(nonce in text for nonce in nonces):
            found.append(int(cmdline.parent.name))
    return found


def _of_all_processes(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def leaving(tmp_path_factory: pytest.TempPathFactory) -> FileLock:
    """Held while something is killed that leaves files, and while others look for such."""
    return FileLock(_of_all_processes(tmp_path_factory) / "leaving.lock")


def assert_replayed(out: Path) -> None:
    """However the run ended: console and records alone give the same result once more."""
    stored, heard = results_file.load(out), replay_run(out)
    replayed = conclude(heard, run_expectations(stored), None)
    for live, again in zip(stored.kernels, replayed.kernels, strict=True):
        if live.directory:  # else the run died before it stored what it had seen
            assert replace(again, verdict=live.verdict, notes=live.notes) == live


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Finished]
) -> Finished:
    """What ``make`` does in a directory called ``name``, once for all processes of the session.

    Tests of several files look at the same run, and pytest-xdist gives each file to another
    process, of which each has a directory of its own below the session's.
    """
    folder = _of_all_processes(factory) / name
    stored = folder / "finished"
    with FileLock(folder.with_suffix(".lock")):
        if not stored.exists():
            folder.mkdir()
            stored.write_bytes(pickle.dumps(make(folder)))
    finished = pickle.loads(stored.read_bytes())
    assert isinstance(finished, Finished)
    return finished


@pytest.fixture(scope="session")
def boundary(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The kernels on both sides of the removal, and between them a package that was cut short."""
    return made_once(tmp_path_factory, "boundary", _run_boundary)


def _run_boundary(folder: Path) -> Finished:
    for spec in (BEFORE, AFTER):
        bootable(spec)  # else a download may keep the guests apart
    # Of such a one only unpacking shows it; what shows at once is refused.
    image = Part("linux-image-6.8.0-cut-amd64", {"boot/vmlinuz-6.8.0-cut-amd64": os.urandom(99999)})
    whole = build_deb(folder, image).read_bytes()
    package = folder / "linux-image-cut_amd64.deb"
    package.write_bytes(whole[: len(whole) // 2])
    return execute(folder / "run", BEFORE, str(package), AFTER, *_SUITES, "--jobs", "2")


@pytest.fixture(scope="session")
def generations(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A kernel of each generation."""
    return made_once(tmp_path_factory, "generations", _run_generations)


def _run_generations(folder: Path) -> Finished:
    specs = [f"debian:{release}" for release in GENERATIONS]
    # One is behind the first, as is known: nothing need be confirmed.
    return execute(folder / "run", *specs, *_SUITES, "--jobs", "2", "--confirm", "0")


@pytest.fixture
def run_command(tmp_path: Path) -> RunCommand:
    """Run ``afalg-harness run ARGUMENTS``; the run directory is below tmp_path."""
    return lambda *arguments, **options: execute(tmp_path / "run", *arguments, **options)


def execute(out: Path, *arguments: str, environment: dict[str, str] | None = None) -> Finished:
    """Run ``afalg-harness run`` to its end with its run directory at ``out``."""
    process = subprocess.run(
        [COMMAND, "run", *arguments, "--out", out],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
        cwd=out.parent,
        env={**os.environ, **(environment or {})},
    )
    return Finished(process.returncode, process.stdout, process.stderr, out)


def execute_until(
    out: Path, condition: Callable[[Path], bool], number: int, *arguments: str
) -> Finished:
    """Start a run, send it signal ``number`` once ``condition(out)`` holds, await its end.

    Without arguments the run that lies in ``out`` is gone on with.
    """
    process = subprocess.Popen(
        [COMMAND, "run", *arguments, "--out" if arguments else "--resume", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=out.parent,
    )
    deadline = time.monotonic() + _PATIENCE
    while not condition(out) and process.poll() is None and time.monotonic() < deadline:
        # Polls a file that another process writes; there is nothing to wait on.
        signal.sigtimedwait([], 0.05)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=300)
    return Finished(process.returncode, stdout, stderr, out)


def booting(out: Path) -> bool:
    """Whether a guest's kernel has begun to speak."""
    said = "".join(file.read_text(errors="replace") for file in out.glob("kernels/*/console.log"))
    return any(nonce in said for nonce in _nonces(out)) and guest_processes(out) != []


def recorded(out: Path, kind: str) -> bool:
    """Whether any kernel of the run has sent a record of this type."""
    for file in out.glob("kernels/*/events.jsonl"):
        for line in file.read_text().splitlines():
            try:
                if json.loads(line)["type"] == kind:
                    return True
            except ValueError:
                continue
    return False
