"""The sysctl af_alg_restrict itself, and what a change of it does to open sockets.

crypto/af_alg.c (2f204fe718f5, 7.3): mode 0644, an int from 0 to 2 (proc_dointvec_minmax),
1 by default. It is read by socket() and by bind(), so that a socket which is already bound
goes on working at any level.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import credentials
import expect
import pytest
from restriction import BOUND, Policy, attempt, set_level
from unavailable import RESTRICT, skip

from harness.guest.inside.allowlists import Name
from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from credentials import Credential

pytestmark = pytest.mark.policy_as_booted

KEY = bytes(range(16))
IV = bytes(range(16, 32))
TEXT = bytes(range(64))
UNLISTED = Name("aead", "gcm(aes)")  # on no list
TAG = 16


def write(text: str) -> str:
    """One write(2) to the sysctl: "ok" or the errno's name."""
    descriptor = os.open(RESTRICT, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        return af_alg.errno_name(error)
    finally:
        os.close(descriptor)
    return "ok"


def open_for(flags: int) -> str:
    """open(2) of the sysctl: "ok" or the errno's name."""
    try:
        os.close(os.open(RESTRICT, flags))
    except OSError as error:
        return af_alg.errno_name(error)
    return "ok"


# The sysctl


def test_default(policy: Policy) -> None:
    """The level is 1 unless the kernel command line says otherwise."""
    assert policy
    if "af_alg_restrict=" in Path("/proc/cmdline").read_text():
        skip(
            "af_alg_restrict is given on the kernel command line",
            Reason(Cause.OTHER, name="af_alg_restrict"),
        )
    level = RESTRICT.read_text().strip()
    assert level == "1", f"expected level 1 as booted, saw {level}"


@pytest.mark.parametrize("level", [0, 1, 2])
def test_takes(level: int, policy: Policy) -> None:
    """Root can set each level, and reads it back."""
    with policy.at((level + 1) % 3):
        assert write(f"{level}\n") == "ok"
        seen = RESTRICT.read_text()
        assert seen == f"{level}\n", f"wrote {level}, read {seen!r}"


@pytest.mark.parametrize(
    "text",
    ["-1", "3", "256", "2147483647", "4294967296", "4294967297", "on", "\n", "1x"],
    ids=lambda text: text.strip() or "empty",
)
@pytest.mark.parametrize("level", [0, 2])
def test_range(text: str, level: int, policy: Policy) -> None:
    """Anything but 0, 1 and 2 is EINVAL, and the level stays as it was."""
    with policy.at(level):
        answer = write(text)
        seen = RESTRICT.read_text().strip()
        assert write("1") == "ok"
    assert answer == "EINVAL", f"wrote {text!r}: expected EINVAL, saw {answer}"
    assert seen == str(level), f"wrote {text!r} at level {level}: the level is now {seen}"


def test_mode(policy: Policy) -> None:
    """The sysctl belongs to root and has mode 0644."""
    assert policy
    found = RESTRICT.stat()
    assert (found.st_uid, found.st_gid) == (0, 0)
    mode = stat.S_IMODE(found.st_mode)
    assert mode == 0o644, f"expected mode 0o644, saw {mode:#o}"


@pytest.mark.parametrize(
    "credential",
    [
        credentials.NOBODY,
        credentials.NET_ADMIN,
        credentials.SYS_ADMIN,
        credentials.NAMESPACE_ROOT,
    ],
    ids=lambda credential: credential.name,
)
def test_write_refused(credential: Credential, policy: Policy) -> None:
    """Who is not root cannot write it (EACCES), whatever the capabilities, but can read it."""
    assert policy

    def attempts() -> list[str]:
        return [open_for(flags) for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)]

    assert attempts() == ["ok", "ok", "ok"], "as root"
    try:
        seen = credentials.run_as(credential, attempts)
    except credentials.NoCredential as refusal:
        refusal.skip()
    assert seen == ["ok", "EACCES", "EACCES"], f"read, write, both: {seen}"


# Sockets


@pytest.mark.parametrize(
    "credential", [credentials.ROOT, credentials.NOBODY], ids=lambda credential: credential.name
)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_socket(level: int, credential: Credential, policy: Policy) -> None:
    """socket() works at levels 0 and 1; at level 2 AF_ALG is EAFNOSUPPORT, even for root."""

    def attempt_socket() -> str:
        try:
            af_alg.open_socket().close()
        except af_alg.NotOffered as reason:
            return str(reason)
        except OSError as error:
            return af_alg.errno_name(error)
        return "ok"

    with policy.at(level):
        seen = credentials.run_as(credential, attempt_socket)
    expected = "socket(AF_ALG): EAFNOSUPPORT" if level == 2 else "ok"
    assert seen == expected, f"socket() at level {level}: expected {expected}, saw {seen}"


def test_socket_type_at_level_2(policy: Policy) -> None:
    """Level 2 refuses every type of socket in the same way, before it looks at the type."""
    import socket  # noqa: PLC0415  (the name of a module that other tests do not need)

    with policy.at(2):
        for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with expect.refused(errno.EAFNOSUPPORT, f"socket(AF_ALG, {kind!r})"):
                socket.socket(socket.AF_ALG, kind, 0)


def test_level_counts_at_bind(policy: Policy) -> None:
    """A socket that is not bound yet is subject to the level at the time of its bind()."""
    policy.skip_unless_offered(UNLISTED)
    listed = policy.keyless_hash(everybody=False)
    with policy.at(0), af_alg.open_socket() as sock:
        seen = []
        for level in (1, 2, 0):
            set_level(level)
            seen.append((attempt(sock, listed), attempt(sock, UNLISTED)))
    expected = [(BOUND, "ENOENT"), ("ENOENT", "ENOENT"), (BOUND, BOUND)]
    assert seen == expected, f"{listed} and {UNLISTED} at levels 1, 2, 0: {seen}"


def seal(transform: af_alg.Transform) -> bytes:
    """One encryption by a request of its own."""
    with transform.request() as request:
        request.send(KEY + TEXT, op=af_alg.ENCRYPT, iv=IV[:12], assoclen=len(KEY))
        return request.recv(len(KEY) + len(TEXT) + TAG)


@pytest.mark.parametrize("level", [1, 2])
def test_bound_socket_goes_on(level: int, policy: Policy) -> None:
    """A socket bound at level 0 takes keys and serves new requests at any level."""
    policy.skip_unless_offered(UNLISTED)
    with policy.at(0), af_alg.Transform(*UNLISTED) as transform:
        transform.set_key(KEY)
        transform.set_authsize(TAG)
        expected = seal(transform)
        transform.set_key(IV)
        of_other_key = seal(transform)
        set_level(level)
        expect.same(of_other_key, seal(transform), f"at level {level}")
        transform.set_key(KEY)
        expect.same(expected, seal(transform), f"keyed at level {level}")
    assert expected != of_other_key


@pytest.mark.parametrize("level", [1, 2])
def test_open_request_goes_on(level: int, policy: Policy) -> None:
    """A request that is half done when the level rises is finished as if it had not."""
    policy.skip_unless_offered(UNLISTED)
    with policy.at(0), af_alg.Transform(*UNLISTED) as transform:
        transform.set_key(KEY)
        transform.set_authsize(TAG)
        expected = seal(transform)
        request = transform.request()
        request.send(KEY + TEXT[:7], op=af_alg.ENCRYPT, iv=IV[:12], assoclen=len(KEY), more=True)
        set_level(level)
        request.send(TEXT[7:])
        expect.same(expected, request.recv(len(expected)), f"finished at level {level}")


@pytest.mark.parametrize("level", [1, 2])
def test_refused_rebind_keeps_the_old(level: int, policy: Policy) -> None:
    """A bind() that the level refuses leaves the socket bound to what it was bound to."""
    policy.skip_unless_offered(UNLISTED)
    with policy.at(0), af_alg.Transform(*UNLISTED) as transform:
        transform.set_key(KEY)
        transform.set_authsize(TAG)
        expected = seal(transform)
        set_level(level)
        for name in (UNLISTED, Name("aead", "rfc4106(gcm(aes))")):
            answer = attempt(transform.sock, name)
            assert answer == "ENOENT", f"bind {name}: expected ENOENT, saw {answer}"
        expect.same(expected, seal(transform), "after the refused bind()")
