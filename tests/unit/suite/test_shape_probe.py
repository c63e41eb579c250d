"""What a shape's probe says that fails, and what that makes of its path."""

from __future__ import annotations

import errno
import os
import signal
from types import ModuleType
from typing import Any

import pytest

from harness.model import Cause, Reason
from tests.unit.guest.test_oracle import suite_module


@pytest.fixture(scope="module")
def shape_probe() -> ModuleType:
    for name in ("unavailable", "af_alg", "libc", "pages", "probing", "shapes_table", "shapes"):
        suite_module(name)
    return suite_module("shape_probe")


@pytest.fixture(scope="module")
def shape_tests(shape_probe: ModuleType, request: pytest.FixtureRequest) -> ModuleType:
    assert shape_probe
    request.config.addinivalue_line("markers", "policy_as_booted: of the suite in the guest")
    for name in ("credentials", "restriction"):
        suite_module(name)
    return suite_module("zero_copy/test_shapes")


def plain() -> Any:
    return suite_module("shapes").Shape()


def told(shape_probe: ModuleType, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Any:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(shape_probe.Probe, "_probe", fail)
    return shape_probe.Probe(pool=None).tell(plain())


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOMEM, Cause.HOST),
        (errno.EMFILE, Cause.HOST),
        (errno.EIO, Cause.HOST),
        (errno.EINTR, Cause.HOST),
        (errno.EBADMSG, Cause.OTHER),
    ],
)
def test_an_error_is_unknown(
    shape_probe: ModuleType, monkeypatch: pytest.MonkeyPatch, number: int, cause: Cause
) -> None:
    seen = told(shape_probe, monkeypatch, OSError(number, os.strerror(number)))
    assert seen.state == "unknown"
    assert seen.reason == Reason(cause, "skcipher", "cbc(aes)", errno.errorcode[number])


def test_no_memory_for_python_is_unknown(
    shape_probe: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = told(shape_probe, monkeypatch, MemoryError())
    assert (seen.state, seen.reason.cause) == ("unknown", Cause.HOST)


def test_what_is_not_offered_is_unreachable(
    shape_probe: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = shape_probe.af_alg.not_bound("skcipher", "cbc(aes)", "ENOENT")
    assert told(shape_probe, monkeypatch, refusal).state == "unreachable"


def test_a_process_that_a_signal_ends_tells_nothing(shape_probe: ModuleType) -> None:
    def killed() -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(shape_probe.Unavailable, match="ended with wait status 9"):
        shape_probe.in_child(killed)


@pytest.mark.parametrize(("number", "offered"), [("ENOPROTOOPT", False), ("EDQUOT", True)])
def test_a_key_by_its_serial_number(
    shape_probe: ModuleType, monkeypatch: pytest.MonkeyPatch, number: str, offered: bool
) -> None:
    def fail(*_arguments: object) -> int:
        raise OSError(getattr(errno, number), "refused")

    monkeypatch.setattr(shape_probe.keyring, "add", fail)
    expected = OSError if offered else shape_probe.af_alg.NotOffered
    with pytest.raises(expected):
        shape_probe._set_key_by_serial(None, shape_probe.CIPHERS["cbc(aes)"])


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EMFILE])
def test_an_io_uring_that_is_not_offered(
    shape_probe: ModuleType, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def fail() -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(shape_probe.aio, "Ring", fail)
    offered = error == errno.EMFILE
    expected = OSError if offered else shape_probe.aio.af_alg.NotOffered
    with pytest.raises(expected), shape_probe.aio.ring_if_offered():
        pass


def state_of(shape_tests: ModuleType, *states: str, cause: Cause = Cause.OTHER) -> dict[str, Any]:
    recorded: dict[str, Any] = {}
    seen = [
        shape_tests.Probed(plain(), shape_tests.Told(state, "why", Reason(cause)))
        for state in states
    ]
    shape_tests._record(
        "skcipher.splice_file", seen, "", lambda _name, **told: recorded.update(told)
    )
    return recorded


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("absent", "unknown"), "unknown"),
        (("absent", "unreachable"), "absent"),
        (("absent", "unknown", "present"), "present"),
        (("unknown", "unreachable"), "unknown"),
        (("unreachable",), "unreachable"),
    ],
)
def test_what_shapes_make_of_their_path(
    shape_tests: ModuleType, states: tuple[str, ...], expected: str
) -> None:
    recorded = state_of(shape_tests, *states)
    assert recorded["state"] == expected
    assert (recorded["reason"] is None) == (expected in {"absent", "present"})


@pytest.mark.parametrize(("copies", "expected"), [(True, "unreachable"), (False, "unknown")])
def test_pages_that_were_not_shared(shape_tests: ModuleType, copies: bool, expected: str) -> None:
    sharing = suite_module("sharing")
    refusal = sharing.SourceCopies("vmsplice copies", Reason(Cause.SOURCE_COPIES, name="vmsplice"))

    class Source:
        def refusal(self, _sort: str, _way: str) -> Any:
            return refusal if copies else None

    prober = shape_tests.Prober.__new__(shape_tests.Prober)
    prober._sharing = Source()
    told = shape_tests.Told("unshared", "control did not fire", Reason(Cause.OTHER))
    assert prober._settled(plain(), told).state == expected
    assert prober._settled(plain(), shape_tests.Told("absent")).state == "absent"


def test_what_is_unavailable_to_a_child_is_said(shape_probe: ModuleType) -> None:
    """With all that it says: a kernel that lacks something fails no test."""
    unavailable = shape_probe.Unavailable("no io_uring", Reason(Cause.OTHER, name="io_uring"))
    unavailable.control = "fired"

    def probe() -> None:
        raise unavailable

    with pytest.raises(shape_probe.Unavailable, match=r"^no io_uring$") as raised:
        shape_probe.in_child(probe)
    assert (raised.value.reason, raised.value.control) == (unavailable.reason, "fired")
