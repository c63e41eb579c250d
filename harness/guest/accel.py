"""Decides between KVM and TCG by trying, not by the look of ``/dev/kvm``.

A device that opens proves little: nested machines are known that accept a VM and then
stop with "KVM internal error" at an instruction they cannot emulate. The outcome of a
try holds for this boot of the host and this QEMU, and is cached for as long.

A kernel under test may be what fails. So another one is tried where there is one (one that
a try has booted before, or the host's own), and a failure is the host's only if the same
kernel boots under TCG. Else it is not remembered: that run uses TCG, the next one tries.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pexpect
from filelock import FileLock

from harness.errors import HostError
from harness.files import write_whole
from harness.guest import launcher
from harness.guest.terminal import on_terminal
from harness.guest.vng import QEMU, SANDBOX
from harness.processes import check_interrupted, end_group, find_program, run
from harness.progress import Progress
from harness.scratch import scratch_directory

_KVM = Path("/dev/kvm")
#: How long a try may take; emulation takes some 5 s where nothing else runs.
_TRY_SECONDS = {"kvm": 20, "tcg": 60}
_CPU = {"kvm": "host", "tcg": "max"}


@dataclass(frozen=True)
class Accel:
    """The accelerator guests run with, and why."""

    name: str  # "kvm" or "tcg"
    reason: str


def qemu_version() -> str:
    """Version of QEMU ("7.2.22"). Raises HostError if it is not installed.

    A file is asked once as long as it stays the same: starting QEMU takes some 25 ms.
    """
    program = find_program(QEMU)
    return _version_told_by(program, _stamp(Path(program)))


@functools.cache  # keeps nothing of a QEMU that fails
def _version_told_by(program: str, _stamp_of_it: str) -> str:
    first = run([program, "--version"], doing="asking QEMU for its version").splitlines()[0]
    return first.removeprefix("QEMU emulator version ").split(" ")[0]


def choose_accel(wanted: str, image: Path, cache: Path, progress: Progress) -> Accel:
    """The accelerator for this host; ``wanted`` is "auto", "kvm" or "tcg".

    ``image`` is a kernel to be judged, which is tried where there is no other. Raises
    HostError if KVM was asked for by name and does not work.
    """
    if wanted == "tcg":
        return Accel("tcg", "asked for with --accel tcg")
    problem = _kvm_problem(image, cache, progress)
    if problem is None:
        return Accel("kvm", "a trial boot under KVM worked")
    if wanted == "kvm":
        raise HostError(f"--accel kvm: {problem}; use --accel tcg, or auto")
    return Accel("tcg", problem)


def likely_accel(wanted: str, cache: Path) -> str:
    """What ``choose_accel`` will most likely say, without a trial: "tcg" where none is known."""
    if wanted != "auto":
        return wanted
    known = _load(cache / "accel.json")
    usable = os.access(_KVM, os.R_OK | os.W_OK) and known.host == _this_host()
    return "kvm" if usable and known.problem is None else "tcg"


def _this_host() -> str:
    """This boot of this host, and its QEMU."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {qemu_version()}"


def refuse_missing_kvm(wanted: str, cache: Path) -> None:
    """Raise HostError if KVM was asked for by name and is known not to work; none is tried."""
    problem = kvm_problem_known(cache) if wanted == "kvm" else None
    if problem:
        raise HostError(f"--accel kvm: {problem}; use --accel tcg, or auto")


def kvm_problem_known(cache: Path) -> str | None:
    """Why KVM cannot be used, as far as that is known without a try; else None."""
    known = _load(cache / "accel.json")
    return _device_problem() or (known.problem if known.host == _this_host() else None)


def _device_problem() -> str | None:
    """Why the device of KVM cannot be opened, or None."""
    if not _KVM.exists():
        return "this host has no /dev/kvm"
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return "no permission to open /dev/kvm (add the user to its group)"
    return None


def _kvm_problem(image: Path, cache: Path, progress: Progress) -> str | None:
    """Why KVM cannot be used, or None."""
    if problem := _device_problem():
        return problem
    store = cache / "accel.json"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "accel.lock"):
        known = _load(store)
        host = _this_host()
        if known.host == host:
            return known.problem
        progress.report("host", "trying KVM (once per boot of this host)")
        trial = _trial(image, known.booted)
        if trial.booted is not None:
            outcome = _Known(host, trial.problem, str(trial.booted), _stamp(trial.booted))
            write_whole(store, json.dumps(asdict(outcome)))
        verdict = f"using TCG emulation: {trial.problem}" if trial.problem else "KVM works"
        progress.finish("host", verdict)
        return trial.problem


@dataclass(frozen=True)
class _Known:
    """What is remembered of tries."""

    host: str = ""  # boot of the host and QEMU for which ``problem`` holds
    problem: str | None = None
    image: str = ""  # a kernel that has booted in a try
    stamp: str = ""  # of which file

    @property
    def booted(self) -> Path | None:
        """That kernel, if it is still there and the same."""
        path = Path(self.image)
        return path if self.image and _stamp(path) == self.stamp else None


def _load(store: Path) -> _Known:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return _Known(**json.loads(store.read_text()))
    return _Known()


def _stamp(path: Path) -> str:
    """Tells a file from another of its name; "" if it cannot be read."""
    if not os.access(path, os.R_OK):
        return ""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


@dataclass(frozen=True)
class _Trial:
    """How KVM did."""

    problem: str | None
    booted: Path | None  # the kernel by which that is known; None if by none that boots


def _trial(image: Path, booted: Path | None) -> _Trial:
    """Try KVM with the first kernel that boots at all; ``booted`` has, ``image`` may not."""
    problem: str | None = None
    for kernel in dict.fromkeys((booted, _host_image(), image)):
        if kernel is None:
            continue
        problem = _try("kvm", kernel)
        if problem is None or kernel == booted or _try("tcg", kernel) is None:
            return _Trial(problem, kernel)
    return _Trial(f"{problem}, and so did one under TCG: nothing is known of KVM", None)


def _host_image() -> Path | None:
    """The image of the kernel that this host runs, where it has one that we may read."""
    image = Path("/boot", f"vmlinuz-{os.uname().release}")
    return image if _stamp(image) else None


def _try(accel: str, image: Path) -> str | None:
    """Boot ``image`` under "kvm" or "tcg" as far as the missing root; why that failed, or None."""
    argv = ["-machine", f"q35,accel={accel}", "-cpu", _CPU[accel], "-m", "512", "-nodefaults"]
    argv += ["-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(image)]
    argv += ["-append", "console=ttyS0 earlyprintk=serial panic=-1", "-sandbox", SANDBOX]
    with scratch_directory() as scratch:
        (scratch / launcher.WORKPLACE).mkdir(mode=0o700)
        return _watch(accel, launcher.argv(launcher.ISOLATED, find_program(QEMU), argv), scratch)


#: What ends a trial boot. The last is its deadline.
_ENDS = (
    r"Kernel panic - not syncing: VFS",
    r"KVM internal error[^\r\n]*",
    r"[^\r\n]*[Ff]ailed to initialize kvm[^\r\n]*|Could not access KVM[^\r\n]*",
    pexpect.EOF,
    pexpect.TIMEOUT,
)


def _await(child: pexpect.spawn[str], seconds: float) -> int:
    """Which of _ENDS comes first. Raises Interrupted within a second of a request to end."""
    until = time.monotonic() + seconds
    while True:
        check_interrupted()
        left = until - time.monotonic()
        end = int(child.expect(list(_ENDS), timeout=max(0.0, min(1.0, left))))
        if left <= 0 or _ENDS[end] is not pexpect.TIMEOUT:
            return end


def _watch(accel: str, argv: Sequence[str], directory: Path) -> str | None:
    """Follow a trial boot; why it failed, or None."""
    child = on_terminal(argv, directory)
    try:
        outcome = _await(child, _TRY_SECONDS[accel])
        if outcome == 0:
            return None
        if outcome in (1, 2):
            what = str(child.after).strip()
            return f"/dev/kvm opens, but a trial boot stopped with {what!r}"
        if outcome == 3:
            lines = str(child.before).strip().splitlines()
            said = lines[-1] if lines else "no output"
            return f"QEMU ended in a trial boot under {accel.upper()}: {said}"
        return f"a trial boot under {accel.upper()} got nowhere in {_TRY_SECONDS[accel]} s"
    finally:
        end_group(child.pid)
        child.close(force=True)
