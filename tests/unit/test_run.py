"""How a run arranges its kernels. Resolving and booting are played here."""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console

from harness import job
from harness import run as module
from harness.capacity import GUEST_BYTES
from harness.cli import main
from harness.errors import InfrastructureError, InputError
from harness.executors import local
from harness.executors.local import LocalExecutor
from harness.faults import tell
from harness.guest.accel import Accel
from harness.guest.schedule import WHOLE, Order
from harness.guest.vng import Root
from harness.history.reuse import Wanted
from harness.judge import conclude
from harness.judge.expectations import load_expectations
from harness.kernels.sources import KernelSources
from harness.model import (
    Boot,
    BootableKernel,
    CodeFinding,
    CodeWord,
    ConsoleEvent,
    GuestIdentity,
    ImageContents,
    KernelResult,
    Outcome,
    Purpose,
    Reused,
    Role,
    RunResult,
    Status,
    TestResult,
)
from harness.progress import LineProgress, SilentProgress
from harness.report import render, results_file
from harness.run import Run, planned_roles
from harness.run_options import RunOptions
from harness.static import witness

_IDENTITY = GuestIdentity("r", "v", "x86_64", "", "n")
_PANIC = ConsoleEvent("panic", "Kernel panic - not syncing: x", 1.0)


class _Lab:
    """Plays resolve() and observe(): ``endings`` are the statuses of each boot in turn."""

    image = Path("/k")

    def __init__(self, endings: dict[str, list[Status]]) -> None:
        self.endings = endings
        self.boots: list[str] = []
        self.control = ""
        self.silent = False
        self.accel = "tcg"
        self.unheard = {Status.BOOT_FAILED}
        self._summaries: dict[str, tuple[Boot, ...]] = {}

    def resolve(self, spec: str, *_: object) -> BootableKernel:
        if spec not in self.endings:
            raise InputError(f"{spec}: no such kernel")
        return BootableKernel(spec, spec, self.image, None, None, None)

    def observe(self, kernel: BootableKernel, role: Role, *rest: Any) -> KernelResult:
        directory: Path = rest[3]
        with (directory / "console.log").open("a") as log:
            log.write("console\n")
        self.boots.append(kernel.spec)
        status = self.endings[kernel.spec].pop(0)
        booted = status not in self.unheard
        identity = _IDENTITY if booted else None
        events = () if booted or self.silent else (_PANIC,)
        reason = "" if booted else _PANIC.title
        earlier = self._summaries.get(kernel.spec, ())
        order: Order = rest[6]
        boot = Boot(
            status,
            reason,
            self.accel,
            identity,
            number=len(earlier) + 1,
            purpose=order.purpose,
            asked=order.tests,
            console_events=events,
            outcomes={"a": Outcome.PASSED} if booted else {},
        )
        boots = (*earlier, boot)
        self._summaries[kernel.spec] = boots
        return KernelResult(
            spec=kernel.spec,
            release=kernel.release,
            role=role,
            status=status,
            identity=identity,
            console_events=events,
            boots=boots,
            status_reason=reason,
            wall_seconds=1.0,
            taint_before=0,
            taint=0,
            plan=("a",) if booted else (),
            tests=(TestResult("a", Outcome.PASSED),) if booted else (),
        )


def _run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lab: _Lab, *specs: str, **options: Any
) -> RunResult:
    _play(monkeypatch, lab)
    return Run(_options(tmp_path, *specs, **options), SilentProgress()).execute()


def _play(monkeypatch: pytest.MonkeyPatch, lab: _Lab) -> None:
    monkeypatch.setattr(local, "resolve", lab.resolve)
    monkeypatch.setattr(job, "observe", lab.observe)
    monkeypatch.setattr(local, "qemu_version", lambda: "7.2")
    monkeypatch.setattr(local, "choose_root", lambda *_, **__: Root("disk", Path("/image")))
    monkeypatch.setattr(module, "write_payload", lambda *_: None)
    monkeypatch.setattr(module, "revision", lambda *_: "s")
    monkeypatch.setattr(module, "own_revisions", lambda *_: ())
    monkeypatch.setattr(local, "choose_accel", lambda *_: Accel(lab.accel, "played"))
    monkeypatch.setattr(LocalExecutor, "control", lambda *_: lab.control)


def _options(tmp_path: Path, *specs: str, baseline: str | None = None, jobs: int = 1) -> RunOptions:
    return RunOptions(
        specs=specs,
        baseline=baseline,
        sources=KernelSources(cache=tmp_path),
        out=tmp_path / "run",
        command="afalg-harness run",
        expectations=load_expectations(None, ()),
        jobs=jobs,
    )


def test_the_first_of_several_is_the_baseline(tmp_path: Path) -> None:
    roles = planned_roles(_options(tmp_path, "a", "b", "c"))
    assert roles == [("a", Role.BASELINE), ("b", Role.CANDIDATE), ("c", Role.CANDIDATE)]


def test_a_single_kernel_is_a_candidate(tmp_path: Path) -> None:
    assert planned_roles(_options(tmp_path, "a")) == [("a", Role.CANDIDATE)]


def test_a_named_baseline_comes_first(tmp_path: Path) -> None:
    roles = planned_roles(_options(tmp_path, "a", baseline="b"))
    assert roles == [("b", Role.BASELINE), ("a", Role.CANDIDATE)]


def test_a_kernel_is_not_compared_with_itself(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be compared with itself"):
        planned_roles(_options(tmp_path, "a", baseline="a"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_kernel_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jobs: int
) -> None:
    lab = _Lab({"a": [Status.COMPLETED], "c": [Status.COMPLETED]})
    result = _run(monkeypatch, tmp_path, lab, "a", "bad", "c", jobs=jobs)
    statuses = {kernel.spec: kernel.status for kernel in result.kernels}
    assert statuses == {
        "a": Status.COMPLETED,
        "bad": Status.UNAVAILABLE,
        "c": Status.COMPLETED,
    }
    assert result.exit_code == 2
    assert results_file.load(tmp_path / "run") == result


def test_a_kernel_that_dies_at_boot_is_booted_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = _Lab({"a": [Status.BOOT_FAILED, Status.COMPLETED]})
    result = _run(monkeypatch, tmp_path, lab, "a")
    assert lab.boots == ["a", "a"]
    (kernel,) = result.kernels
    assert kernel.status is Status.COMPLETED
    assert [boot.status for boot in kernel.boots] == [Status.BOOT_FAILED, Status.COMPLETED]
    assert kernel.boots[0].console_events == (_PANIC,)
    assert (tmp_path / "run/kernels/a/console.log").read_text() == 2 * "console\n"
    assert results_file.load(tmp_path / "run") == result


def test_a_panic_that_does_not_come_back_is_no_less_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = _Lab({"a": [Status.BOOT_FAILED, Status.COMPLETED]})
    result = _run(monkeypatch, tmp_path, lab, "a")
    assert result.exit_code == 1
    assert "boot 1 of 2" in " ".join(result.kernels[0].verdict.reasons)


def test_a_kernel_that_dies_twice_has_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = _Lab({"a": [Status.BOOT_FAILED, Status.BOOT_FAILED]})
    result = _run(monkeypatch, tmp_path, lab, "a")
    assert result.kernels[0].status is Status.BOOT_FAILED
    assert len(result.kernels[0].boots) == 2
    assert result.exit_code == 3


def test_a_kernel_that_dies_twice_where_another_boots_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = _Lab({"a": [Status.BOOT_FAILED, Status.BOOT_FAILED]})
    lab.control = "6.12.96+deb13-amd64"
    result = _run(monkeypatch, tmp_path, lab, "a")
    assert result.exit_code == 1
    assert result.kernels[0].verdict.reasons[0].startswith("does not boot: died in each of 2")
    assert results_file.load(tmp_path / "run").control == lab.control


def test_where_no_other_kernel_can_be_tried_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A fault of the host's amid that costs no result."""
    lab = _Lab({"a": [Status.BOOT_FAILED, Status.BOOT_FAILED]})
    _play(monkeypatch, lab)

    def control(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalExecutor, "control", control)
    result = Run(_options(tmp_path, "a"), SilentProgress()).execute()
    assert result.exit_code == 3
    assert results_file.load(tmp_path / "run").exit_code == 3


@pytest.mark.parametrize(("accel", "times"), [("tcg", 2), ("kvm", 1)])
def test_a_boot_that_stands_still_may_be_the_emulators_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, accel: str, times: int
) -> None:
    lab = _Lab({"a": [Status.BOOT_FAILED, Status.BOOT_FAILED]})
    lab.silent = True
    lab.accel = accel
    assert _run(monkeypatch, tmp_path, lab, "a").exit_code == 3
    assert lab.boots == times * ["a"]


def test_a_boot_amid_which_qemu_was_gone_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = _Lab({"a": [Status.INTERRUPTED, Status.COMPLETED]})
    lab.silent, lab.unheard = True, {Status.INTERRUPTED}
    result = _run(monkeypatch, tmp_path, lab, "a")
    assert lab.boots == ["a", "a"]
    assert result.exit_code == 0
    assert "boot 1 of 2 failed" in " ".join(result.kernels[0].verdict.notes)


class _Losing(_Lab):
    """Kernel b fails the test that the others pass."""

    def __init__(self, endings: dict[str, list[Status]]) -> None:
        super().__init__(endings)
        self.orders: list[tuple[str, Order]] = []

    def observe(self, kernel: BootableKernel, role: Role, *rest: Any) -> KernelResult:
        self.orders.append((kernel.spec, rest[6]))
        observed = super().observe(kernel, role, *rest)
        outcome = Outcome.FAILED if kernel.spec == "b" else Outcome.PASSED
        return replace(observed, tests=(TestResult("a", outcome),))


@pytest.mark.parametrize("confirm", [0, 1, 2])
def test_what_was_lost_is_run_again_on_both_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, confirm: int
) -> None:
    endings = {name: (confirm + 1) * [Status.COMPLETED] for name in ("a", "b", "c")}
    lab = _Losing(endings)
    _play(monkeypatch, lab)
    options = replace(_options(tmp_path, "a", "b", "c"), confirm=confirm)
    result = Run(options, SilentProgress()).execute()
    assert result.exit_code == 1
    again = [Order(Purpose.CONFIRM, ("a",))] * confirm
    for spec, expected in (("a", again), ("b", again), ("c", [])):
        assert [order for name, order in lab.orders if name == spec] == [WHOLE, *expected]


def test_what_was_lost_before_an_interruption_is_run_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both kernels had finished when the run was ended: they are fetched once more."""
    lab = _Losing({name: 2 * [Status.COMPLETED] for name in ("a", "b")})
    _play(monkeypatch, lab)
    options = _options(tmp_path, "a", "b")
    earlier = Run(replace(options, confirm=0), SilentProgress()).execute()
    lab.orders.clear()
    Run(replace(options, confirm=1), SilentProgress(), earlier).execute()
    again = Order(Purpose.CONFIRM, ("a",))
    assert lab.orders == [("a", again), ("b", again)]


def test_a_crash_in_the_suite_is_not_run_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = _Lab({"a": [Status.CRASHED]})
    result = _run(monkeypatch, tmp_path, lab, "a")
    assert lab.boots == ["a"]
    assert result.exit_code == 1


def test_stack_traces_of_a_kernel_with_symbols_are_decoded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    symbols = tmp_path / "symbols"
    symbols.mkdir()
    (symbols / "decode_stacktrace.sh").write_text("sed 's/+0x1.0x2/ (crypto\\/x.c:12)/'\n")
    splat = ConsoleEvent("bug", "BUG: x", 1.0, "a", ("BUG: x", " probe+0x1/0x2"))

    class Debug(_Lab):
        def resolve(self, spec: str, *_: object) -> BootableKernel:
            return replace(super().resolve(spec), symbols=symbols)

        def observe(self, kernel: BootableKernel, role: Role, *rest: Any) -> KernelResult:
            observed = super().observe(kernel, role, *rest)
            boots = tuple(replace(boot, console_events=(splat,)) for boot in observed.boots)
            return replace(observed, console_events=(splat,), boots=boots)

    _run(monkeypatch, tmp_path, Debug({"k": [Status.COMPLETED]}), "k")
    stored = (tmp_path / "run/results.json").read_text()
    assert "probe (crypto/x.c:12)" in stored
    assert "probe (crypto/x.c:12)" in (tmp_path / "run/summary.md").read_text()


def _raise_type_error(*_: object, **__: object) -> NoReturn:
    raise TypeError("a fault of ours")


class _Faulty(_Lab):
    """A harness that fails with one kernel, in a way that nobody foresaw."""

    def __init__(self, endings: dict[str, list[Status]], stage: str) -> None:
        super().__init__(endings)
        self.stage = stage

    def resolve(self, spec: str, *rest: object) -> BootableKernel:
        if spec == "bad" and self.stage == "resolve":
            _raise_type_error()
        return super().resolve(spec, *rest)

    def observe(self, kernel: BootableKernel, role: Role, *rest: Any) -> KernelResult:
        if kernel.spec == "bad" and self.stage == "observe":
            _raise_type_error()
        return super().observe(kernel, role, *rest)


@pytest.mark.parametrize("stage", ["resolve", "observe"])
def test_a_fault_of_ours_is_no_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: str
) -> None:
    endings = {name: [Status.COMPLETED] for name in ("a", "bad", "c")}
    result = _run(monkeypatch, tmp_path, _Faulty(endings, stage), "a", "bad", "c")
    first, bad, last = result.kernels
    assert (first.status, last.status) == (Status.COMPLETED, Status.COMPLETED)
    assert (bad.status, bad.status_exit, result.exit_code) == (Status.UNAVAILABLE, 3, 3)
    log = tmp_path / "run/harness-error.log"
    assert bad.status_reason == (
        f"the harness failed: TypeError: a fault of ours; a fault of ours, the details are in {log}"
    )
    assert "in _raise_type_error" in log.read_text()


@pytest.mark.parametrize("stage", ["judge_among", "compare", "exit_code"])
def test_a_fault_of_the_judge_is_no_regression(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: str
) -> None:
    monkeypatch.setattr(conclude, stage, _raise_type_error)
    lab = _Lab({"a": [Status.COMPLETED], "b": [Status.COMPLETED]})
    result = _run(monkeypatch, tmp_path, lab, "a", "b")
    assert result.exit_code == 3
    stored = results_file.load(tmp_path / "run")
    assert stored == result
    assert [kernel.tests for kernel in stored.kernels] == 2 * [(TestResult("a", Outcome.PASSED),)]
    assert "in _raise_type_error" in (tmp_path / "run/harness-error.log").read_text()
    told = (tmp_path / "run/summary.md").read_text()
    assert "the harness failed" in told or stage == "exit_code"


def test_a_regression_stays_one_beside_a_fault_of_the_judge(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(conclude, "compare", _raise_type_error)
    lab = _Lab({"a": [Status.COMPLETED], "b": [Status.CRASHED]})
    assert _run(monkeypatch, tmp_path, lab, "a", "b").exit_code == 1


def test_a_report_that_cannot_be_made_loses_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = render.Format("junit.xml", _raise_type_error)
    monkeypatch.setitem(render.FORMATS, "junit", broken)
    result = _run(monkeypatch, tmp_path, _Lab({"a": [Status.COMPLETED]}), "a")
    assert result.exit_code == 3
    assert results_file.load(tmp_path / "run").kernels == result.kernels
    assert (tmp_path / "run/summary.md").exists()


@pytest.mark.parametrize("held", ["results.json", "kernels/x/console.log"])
def test_a_run_is_never_written_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: str
) -> None:
    path = tmp_path / "run" / held
    path.parent.mkdir(parents=True)
    path.write_text("of another run")
    lab = _Lab({"a": [Status.COMPLETED]})
    with pytest.raises(InputError, match="holds a run already"):
        _run(monkeypatch, tmp_path, lab, "a")
    assert path.read_text() == "of another run"
    assert [*(tmp_path / "run").rglob("*.*")] == [path]
    assert lab.boots == []


def test_a_finished_run_is_refused_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever else is wrong with the command."""
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path / "cache"))
    _run(monkeypatch, tmp_path, _Lab({"a": [Status.COMPLETED]}), "a")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(["run", "no:such/spec", "--out", str(tmp_path / "run"), "--suite", "nowhere"]) == 2
    assert "holds a run already (results.json)" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_run_that_could_not_begin_leaves_its_directory_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_payload(*_: object) -> None:
        raise InputError("no such suite")

    lab = _Lab({"a": [Status.COMPLETED]})
    _play(monkeypatch, lab)
    monkeypatch.setattr(module, "write_payload", no_payload)
    with pytest.raises(InputError, match="no such suite"):
        Run(_options(tmp_path, "a"), SilentProgress()).execute()
    assert not (tmp_path / "run").exists()
    assert _run(monkeypatch, tmp_path, lab, "a").exit_code == 0


def test_the_code_is_asked_beside_the_guest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its word is stored with the kernel, and comes from another thread than the guest's."""
    lab = _Lab({"debian:a": [Status.COMPLETED]})
    asked: list[tuple[str, int]] = []
    booting = threading.Event()

    def read_code(kernel: BootableKernel) -> tuple[CodeFinding, ...]:
        assert booting.wait(30), "the guest waits for it"
        asked.append((kernel.spec, threading.get_ident()))
        return (CodeFinding("skcipher.input", CodeWord.CANNOT, ("skcipher_sendmsg",)),)

    def observe(*arguments: Any) -> KernelResult:
        booting.set()
        return lab.observe(*arguments)

    _play(monkeypatch, lab)
    monkeypatch.setattr(job, "observe", observe)
    monkeypatch.setattr(job, "read_code", read_code)
    result = Run(_options(tmp_path, "debian:a"), SilentProgress()).execute()
    assert [spec for spec, _ in asked] == ["debian:a"]
    stored = results_file.load(tmp_path / "run").kernels[0]
    assert stored.code == result.kernels[0].code != ()


def test_code_that_cannot_be_read_is_silent_and_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ask(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(witness, "ask", ask)
    monkeypatch.setattr(_Lab, "image", Path("/another"))  # of which nothing was read yet
    result = _run(monkeypatch, tmp_path, _Lab({"debian:a": [Status.COMPLETED]}), "debian:a")
    kernel = result.kernels[0]
    assert {finding.word for finding in kernel.code} == {CodeWord.SILENT}
    assert len(kernel.code) == 8
    assert "RuntimeError: a bug" in kernel.code[0].reason
    assert kernel.status is Status.COMPLETED and result.exit_code == 0


@pytest.mark.parametrize(
    ("asked", "jobs", "said"),
    [(None, 2, False), (1, 1, False), (3, 3, True), (99, 99, True), (2, 2, False)],
)
def test_how_many_guests_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: int | None, jobs: int, said: bool
) -> None:
    """With room for two in memory: more are obeyed, and said."""
    _play(monkeypatch, _Lab({}))
    monkeypatch.setattr(local, "default_jobs", lambda: 2)
    monkeypatch.setattr(local, "free_memory", lambda: 2 * GUEST_BYTES)
    console = io.StringIO()
    options = replace(_options(tmp_path, "a", "b", "c"), jobs=asked, accel="tcg")
    executor = local.LocalExecutor(options, LineProgress(Console(file=console)), threading.Event())
    assert executor.at_once(3) == jobs
    assert ("2.5 GiB of free memory are enough for 2" in console.getvalue()) is said


def test_no_space_for_what_the_guests_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_selection: object, payload: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    _play(monkeypatch, _Lab({}))
    monkeypatch.setattr(module, "write_payload", full)
    with pytest.raises(InfrastructureError, match=r"no space left in .*name another .* --out"):
        Run(_options(tmp_path, "a"), SilentProgress()).execute()
    assert not (tmp_path / "run").exists()


def test_no_space_for_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was stored before stays, and one line says which file found no room."""
    lab = _Lab({"a": [Status.COMPLETED], "b": [Status.COMPLETED]})
    _play(monkeypatch, lab)
    save, stored = results_file.save, tmp_path / "run/results.json"

    def full(result: RunResult, path: Path) -> None:
        if len(lab.boots) < 2:
            save(result, path)
        else:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(results_file, "save", full)
    with pytest.raises(OSError, match="No space left") as raised:
        Run(_options(tmp_path, "a", "b"), SilentProgress()).execute()
    told = tell(raised.value)
    assert (told.code, told.line) == (3, f"no space left: {stored}")
    assert results_file.load(tmp_path / "run").kernels[0].status is Status.COMPLETED


def test_no_space_for_a_run_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That is no bad argument."""

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    _play(monkeypatch, _Lab({}))
    run = Run(_options(tmp_path, "a"), SilentProgress())
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="No space left") as raised, run._claimed():
        pass
    assert tell(raised.value).code == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["debian:x"], "takes no other argument (SPEC)"),
        (["--out", "elsewhere"], "takes no other argument (--out)"),
        ([], "has come to its end"),
    ],
)
def test_what_cannot_be_gone_on_with(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    run = tmp_path / "run"
    _run(monkeypatch, tmp_path, _Lab({}), "bad")  # nothing was booted in it
    (run / "kernels").rmdir()
    assert main(["run", "--resume", str(run), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_how_long_a_kernel_took_is_told_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[tuple[str, ...], int, float | None]] = []

    class Told(SilentProgress):
        def begin(
            self, subjects: Sequence[str], at_once: int, seconds: float | None = None
        ) -> None:
            begun.append((tuple(subjects), at_once, seconds))

    for name in ("first", "second"):
        lab = _Lab({"a": [Status.COMPLETED], "b": [Status.COMPLETED]})
        _play(monkeypatch, lab)
        options = replace(_options(tmp_path, "a", "b", jobs=2), out=tmp_path / name)
        Run(options, Told()).execute()
    assert begun == [(("a", "b"), 2, None), (("a", "b"), 2, 1.0)]


def test_a_stored_result_stands_in_for_a_boot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a baseline as well; the other kernel is booted."""
    lab = _Lab({"a": [Status.COMPLETED], "b": [Status.COMPLETED]})
    _play(monkeypatch, lab)
    first = Run(_options(tmp_path, "a", "b"), SilentProgress()).execute()
    asked: list[Wanted] = []

    def stored(wanted: Wanted, directory: Callable[[], Path]) -> KernelResult | None:
        asked.append(wanted)
        found = next(one for one in first.kernels if one.release == wanted.kernel.release)
        if found.spec != "a":
            return None
        (directory() / "console.log").write_text("of the stored run\n")
        return replace(found, reused=Reused("run", "then"))

    lab.boots.clear()
    lab.endings["b"] = [Status.COMPLETED]
    options = replace(_options(tmp_path, "a", "b"), out=tmp_path / "again", append=("quiet",))
    result = Run(options, SilentProgress(), reuse=stored).execute()
    assert lab.boots == ["b"]
    assert {one.settings for one in asked} == {"--append quiet"}
    assert {one.host.accel for one in asked} == {"tcg"}
    baseline, candidate = result.kernels
    assert (baseline.role, baseline.reused) == (Role.BASELINE, Reused("run", "then"))
    assert (candidate.role, candidate.reused) == (Role.CANDIDATE, None)
    assert baseline.settings == candidate.settings == "--append quiet"
    assert (tmp_path / "again" / "kernels/a/console.log").read_text() == "of the stored run\n"
    assert results_file.load(tmp_path / "again") == result


def test_nothing_boots_where_all_is_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even to confirm a loss, where both are of one run, which did that."""
    lab = _Losing({"a": [Status.COMPLETED], "b": [Status.COMPLETED]})
    _play(monkeypatch, lab)
    options = replace(_options(tmp_path, "a", "b"), confirm=0)
    first = Run(options, SilentProgress()).execute()

    def stored(wanted: Wanted, _: Callable[[], Path]) -> KernelResult:
        found = next(one for one in first.kernels if one.release == wanted.kernel.release)
        return replace(found, reused=Reused("run", "then"))

    lab.orders.clear()
    options = replace(options, confirm=2, out=tmp_path / "again")
    result = Run(options, SilentProgress(), reuse=stored).execute()
    assert lab.orders == []
    assert (result.exit_code, result.host.accel) == (first.exit_code, "tcg")
    assert first.exit_code == 1


def test_the_result_says_what_the_guests_root_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = Root("disk", tmp_path / "key/root.ext4", isolated=True)
    root.path.parent.mkdir()
    contents = '{"suite": "trixie", "sha256": "ab", "packages": ["kmod=34.2-2"]}'
    (root.path.parent / "contents.json").write_text(contents)
    lab = _Lab({"a": [Status.COMPLETED]})
    _play(monkeypatch, lab)
    monkeypatch.setattr(local, "choose_root", lambda *_, **__: root)
    Run(_options(tmp_path, "a"), SilentProgress()).execute()
    revisions = results_file.load(tmp_path / "run").revisions
    assert revisions is not None
    assert revisions.image == "key"
    assert revisions.image_contents == ImageContents("trixie", "ab", ("kmod=34.2-2",))
