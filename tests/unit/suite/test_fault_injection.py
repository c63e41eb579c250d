"""How the faults suite lets each allocation fail in turn, against a kernel that is played."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.model import Cause, Reason
from tests.unit.guest.test_oracle import suite_module


class Played:
    """A kernel whose call allocates so often; ``answers`` has the error of each allocation.

    A number is an errno, None an allocation that the call can do without.
    """

    def __init__(self, path: Path, *answers: int | None) -> None:
        self._path = path
        self._answers = answers
        self.after = 0  # error of a call of which nothing failed

    def __call__(self, _: object = None) -> str:
        number = int(self._path.read_text())
        if not number:
            return "done"
        left = number - len(self._answers)
        self._path.write_text(f"{max(left, 0)}\n")
        if left <= 0 and (answer := self._answers[number - 1]):
            raise OSError(answer, os.strerror(answer))
        if left > 0 and self.after:
            raise OSError(self.after, os.strerror(self.after))
        return "done"


@pytest.fixture
def injection(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = suite_module("fault_injection")
    monkeypatch.setattr(module.resources, "balanced", lambda _: nullcontext())
    return module


@pytest.fixture
def fail_nth(tmp_path: Path) -> Path:
    path = tmp_path / "fail-nth"
    path.write_text("0\n")
    return path


@pytest.fixture
def faults(injection: ModuleType, fail_nth: Path) -> Iterator[Any]:
    with injection.Injector(fail_nth) as injector:
        yield injection.Faults(injector)


def each(faults: Any, call: Callable[[object], str], **changed: Any) -> int:
    """Run it with what a test gives."""
    arguments: dict[str, Any] = {
        "prepare": lambda: None,
        "call": call,
        "check": lambda *_: None,
        "errors": frozenset({errno.ENOMEM}),
    }
    found = faults.each("call", **arguments | changed)
    assert isinstance(found, int)
    return found


def test_each_allocation_has_its_turn(faults: Any, fail_nth: Path) -> None:
    seen = []

    def check(_: object, call: Any) -> None:
        name = errno.errorcode[call.error.errno] if call.error else call.result
        seen.append((call.number, call.failed, name))

    played = Played(fail_nth, errno.ENOMEM, None, errno.ENOMEM)
    assert each(faults, played, check=check) == 3
    assert seen == [
        (1, True, "ENOMEM"),
        (2, True, "done"),
        (3, True, "ENOMEM"),
        (4, False, "done"),
    ]
    assert int(fail_nth.read_text()) == 0  # nothing is left armed


def test_an_error_that_is_not_documented_fails(faults: Any, fail_nth: Path) -> None:
    with pytest.raises(AssertionError, match="fault 2: ENOENT, expected ENOMEM"):
        each(faults, Played(fail_nth, errno.ENOMEM, errno.ENOENT))


def test_an_error_of_a_call_of_which_nothing_failed(faults: Any, fail_nth: Path) -> None:
    played = Played(fail_nth, errno.ENOMEM)
    played.after = errno.ENOMEM
    with pytest.raises(AssertionError, match="fault 2: ENOMEM although nothing"):
        each(faults, played)


@pytest.mark.parametrize("error", [OSError(errno.EBUSY, "busy"), AssertionError("other bytes")])
def test_a_state_that_is_wrong_afterwards(faults: Any, fail_nth: Path, error: Exception) -> None:
    def check(_: object, call: Any) -> None:
        if call.number == 2:
            raise error

    with pytest.raises((AssertionError, pytest.fail.Exception), match=r"fault 2.*ENOMEM"):
        each(faults, Played(fail_nth, errno.ENOMEM, errno.ENOMEM), check=check)


def test_copies_that_fail_are_no_allocations(
    injection: ModuleType, fail_nth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played(fail_nth, errno.EFAULT, errno.ENOMEM)
    with injection.Injector(fail_nth) as injector:
        with pytest.raises(AssertionError, match="EFAULT, expected ENOMEM"):
            each(injection.Faults(injector), played)
        monkeypatch.setattr(injection, "_COPIES", tmp_path)
        assert each(injection.Faults(injector), played) == 1


def test_a_call_that_never_gets_through(faults: Any, fail_nth: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="300 allocations and more"):
        each(faults, Played(fail_nth, *[errno.ENOMEM] * 1000))


def test_a_call_of_which_nothing_failed_is_void(faults: Any, fail_nth: Path) -> None:
    def ladder() -> int:
        return each(faults, Played(fail_nth))

    with pytest.raises(AssertionError, match="void"):
        faults.nothing_lost("call", ladder)
    faults.nothing_lost("call", ladder, allocates=False)


def test_memory_left_charged_to_a_socket(
    injection: ModuleType, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    charged = [64]
    monkeypatch.setattr(injection, "option_memory", lambda _: charged[0])
    faults.nothing_lost("call", lambda: 1, of=(object(),))

    def leak() -> int:
        charged[0] += 32
        return 1

    with pytest.raises(AssertionError, match="96 bytes charged before, 192 after"):
        faults.nothing_lost("call", leak, of=(object(),))


@pytest.mark.parametrize("every", [1, 4])
def test_pages_that_are_lost(
    injection: ModuleType, faults: Any, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    turns = [0]
    monkeypatch.setattr(injection.page_count, "uncounted", lambda: turns[0] // every)

    def leak() -> int:
        turns[0] += 1
        return 1

    if every == 1:
        with pytest.raises(pytest.fail.Exception, match="40 pages lost in 40 turns"):
            faults.nothing_lost("call", leak, turns=40)
    else:
        faults.nothing_lost("call", leak, turns=40)  # as the number wavers


def test_what_cannot_be_made_to_fail_is_skipped(injection: ModuleType, fail_nth: Path) -> None:
    with (
        injection.Injector(fail_nth) as injector,
        pytest.raises(pytest.skip.Exception, match=r"pipe\(2\) 0 failed") as skipped,
    ):
        injection.require_working(injector)
    assert vars(skipped.value)["reason_data"] == Reason(Cause.NO_OPTION, name="CONFIG_FAILSLAB")


def test_the_control_that_fires(
    injection: ModuleType, fail_nth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played(fail_nth, errno.ENFILE, errno.ENOMEM)

    def pipe() -> tuple[int, ...]:
        played()
        return ()

    monkeypatch.setattr(injection.os, "pipe", pipe)
    with injection.Injector(fail_nth) as injector:
        injection.require_working(injector)


def test_settings_are_put_back(
    injection: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "failslab/ignore-gfp-wait"
    setting.parent.mkdir()
    setting.write_text("Y\n")
    mounts: list[str] = []
    monkeypatch.setattr(injection, "DEBUGFS", tmp_path)
    monkeypatch.setattr(injection.libc, "mount", lambda *what: mounts.append(f"+{what[0]}"))
    monkeypatch.setattr(injection.libc, "unmount", lambda _: mounts.append("-"))
    with injection.everything_can_fail():
        assert setting.read_text() == "N"
        assert mounts == ["+debugfs"]
    assert setting.read_text() == "Y\n"
    assert mounts == ["+debugfs", "-"]


def test_memory_is_cut_into_pieces() -> None:
    suite_module("fault_injection")
    memory = suite_module("fault_fixtures").Memory(8192)
    memory.write(b"abc")
    assert memory.read(4) == b"abc\xa5"
    for length, count, start in ((64, 1, 0), (640, 20, 0), (992, 7, 0), (100, 3, 37)):
        pieces = memory.pieces(length, count, start)
        assert len(pieces) <= count
        assert sum(size for _, size in pieces) == length - start
        starts = [address - memory.address for address, _ in pieces]
        assert starts[0] == start
        assert starts[1:] == [at + size for at, (_, size) in zip(starts, pieces, strict=True)][:-1]
