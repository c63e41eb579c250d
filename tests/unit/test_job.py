"""A kernel's share of a run: as a value, and in two guests at once."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import job as module
from harness.guest.accel import Accel
from harness.guest.heard import Heard
from harness.guest.journal import BootRecord, ClosedRecord, Ending, Journal
from harness.guest.messages import ConsoleLine
from harness.guest.payload import Selection, write_payload
from harness.guest.replay import replay
from harness.guest.schedule import Limits, Order
from harness.guest.vng import Root
from harness.job import KernelJob, Workplace, run_kernel
from harness.model import BootableKernel, KernelResult, Outcome, Purpose, Role, Status
from harness.progress import SilentProgress
from tests.unit.guest.boots import NONCE, POWERED_OFF, end, hello, outcome, plan, start

_PLAN = ("functional/test_hash.py::test_a", "security/test_leaks.py::test_b")
_LEFT = ("security/test_leaks.py",)
_LIMIT = 60.0  # seconds; reached only if something is broken


def test_a_job_can_be_sent_anywhere() -> None:
    job = KernelJob("debian:x", Role.BASELINE, 30.0, append=("a",), limits=Limits(3, 2))
    assert pickle.loads(pickle.dumps(job)) == job
    assert hash(job)


class _Guests:
    """Plays guests: each writes what it would, and waits for the other one first."""

    def __init__(self, stop: threading.Event) -> None:
        self.booted: list[Order] = []
        self.stop = stop
        self.together = threading.Barrier(2)
        self.first: tuple[str, ...] = ()  # what the first answer is made of, beside the plan
        self.status = 0  # pytest's
        #: Called amid a boot with its purpose; True if it is to end there as stopped.
        self.amid: Callable[[Purpose, threading.Event], bool] = lambda _purpose, _stop: False

    def boot(self, *arguments: Any, elsewhere: int = 0) -> None:
        directory, stop, order = arguments[5], arguments[6], arguments[8]
        self.booted.append(order)
        if order.left:
            heard = Heard(BootRecord())
            heard.plan = (*self.first, *_PLAN)
            arguments[9](heard)
        if (order.purpose is Purpose.BESIDE or order.left) and not self.first:
            self.together.wait(_LIMIT)
        beside = order.purpose is Purpose.BESIDE
        wanted = order.tests or _PLAN
        mine = [test for test in _PLAN if test in wanted or test.partition("::")[0] in wanted]
        with Journal(directory, elsewhere) as journal:
            journal.boot(
                BootRecord(
                    number=journal.number,
                    nonce=NONCE,
                    release="6.12.43+deb12-amd64",
                    spec="x",
                    accel="tcg",
                    arguments=(f"afalg_harness.nonce={NONCE}",),
                    purpose=order.purpose,
                    asked=order.tests,
                    left=order.left,
                )
            )
            journal.console(ConsoleLine(1.0, f"hello of {order.purpose}"))
            for message in (hello(), plan(tests=_PLAN if not order.tests else mine)):
                journal.record(message)
            if self.amid(order.purpose, stop):
                journal.closed(ClosedRecord(Ending.STOPPED, 10.0))
                return
            ran = [test for test in mine if test.partition("::")[0] not in order.left]
            for number, test in enumerate(ran):
                journal.record(start(9.5, 2 + 2 * number, test))
                journal.record(outcome(10.0, 3 + 2 * number, test))
            journal.record(end(2 + 2 * len(ran), status=self.status))
            journal.closed(POWERED_OFF)
        assert beside is (directory.name == "beside")


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> _Guests:
    played = _Guests(threading.Event())
    monkeypatch.setattr(module, "boot_once", played.boot)

    def observe(*arguments: Any) -> KernelResult:
        played.boot(*arguments)
        return replay(arguments[5])

    monkeypatch.setattr(module, "observe", observe)
    monkeypatch.setattr(module, "files_beside", lambda files, _: _LEFT if files else ())
    return played


def _run(tmp_path: Path, guests: _Guests, at_once: int = 2) -> KernelResult:
    payload, directory = tmp_path / "payload.tar", tmp_path / "kernels/x"
    directory.mkdir(parents=True, exist_ok=True)
    write_payload(Selection(("functional", "security")), payload)
    kernel = BootableKernel("x", "6.12.43+deb12-amd64", Path("/k"), None, None, None)
    place = Workplace(
        Root("disk", Path("/r")),
        payload,
        directory,
        lambda _: Accel("tcg", "played"),
        guests.stop,
        SilentProgress(),
        guests=at_once,
    )
    return run_kernel(KernelJob("x", Role.CANDIDATE, 30.0), kernel, place)


def _outcomes(result: KernelResult) -> dict[str, str]:
    return {test.id: test.outcome for test in result.tests}


def test_two_guests_run_the_plan_between_them(tmp_path: Path, guests: _Guests) -> None:
    result = _run(tmp_path, guests)
    assert {order.purpose: (order.tests, order.left) for order in guests.booted} == {
        Purpose.PLAN: ((), _LEFT),
        Purpose.BESIDE: (_LEFT, ()),
    }
    assert (result.status, result.plan) == (Status.COMPLETED, _PLAN)
    assert _outcomes(result) == dict.fromkeys(_PLAN, Outcome.PASSED)
    ran = [(boot.number, boot.purpose, tuple(boot.outcomes)) for boot in result.boots]
    assert ran == [(1, Purpose.PLAN, _PLAN[:1]), (2, Purpose.BESIDE, _PLAN[1:])]


class _AtOnce(ThreadPoolExecutor):
    """Does what it is given before it goes on."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def test_the_second_waits_for_the_first_answer(
    tmp_path: Path, guests: _Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that does not come it is booted when the first has ended."""
    monkeypatch.setattr(module, "ThreadPoolExecutor", _AtOnce)
    guests.first = ("zero_copy/test_input.py::test_aead[tee]",)
    has_ended: list[bool] = []

    def look(purpose: Purpose, _stop: threading.Event) -> bool:
        if purpose is Purpose.BESIDE:
            has_ended.append('"closed"' in (tmp_path / "kernels/x/events.jsonl").read_text())
        return False

    guests.amid = look
    result = _run(tmp_path, guests)
    assert has_ended == [True]
    assert [order.purpose for order in guests.booted] == [Purpose.PLAN, Purpose.BESIDE]
    assert _outcomes(result) == dict.fromkeys(_PLAN, Outcome.PASSED)


def test_what_they_wrote_stands_in_one_place_one_after_the_other(
    tmp_path: Path, guests: _Guests
) -> None:
    result = _run(tmp_path, guests)
    directory = tmp_path / "kernels/x"
    console = (directory / "console.log").read_text().splitlines()
    assert [line.partition("] ")[2] or line for line in console] == [
        "hello of plan",
        "=== boot 2",
        "hello of beside",
    ]
    assert replay(directory).boots == result.boots
    assert not list((directory / "beside").glob("*.log"))
    assert not list((directory / "beside").glob("*.jsonl"))


def test_one_guest_where_there_is_room_for_one(tmp_path: Path, guests: _Guests) -> None:
    result = _run(tmp_path, guests, at_once=1)
    assert guests.booted == [Order()]
    assert _outcomes(result) == dict.fromkeys(_PLAN, Outcome.PASSED)


@pytest.mark.parametrize("which", [Purpose.PLAN, Purpose.BESIDE])
def test_a_run_that_is_stopped_goes_on(tmp_path: Path, guests: _Guests, which: Purpose) -> None:
    """What the other one of two has run is not run again."""

    def amid(purpose: Purpose, _: threading.Event) -> bool:
        if purpose is which:
            guests.stop.set()
        return purpose is which

    guests.amid = amid
    stopped = _run(tmp_path, guests)
    assert stopped.status is Status.INTERRUPTED
    guests.stop.clear()
    guests.booted.clear()
    result = _run(tmp_path, guests)
    left = _PLAN[:1] if which is Purpose.PLAN else _PLAN[1:]
    assert guests.booted == [Order(Purpose.REST, left)]
    assert (result.status, _outcomes(result)) == (
        Status.COMPLETED,
        dict.fromkeys(_PLAN, Outcome.PASSED),
    )


def test_a_harness_that_died_amid_two(
    tmp_path: Path, guests: _Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the second guest that nobody has taken in are, before anything else."""
    monkeypatch.setattr(module, "take_in", lambda *_: None)
    _run(tmp_path, guests)
    monkeypatch.undo()
    result = _run(tmp_path, guests)
    assert [boot.purpose for boot in result.boots] == [Purpose.PLAN, Purpose.BESIDE]
    assert _outcomes(result) == dict.fromkeys(_PLAN, Outcome.PASSED)


@pytest.mark.parametrize("which", [Purpose.PLAN, Purpose.BESIDE])
def test_one_that_cannot_be_run_ends_the_other(
    tmp_path: Path, guests: _Guests, which: Purpose
) -> None:
    """A full disk, a program that is missing: that is not the kernel's, and is said."""
    ended: list[Purpose] = []

    def amid(purpose: Purpose, stop: threading.Event) -> bool:
        if purpose is which:
            raise OSError(28, "No space left on device", "x")
        if which is Purpose.PLAN:
            while not stop.is_set():
                threading.Event().wait(0.01)
            ended.append(purpose)
        return which is Purpose.PLAN

    guests.amid = amid
    with pytest.raises(OSError, match="No space left"):
        _run(tmp_path, guests)
    assert ended == ([Purpose.BESIDE] if which is Purpose.PLAN else [])
    assert not guests.stop.is_set(), "other kernels go on"


def test_what_was_found_out_of_a_hang_goes_along(tmp_path: Path, guests: _Guests) -> None:
    def amid(purpose: Purpose, _: threading.Event) -> bool:
        if purpose is Purpose.BESIDE:
            (tmp_path / "kernels/x/beside/hang-2.txt").write_text("where\n")
        return False

    guests.amid = amid
    _run(tmp_path, guests)
    assert (tmp_path / "kernels/x/hang-2.txt").read_text() == "where\n"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What becomes of the known plan."""
    said: list[str] = []
    monkeypatch.setattr(module, "keep_plan", lambda *_: said.append("keep"))
    monkeypatch.setattr(module, "forget_plan", lambda *_: said.append("forget"))
    return said


def test_a_plan_that_the_suite_does_not_have_is_forgotten(
    tmp_path: Path, guests: _Guests, said: list[str]
) -> None:
    """Of which the guest says that pytest failed (OtherTests in stages.py)."""
    guests.status = 3
    assert _run(tmp_path, guests, at_once=1).status is Status.INTERRUPTED
    assert said == ["forget"]


def test_a_plan_outlives_a_run_that_is_interrupted(
    tmp_path: Path, guests: _Guests, said: list[str]
) -> None:

    def stopped(_purpose: Purpose, _stop: threading.Event) -> bool:
        guests.stop.set()
        return True

    guests.amid = stopped
    assert _run(tmp_path, guests, at_once=1).status is Status.INTERRUPTED
    assert said == []
