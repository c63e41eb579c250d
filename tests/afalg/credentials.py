"""Runs a function in a child process that has other credentials, and brings its result back.

The child proves what it is: its effective capabilities and user ids are read back from
the kernel before the function runs, so that a credential that was not taken cannot pass
for a refusal.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import af_alg
import libc
from unavailable import Unavailable

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

# include/uapi/linux/capability.h
CAP_NET_ADMIN = 1 << 12
CAP_SYS_ADMIN = 1 << 21

NOBODY_ID = 65534
_SECONDS = 25.0  # below the time limit of a test


class NoCredential(Unavailable):
    """The kernel does not let a process enter a user namespace of its own."""

    def __init__(self, error: str) -> None:
        call = "unshare(CLONE_NEWUSER)"
        super().__init__(f"{call}: {error}", Reason(Cause.OTHER, name=call, errno=error))


@dataclass(frozen=True)
class Credential:
    """Who a child process is.

    ``capabilities`` are the effective ones, None for all that there are; ``all_but`` are
    those to leave out. ``namespace``: inside a user namespace of its own, as its root.
    """

    name: str
    uid: int
    capabilities: int | None = 0
    all_but: int = 0
    only_permitted: bool = False  # held, but not effective
    namespace: bool = False

    def take(self) -> None:
        """Become this, for good."""
        every = (1 << (int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1)) - 1
        wanted = every if self.capabilities is None else self.capabilities
        wanted &= ~self.all_but
        os.setgroups([])
        libc.prctl(libc.PR_SET_KEEPCAPS, 1)
        os.setresgid(self.uid, self.uid, self.uid)
        os.setresuid(self.uid, self.uid, self.uid)
        if self.namespace:
            self._enter_namespace()
            wanted = every
        else:
            libc.capset(0 if self.only_permitted else wanted, wanted)
        self._prove(0 if self.only_permitted else wanted)

    def _enter_namespace(self) -> None:
        # After a change of user, /proc/self is root's until the process is dumpable again.
        libc.prctl(libc.PR_SET_DUMPABLE, 1)
        if self.uid:
            libc.capset(0, 0)
        try:
            # A network namespace as well: its owner has CAP_NET_ADMIN over its sockets.
            libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNET)
        except OSError as error:
            raise NoCredential(af_alg.errno_name(error)) from error
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"0 {self.uid} 1")
        Path("/proc/self/uid_map").write_text(f"0 {self.uid} 1")

    def _prove(self, effective: int) -> None:
        status = Path("/proc/self/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        assert int(fields["CapEff"], 16) == effective, f"{self.name}: {fields['CapEff']}"
        expected = 0 if self.namespace else self.uid
        assert os.getresuid() == (expected,) * 3, f"{self.name}: {os.getresuid()}"


ROOT = Credential("root", 0, capabilities=None)
NOBODY = Credential("nobody", NOBODY_ID)
NET_ADMIN = Credential("CAP_NET_ADMIN", NOBODY_ID, CAP_NET_ADMIN)
SYS_ADMIN = Credential("CAP_SYS_ADMIN", NOBODY_ID, CAP_SYS_ADMIN)
OTHER_CAPABILITIES = Credential(
    "all_other_capabilities", NOBODY_ID, None, all_but=CAP_NET_ADMIN | CAP_SYS_ADMIN
)
NOT_EFFECTIVE = Credential(
    "not_effective", NOBODY_ID, CAP_NET_ADMIN | CAP_SYS_ADMIN, only_permitted=True
)
ROOT_WITHOUT = Credential("root_without_capabilities", 0)
NAMESPACE_ROOT = Credential("namespace_root", NOBODY_ID, namespace=True)
#: Mapped to the real root, so only the capabilities are those of the namespace.
ROOT_IN_NAMESPACE = Credential("root_in_namespace", 0, namespace=True)


def run_as(credential: Credential, function: Callable[[], Any]) -> Any:
    """The result (JSON) of ``function`` in a child process with this credential.

    Raises NoCredential, or AssertionError with what went wrong in the child.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            report = _attempt(credential, function)
            with os.fdopen(write_end, "wb") as out:
                out.write(json.dumps(report).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        report = json.loads(_read_all(read_end) or "{}")
    finally:
        os.close(read_end)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if "no credential" in report:
        raise NoCredential(report["no credential"])
    assert "result" in report, (
        f"child as {credential.name}: {report.get('error', f'no report, wait status {status}')}"
    )
    return report["result"]


def _attempt(credential: Credential, function: Callable[[], Any]) -> dict[str, Any]:
    try:
        credential.take()
        return {"result": function()}
    except NoCredential as refusal:
        return {"no credential": refusal.reason.errno}
    except BaseException:  # noqa: BLE001  (its parent reports it)
        return {"error": traceback.format_exc(limit=-3)}


def _read_all(descriptor: int) -> bytes:
    """Everything up to the end of file; fails if that does not come in time."""
    chunks: list[bytes] = []
    deadline = time.monotonic() + _SECONDS
    while True:
        left = deadline - time.monotonic()
        ready, _, _ = select.select([descriptor], [], [], max(0.0, left))
        assert ready, f"no report from a child process within {_SECONDS:g} s"
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
