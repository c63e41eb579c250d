"""What a probe of zero copy says that cannot tell its state, and why the test is skipped."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from harness.model import Cause, Control, Reason, State, Witness
from tests.unit.guest.test_oracle import suite_module

NOT_BOUND = Reason(Cause.NOT_BOUND, "skcipher", "cbc(aes)", "ENOENT")


@pytest.fixture(scope="module")
def probing() -> ModuleType:
    return suite_module("probing")


class Ended:
    """How a probe ended: what it recorded, and the reason of its skip or the error it raised."""

    def __init__(self, probing: ModuleType, action: Callable[[], None]) -> None:
        self.recorded: dict[str, Any] = {}
        self.skip: Reason | None = None
        self.error: BaseException | None = None
        probe = probing.Probe("zero_copy.x", lambda _name, **seen: self.recorded.update(seen))
        try:
            with probe.searching():
                action()
        except pytest.skip.Exception as skipped:
            self.skip = vars(skipped)["reason_data"]
            assert str(skipped) == self.recorded["evidence"]
        except BaseException as error:  # noqa: BLE001  (what the test is about)
            self.error = error


def failing(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def test_an_algorithm_that_is_not_offered_is_unreachable(probing: ModuleType) -> None:
    refusal = probing.af_alg.not_bound("skcipher", "cbc(aes)", "ENOENT")
    ended = Ended(probing, failing(refusal))
    assert ended.recorded["state"] == State.UNREACHABLE
    assert ended.recorded["reason"] == ended.skip == NOT_BOUND


@pytest.mark.parametrize("name", ["EOPNOTSUPP", "ENOSYS"])
def test_a_call_that_is_not_offered_is_unreachable(probing: ModuleType, name: str) -> None:
    ended = Ended(probing, lambda: hand_over(probing, name))
    assert ended.recorded["state"] == State.UNREACHABLE
    seen = errno.errorcode[getattr(errno, name)]  # some have two names
    assert ended.skip == Reason(Cause.OTHER, "skcipher", "cbc(aes)", seen)
    assert ended.recorded["evidence"] == f"splice into cbc(aes): {seen}"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("ENOMEM", Cause.HOST),
        ("EMFILE", Cause.HOST),
        ("EIO", Cause.HOST),
        ("EINTR", Cause.HOST),
        ("EINVAL", Cause.OTHER),
        ("EPIPE", Cause.OTHER),
    ],
)
def test_any_other_error_makes_the_state_unknown(
    probing: ModuleType, name: str, cause: Cause
) -> None:
    ended = Ended(probing, lambda: hand_over(probing, name))
    assert ended.recorded["state"] == State.UNKNOWN
    assert ended.skip == Reason(cause, "skcipher", "cbc(aes)", name)


def hand_over(probing: ModuleType, name: str) -> None:
    with probing.handing_over("splice", "skcipher", "cbc(aes)"):
        raise OSError(getattr(errno, name), "refused")


def test_a_guest_without_memory_fails_no_test(probing: ModuleType) -> None:
    ended = Ended(probing, failing(OSError(errno.ENOMEM, "Cannot allocate memory")))
    assert ended.recorded["state"] == State.UNKNOWN
    assert ended.skip == Reason(Cause.HOST, errno="ENOMEM")


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_nor_does_one_that_python_lacks_something_in(probing: ModuleType, error: Exception) -> None:
    ended = Ended(probing, failing(error))
    assert ended.recorded["state"] == State.UNKNOWN
    assert ended.skip is not None
    assert ended.skip.cause is Cause.HOST


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EBADMSG, "bad"),
        AssertionError("8 of 16\nx"),
        KeyboardInterrupt("no end within 60 s"),
        RuntimeError("can't start new thread"),
    ],
)
def test_what_fails_otherwise_fails_the_test_and_tells_no_state(
    probing: ModuleType, error: BaseException
) -> None:
    ended = Ended(probing, failing(error))
    assert ended.error is error
    assert ended.recorded["state"] == State.UNKNOWN
    assert "\n" not in ended.recorded["evidence"]


def test_a_control_that_failed(probing: ModuleType) -> None:
    ended = Ended(probing, failing(probing.Void("did not see it", control="failed")))
    assert (ended.recorded["state"], ended.recorded["control"]) == (State.UNKNOWN, Control.FAILED)
    assert ended.skip == Reason(Cause.OTHER)


def test_a_source_that_the_guest_cannot_give(
    probing: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = suite_module("pages")

    @contextmanager
    def full(*_arguments: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield

    monkeypatch.setattr(pages, "scratch_memfd", full)

    def action() -> None:
        with pages.source("memfd", b"x"):
            pytest.fail("there is no source")

    ended = Ended(probing, action)
    assert ended.recorded["state"] == State.UNKNOWN
    assert ended.skip == Reason(Cause.HOST, name="memfd", errno="ENOSPC")


@pytest.mark.parametrize(
    ("told", "said", "state", "witness"),
    [
        ("absent", "absent", State.ABSENT, Witness.AGREED),
        ("absent", "present", State.UNKNOWN, Witness.DISAGREED),
        ("present", "", State.PRESENT, Witness.SILENT),
        ("unknown", "", State.UNKNOWN, Witness.SILENT),
        ("unknown", "present", State.UNKNOWN, Witness.NONE),
    ],
)
def test_what_the_witness_makes_of_it(
    probing: ModuleType, told: str, said: str, state: State, witness: Witness
) -> None:
    recorded: dict[str, Any] = {}
    probe = probing.Probe("zero_copy.x", lambda _name, **seen: recorded.update(seen))
    testimony = probing.Testimony(said, "because")
    assert probe.conclude(told, testimony, control="fired", evidence="seen") == state
    assert (recorded["state"], recorded["witness"]) == (state, witness)
    assert (recorded["reason"] is None) == (state is not State.UNKNOWN)
    assert recorded["evidence"].startswith("seen; ")
