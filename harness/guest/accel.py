"""Decides between KVM and TCG by trying, not by the look of ``/dev/kvm``.

A device that opens proves little: nested machines are known that accept a VM and then
stop with "KVM internal error" at an instruction they cannot emulate. The outcome of a
try holds for this boot of the host and this QEMU, and is cached for as long.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pexpect
from filelock import FileLock

from harness.errors import HostError
from harness.processes import end_group, find_program, heed_hangup, run
from harness.progress import Progress

_KVM = Path("/dev/kvm")
_TRY_SECONDS = 20
QEMU = "qemu-system-x86_64"


@dataclass(frozen=True)
class Accel:
    """The accelerator guests run with, and why."""

    name: str  # "kvm" or "tcg"
    reason: str


def qemu_version() -> str:
    """Version of QEMU ("7.2.22"). Raises HostError if it is not installed."""
    first = run([QEMU, "--version"], doing="asking QEMU for its version").splitlines()[0]
    return first.removeprefix("QEMU emulator version ").split(" ")[0]


def choose_accel(wanted: str, image: Path, cache: Path, progress: Progress) -> Accel:
    """The accelerator for this host; ``wanted`` is "auto", "kvm" or "tcg".

    ``image`` is a bzImage that a try may boot. Raises HostError if KVM was asked for by
    name and does not work.
    """
    if wanted == "tcg":
        return Accel("tcg", "asked for with --accel tcg")
    problem = _kvm_problem(image, cache, progress)
    if problem is None:
        return Accel("kvm", "a trial boot under KVM worked")
    if wanted == "kvm":
        raise HostError(f"--accel kvm: {problem}; use --accel tcg, or auto")
    return Accel("tcg", problem)


def _kvm_problem(image: Path, cache: Path, progress: Progress) -> str | None:
    """Why KVM cannot be used, or None."""
    if not _KVM.exists():
        return "this host has no /dev/kvm"
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return "no permission to open /dev/kvm (add the user to its group)"
    key = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {qemu_version()}"
    store = cache / "accel.json"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "accel.lock"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            cached = json.loads(store.read_text())
            if cached["key"] == key:
                problem = cached["problem"]
                return str(problem) if problem is not None else None
        progress.report("host", "trying KVM (once per boot of this host)")
        problem = _try_kvm(image)
        store.write_text(json.dumps({"key": key, "problem": problem}))
        verdict = "KVM works" if problem is None else f"using TCG emulation: {problem}"
        progress.finish("host", verdict)
        return problem


def _try_kvm(image: Path) -> str | None:
    """Boot ``image`` under KVM as far as the missing root; why that failed, or None."""
    argv = ["-machine", "q35,accel=kvm", "-cpu", "host", "-m", "512", "-nodefaults"]
    argv += ["-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(image)]
    argv += ["-append", "console=ttyS0 earlyprintk=serial panic=-1"]
    child = pexpect.spawn(
        find_program(QEMU),
        argv,
        timeout=_TRY_SECONDS,
        encoding="utf-8",
        codec_errors="replace",
        preexec_fn=heed_hangup,
    )
    try:
        outcome = child.expect(
            [
                r"Kernel panic - not syncing: VFS",
                r"KVM internal error[^\r\n]*",
                r"[^\r\n]*[Ff]ailed to initialize kvm[^\r\n]*|Could not access KVM[^\r\n]*",
                pexpect.EOF,
                pexpect.TIMEOUT,
            ]
        )
        if outcome == 0:
            return None
        if outcome in (1, 2):
            what = str(child.after).strip()
            return f"/dev/kvm opens, but a trial boot stopped with {what!r}"
        if outcome == 3:
            lines = str(child.before).strip().splitlines()
            return f"QEMU ended in a trial boot under KVM: {lines[-1] if lines else 'no output'}"
        return f"a trial boot under KVM got nowhere in {_TRY_SECONDS} s"
    finally:
        end_group(child.pid)
        child.close(force=True)
