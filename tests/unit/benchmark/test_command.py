"""``afalg-harness benchmark`` from its words to its exit code, with guests of ours."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.benchmark import run
from harness.benchmark.file import FILE_NAME, load
from harness.benchmark.guest import Told
from harness.cli import main
from harness.commands.actions import benchmark
from harness.commands.parsers import command_parser
from harness.errors import BootError, FetchError, Interrupted
from harness.guest.accel import Accel
from harness.guest.inside.counting import UNITS
from harness.guest.session import GuestSettings
from harness.guest.vng import Root
from harness.model import BootableKernel
from tests.unit.benchmark.made import told

_A, _B, _C = "debian:a", "debian:b", "debian:c"
_WORDS = ("--algorithm", "cbc(aes)", "--algorithm", "sha256", "--way", "sendmsg", "--way", "aio",
          "--way", "openssl", "--size", "16", "--size", "4096")  # fmt: skip
Guest = Callable[[str, Path, threading.Event], Told]


def _kernel(spec: str) -> BootableKernel:
    return BootableKernel(spec, spec[-1], Path("/k/vmlinuz"), None, None, None)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command; ``guest`` gives what the guest of a kernel tells, or raises."""

    def command(*words: str, guest: Guest) -> int:
        def measure(kernel: BootableKernel, *arguments: Any) -> Told:
            return guest(kernel.spec, *arguments[3:5])

        monkeypatch.setattr(run, "measure", measure)
        out = str(tmp_path / "costs")
        return main(["benchmark", *words, *_WORDS, "--out", out])

    monkeypatch.setattr(benchmark, "refuse_bad_kernels", lambda *_: None)
    monkeypatch.setattr(benchmark, "resolve", lambda spec, *_: _kernel(spec))
    monkeypatch.setattr(benchmark, "guest_root", lambda *_: Root("disk", Path("/root.ext4")))
    monkeypatch.setattr(benchmark, "add_bytecode", lambda *_: None)
    monkeypatch.setattr(benchmark, "qemu_version", lambda: "7.2.22")
    return command


def _told(spec: str) -> Told:
    """What a guest says, as if it ran the kernel ``spec``; c is dearer by a tenth."""
    made = told()
    made.ready["release"] = spec[-1]
    if spec == _C:
        for row in made.rows:
            row["ticks"] = [[round(1.1 * one) for one in call] for call in row["ticks"]]
    return made


def _but(*failing: str) -> Guest:
    def guest(spec: str, place: Path, stop: threading.Event) -> Told:
        if spec in failing:
            raise BootError(f"{spec}: nothing heard for 600 s while booting")
        return _told(spec)

    return guest


def test_other_kernels_are_shown_when_one_fails(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(_A, _B, _C, guest=_but(_B)) == 3
    printed = capsys.readouterr().out
    assert "c against a: 10 of 10 rows changed beyond noise" in printed
    assert "debian:b: not measured: nothing heard for 600 s while booting" in printed
    stored = load(tmp_path / "costs")
    assert [kernel.spec for kernel in stored.kernels] == [_A, _C]
    assert {one.spec for one in stored.failures} == {_B}
    page = (tmp_path / "costs/benchmark.html").read_text()
    assert "debian:b: not measured: nothing heard" in page
    assert main(["compare", str(tmp_path / "costs")]) == 3
    assert "debian:b: not measured: nothing" in capsys.readouterr().out


def test_nothing_is_compared_with_another_than_the_baseline(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(_B, _C, "--baseline", _A, "--max-slowdown", "5%", guest=_but(_A)) == 3
    printed = capsys.readouterr().out
    assert "against" not in printed
    assert "nothing is compared: debian:a was not measured" in printed
    stored = load(tmp_path / "costs")
    assert [kernel.spec for kernel in stored.kernels] == [_B, _C]
    assert main(["compare", str(tmp_path / "costs")]) == 3
    assert "debian:a could not be measured" in capsys.readouterr().err


def test_slowdown_that_was_measured_counts_more_than_what_was_not(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(_A, _B, _C, "--max-slowdown", "5%", guest=_but(_B)) == 1
    assert "c: cbc(aes) by openssl, 16 B: +10.2%, more than 5.0%" in capsys.readouterr().out


def test_part_that_fails_is_named(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def guest(spec: str, place: Path, stop: threading.Event) -> Told:
        if place.name == "strings":
            raise BootError(f"{spec}: the guest ended; it said last: Oops")
        return _told(spec)

    assert command(_A, guest=guest) == 3
    assert "debian:a (strings): not measured: the guest ended" in capsys.readouterr().out
    assert [one.name for one in load(tmp_path / "costs").kernels[0].counts] == ["moves"]


def test_kernel_that_cannot_be_had_is_one_that_is_not_measured(
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def resolve(spec: str, *_: object) -> BootableKernel:
        if spec == _B:
            raise FetchError(f"{spec}: the mirror does not answer")
        return _kernel(spec)

    monkeypatch.setattr(benchmark, "resolve", resolve)
    assert command(_A, _B, guest=_but()) == 3
    assert "debian:b: not measured: the mirror does not answer" in capsys.readouterr().out


def test_kernel_that_cannot_be_a_guest_is_refused_before_anything_is_measured(
    command: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "config"
    config.write_text("CONFIG_EXT4_FS=y\n")

    def resolve(spec: str, *_: object) -> BootableKernel:
        return replace(_kernel(spec), config=config if spec == _B else None)

    monkeypatch.setattr(benchmark, "resolve", resolve)
    assert command(_A, _B, guest=lambda *_: pytest.fail("booted")) == 2
    assert "b cannot be booted as a guest: CONFIG_BINFMT_ELF" in capsys.readouterr().err


def test_fault_of_ours_in_one_guest_is_told_and_loses_no_other(
    command: Callable[..., int], details: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def guest(spec: str, place: Path, stop: threading.Event) -> Told:
        made = _told(spec)
        if spec == _B:
            made.ready.clear()
            del made.calibration["nothing"]
        return made

    assert command(_A, _B, guest=guest) == 3
    printed = capsys.readouterr().out
    assert "debian:b: not measured: the harness failed: KeyError: 'nothing'" in printed
    assert "a: instructions a message" in printed


def test_if_no_kernel_is_measured_one_line_says_why(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(_A, _B, "-q", guest=_but(_A, _B)) == 3
    assert capsys.readouterr().err.count("nothing heard for 600 s") == 2
    assert not (tmp_path / "costs" / FILE_NAME).exists()


def test_ctrl_c_keeps_what_is_complete(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def guest(spec: str, place: Path, stop: threading.Event) -> Told:
        if spec == _B:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.wait(60)
            raise Interrupted("benchmark: interrupted")
        return _told(spec)

    assert command(_A, _B, _C, "--one-count", "--jobs", "1", guest=guest) == 130
    printed = capsys.readouterr().out
    assert "a: instructions a message" in printed
    assert "debian:c: not measured: interrupted" in printed
    data = json.loads((tmp_path / "costs" / FILE_NAME).read_text())
    assert [one["interrupted"] for one in data["failures"]] == [True, True]
    assert main(["compare", str(tmp_path / "costs")]) == 3


def test_ctrl_c_before_anything_is_complete(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def guest(spec: str, place: Path, stop: threading.Event) -> Told:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(60)
        raise Interrupted("benchmark: interrupted")

    assert command(_A, _B, "--jobs", "1", guest=guest) == 130
    assert capsys.readouterr().err.count("interrupted") >= 1
    assert not (tmp_path / "costs" / FILE_NAME).exists()


def _timed(order: list[str], slow: str = "") -> Guest:
    """A guest that counts nanoseconds; ``slow`` takes a tenth longer."""

    def guest(spec: str, place: Path, stop: threading.Event) -> Told:
        order.append(f"{spec} {place.name}")
        made = told()
        made.ready["release"] = spec[-1]
        for row in made.rows:
            row["ticks"] = [
                [one * (11 if spec == slow else 10) for one in call] for call in row["ticks"]
            ]
        return made

    return guest


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without KVM."""
    monkeypatch.setattr(benchmark, "choose_accel", lambda *_: Accel("tcg", "no /dev/kvm"))
    monkeypatch.setattr(benchmark, "kvm_problem_known", lambda _cache: None)


_NANOSECONDS = ("--unit", "nanoseconds")
_ROUNDS = 9  # of ten rows


@pytest.mark.usefixtures("emulated")
def test_kernels_are_booted_in_turn_and_every_other_round_in_the_opposite_order(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []
    words = (_A, _B, *_NANOSECONDS, "--max-slowdown", "5%", "-v")
    assert command(*words, guest=_timed(order, slow=_B)) == 1
    assert order[:6] == [f"{_A} 1", f"{_B} 1", f"{_B} 2", f"{_A} 2", f"{_A} 3", f"{_B} 3"]
    assert len(order) == 2 * _ROUNDS
    stored = load(tmp_path / "costs")
    assert (stored.unit, stored.accel) == ("nanoseconds", "tcg")
    assert [count.name for count in stored.kernels[0].counts] == ["emulated"]
    assert stored.kernels[0].main.rounds == tuple(range(1, 1 + _ROUNDS))
    printed = capsys.readouterr().out
    assert "a: nanoseconds a message + a byte, median of 9 rounds, of QEMU's emulation" in printed
    assert "b against a: 10 of 10 rows changed beyond noise" in printed
    row = stored.kernels[0].main.rows[0]
    assert "requests a second, of 16 B and 4 KiB" in printed
    assert f"{1e9 / row.cost:,.0f}" in printed


@pytest.mark.usefixtures("emulated")
def test_kernel_that_fails_in_a_round_keeps_the_others_and_is_booted_no_more(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []
    steady = _timed(order)

    def guest(spec: str, place: Path, stop: threading.Event) -> Told:
        made = steady(spec, place, stop)
        if (spec, place.name) == (_B, "3"):
            raise BootError(f"{spec}: the guest ended; it said last: Oops")
        return made

    assert command(_A, _B, *_NANOSECONDS, guest=guest) == 3
    assert [one for one in order if one.startswith(_B)] == [
        f"{_B} {number}" for number in (1, 2, 3)
    ]
    printed = capsys.readouterr().out
    said = "debian:b (round 3 and 6 more): not measured: the guest ended; it said last: Oops"
    assert said in printed
    few = "too few rounds to tell a change from noise"
    assert few in printed
    assert few in (tmp_path / "costs/benchmark.html").read_text()
    stored = load(tmp_path / "costs")
    assert [len(kernel.main.rounds) for kernel in stored.kernels] == [_ROUNDS, 2]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--unit", "cycles"), 3, "--unit cycles: needs KVM: no /dev/kvm; instructions need none"),
        (("--unit", "seconds"), 2, "invalid choice: 'seconds'"),
        (("--rounds", "5"), 2, "--rounds: instructions are the same in each boot"),
        (("--unit", "nanoseconds", "--rounds", "14"), 2, "in fewer than 15 one of 539 rows may"),
        (("--unit", "nanoseconds", "--jobs", "2"), 2, "guests that count nanoseconds run one at"),
        (("--unit", "nanoseconds", "--one-count"), 2, "no second count of nanoseconds"),
    ],
)
@pytest.mark.usefixtures("emulated", "command")
def test_refused(
    words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", _A, _B, *words]) == code
    assert said in capsys.readouterr().err


def test_cycles_are_refused_before_anything_is_fetched_where_kvm_is_known_not_to_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "kvm_problem_known", lambda _cache: "a trial boot stopped")
    monkeypatch.setattr(benchmark, "kernel_sources", lambda _arguments: pytest.fail("fetched"))
    assert main(["benchmark", "debian:7.3.4+deb13-amd64", "--unit", "cycles"]) == 3
    assert "--unit cycles: needs KVM: a trial boot stopped" in capsys.readouterr().err


@pytest.mark.usefixtures("command")
def test_under_kvm_cycles_of_the_hosts_cpu_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[GuestSettings] = []

    def measure(kernel: BootableKernel, how: GuestSettings, *arguments: Any) -> Told:
        seen.append(how)
        assert arguments[1].order()["unit"] == "cycles"
        return _timed([])(kernel.spec, arguments[2], arguments[3])

    monkeypatch.setattr(benchmark, "choose_accel", lambda *_: Accel("kvm", "a trial boot worked"))
    monkeypatch.setattr(benchmark, "kvm_problem_known", lambda _cache: None)
    monkeypatch.setattr(run, "measure", measure)
    out = str(tmp_path / "cycles")
    assert main(["benchmark", _A, "--unit", "cycles", *_WORDS, "--out", out]) == 0
    assert len(seen) == _ROUNDS
    assert seen[0].accel == "kvm" and seen[0].cpus == 1
    assert seen[0].qemu_options == ("-cpu", "host,pmu=on")
    stored = load(tmp_path / "cycles")
    assert (stored.unit, stored.accel, stored.kernels[0].main.name) == ("cycles", "kvm", "host")


def test_units_of_the_command_are_those_of_the_guest() -> None:
    parser = command_parser("harness.commands.benchmark", "x")
    assert [parser.parse_args([_A, "--unit", unit]).unit for unit in UNITS] == list(UNITS)
    assert parser.parse_args([_A]).unit == UNITS[0]
