"""Guests that are played, in this process or in workers: what each does is in files.

A worker of Dask takes this file as its ``--preload``. ``AFALG_PLAYED`` names the directory: a
kernel that begins leaves ``began-SPEC-PID`` there, a guest's root ``suite-SUITE-PID``.
``kill-SPEC`` has the process that comes upon it die, once; a kernel whose name begins with
"endless" runs until it is told to end, which it then says in ``ended-SPEC``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from harness import job
from harness.errors import BuildError, InputError
from harness.executors import local
from harness.guest.accel import Accel
from harness.guest.vng import Root
from harness.model import (
    Boot,
    BootableKernel,
    GuestIdentity,
    KernelResult,
    Outcome,
    Purpose,
    Role,
    Status,
    TestResult,
)

VARIABLE = "AFALG_PLAYED"


def _place() -> Path:
    return Path(os.environ[VARIABLE])


def _resolve(spec: str, *_: object) -> BootableKernel:
    if spec == "debian:missing":
        raise InputError(f"{spec}: no such kernel")
    if spec == "debian:broken":
        raise BuildError(f"{spec}: does not compile")
    release = spec.removeprefix("debian:")
    return BootableKernel(spec, release, Path("/k"), None, None, None)


def _pin(spec: str, *_: object) -> Any:
    from harness.executors.executor import PinnedKernel  # noqa: PLC0415

    return PinnedKernel(spec, spec, spec.removeprefix("debian:"))


def _choose_root(*_: object, suite: str | None, **__: object) -> Root:
    (_place() / f"suite-{suite}-{os.getpid()}").touch()
    return Root("disk", Path("/images/key/root"))


def _observe(
    kernel: BootableKernel,
    role: Role,
    _settings: object,
    payload: Path,
    _deadlines: object,
    directory: Path,
    stop: threading.Event,
    *_: object,
) -> KernelResult:
    name = kernel.release
    (_place() / f"began-{name}-{os.getpid()}").touch()
    with contextlib.suppress(FileNotFoundError):
        (_place() / f"kill-{name}").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    status = Status.COMPLETED
    if name.startswith("endless"):
        assert stop.wait(60)
        (_place() / f"ended-{name}").touch()
        status = Status.INTERRUPTED
    assert payload.read_bytes()
    with (directory / "console.log").open("a+") as log:
        log.write(f"{name} says so\n")
        log.seek(0)
        boots = len(log.readlines())
    identity = GuestIdentity(name, "v", "x86_64", "", "nonce", "a CPU")
    outcome = Outcome.FAILED if name == "worse" else Outcome.PASSED
    return KernelResult(
        spec=kernel.spec,
        release=name,
        role=role,
        status=status,
        identity=identity,
        boots=tuple(
            Boot(
                status,
                accel="tcg",
                identity=identity,
                number=number,
                purpose=Purpose.PLAN if number == 1 else Purpose.CONFIRM,
                outcomes={"a": outcome},
                stopped=stop.is_set(),
            )
            for number in range(1, boots + 1)
        ),
        wall_seconds=1.0,
        taint_before=0,
        taint=0,
        plan=("a",),
        tests=(TestResult("a", outcome),),
        directory=f"kernels/{directory.name}",
    )


@contextlib.contextmanager
def played() -> Iterator[None]:
    """Guests are played within this block."""
    replaced: dict[tuple[Any, str], Any] = {
        (local, "resolve"): _resolve,
        (local, "choose_root"): _choose_root,
        (local, "add_bytecode"): lambda *_: None,
        (local, "add_known_plan"): lambda *_: None,
        (local, "qemu_version"): lambda: "7.2",
        (local, "choose_accel"): lambda *_: Accel("tcg", "played"),
        (job, "observe"): _observe,
        (job, "read_code"): lambda *_: (),
    }
    with contextlib.ExitStack() as stack:
        for (module, name), value in replaced.items():
            stack.enter_context(mock.patch.object(module, name, value))
        with contextlib.suppress(ModuleNotFoundError):
            from harness.executors import dask_cluster, dask_worker  # noqa: PLC0415

            stack.enter_context(mock.patch.object(dask_cluster, "pin", _pin))
            chosen = mock.patch.object(dask_cluster, "chosen_suite", lambda *_, **__: "trixie")
            stack.enter_context(chosen)
            stack.enter_context(mock.patch.object(dask_worker, "qemu_version", lambda: "7.2"))
        yield


_for_good = contextlib.ExitStack()


def dask_setup(_worker: object) -> None:
    """What Dask calls in a worker that preloads this file."""
    _for_good.enter_context(played())
