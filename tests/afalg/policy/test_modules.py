"""An interface whose module is not there: what CONFIG_CRYPTO_USER_API*=n looks like.

alg_bind() asks for ``algif-TYPE`` (request_module) when the type is not registered, and
says ENOENT if that brings nothing; a kernel without af_alg says EAFNOSUPPORT to socket().
Here the modules are unloaded and modprobe is taken away, then put back: the control.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import libc
import pytest
from restriction import BOUND, KINDS, attempt, set_level
from unavailable import RESTRICT, skip

from harness.guest.inside.allowlists import Name
from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.policy_as_booted

MODPROBE = Path("/proc/sys/kernel/modprobe")
MODULES = Path("/sys/module")
#: What each interface is asked for, the first that is offered.
SAMPLES = {
    "aead": ("ccm(aes)", "gcm(aes)"),
    "hash": ("sha1", "sha256"),
    "rng": ("stdrng", "jitterentropy_rng"),
    "skcipher": ("ecb(aes)", "xts(aes)"),
}


@pytest.fixture(autouse=True)
def opened() -> Iterator[None]:
    """The policy opened for each test: it is not what is refused here."""
    if not MODPROBE.exists():
        skip("this kernel has no modules: nothing can be unloaded", Reason(Cause.NO_MODULE))
    open_policy()
    yield
    open_policy()


def open_policy() -> None:
    """Load af_alg, and let it offer everything."""
    try:
        af_alg.open_socket().close()
    except af_alg.NotOffered as refusal:
        if not RESTRICT.exists():
            refusal.skip()
    if RESTRICT.exists():
        set_level(0)


def answer(kind: str) -> tuple[Name, str]:
    """What bind() says to the first name of an interface that is offered, or to the last."""
    name, seen = Name(kind, ""), ""
    for algorithm in SAMPLES[kind]:
        name = Name(kind, algorithm)
        with af_alg.open_socket() as sock:
            seen = attempt(sock, name)
        if seen == BOUND:
            break
    return name, seen


@contextmanager
def no_modprobe() -> Iterator[None]:
    """Nothing is loaded on demand."""
    before = MODPROBE.read_text()
    MODPROBE.write_text("/nonexistent\n")
    try:
        yield
    finally:
        MODPROBE.write_text(before)


def unload(module: str) -> None:
    """Unload a module; skips the test if that cannot be."""
    if not (MODULES / module / "refcnt").exists():
        skip(
            f"{module} is not a loaded module: built in or not configured",
            Reason(Cause.NO_MODULE, name=module),
        )
    try:
        libc.delete_module(module)
    except OSError as error:
        af_alg.failed(f"delete_module {module}", error).skip()


@pytest.mark.parametrize("kind", KINDS)
def test_interface_absent(kind: str) -> None:
    """Without its module, bind() to an interface is ENOENT, and the other interfaces work."""
    name, offered = answer(kind)
    if offered != BOUND:
        af_alg.not_bound(*name, offered).skip()
    others = [other for other in KINDS if other != kind and answer(other)[1] == BOUND]
    with no_modprobe():
        unload(f"algif_{kind}")
        with af_alg.open_socket() as sock:
            seen = attempt(sock, name)
        working = [other for other in others if answer(other)[1] == BOUND]
    with af_alg.open_socket() as sock:
        again = attempt(sock, name)
    assert seen == "ENOENT", f"bind {name} without algif_{kind}: expected ENOENT, saw {seen}"
    assert working == others, f"expected {others} to work without algif_{kind}, saw {working}"
    assert again == BOUND, f"bind {name} with modprobe put back: expected ok, saw {again}"


def test_no_module_for_type() -> None:
    """A type for which there is no module is ENOENT, and the socket can still be bound."""
    name, offered = answer("hash")
    if offered != BOUND:
        af_alg.not_bound(*name, offered).skip()
    with af_alg.open_socket() as sock:
        for kind in ("akcipher", "kpp", "cipher", "algif_hash", ""):
            seen = attempt(sock, Name(kind, name.algorithm))
            assert seen == "ENOENT", f"bind to type {kind!r}: expected ENOENT, saw {seen}"
        assert attempt(sock, name) == BOUND


def test_af_alg_absent() -> None:
    """Without af_alg, socket() is EAFNOSUPPORT; a sysctl goes with it and comes back at 1."""
    had_sysctl = RESTRICT.exists()
    with no_modprobe():
        for kind in KINDS:
            if (MODULES / f"algif_{kind}").exists():
                unload(f"algif_{kind}")
        unload("af_alg")
        with pytest.raises(af_alg.NotOffered, match="EAFNOSUPPORT"):
            af_alg.open_socket()
        assert not RESTRICT.exists(), "the sysctl outlives its module"
    af_alg.open_socket().close()
    assert RESTRICT.exists() == had_sysctl
    if had_sysctl:
        level = RESTRICT.read_text().strip()
        assert level == "1", f"expected level 1 after loading af_alg, saw {level}"
