"""``compare``: two stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.judge.expectations import load_expectations
from harness.model import (
    Boot,
    ConsoleEvent,
    GuestIdentity,
    KernelResult,
    Revisions,
    Role,
    RunResult,
    State,
    Status,
)
from harness.report import results_file
from tests.unit import samples

WHOLE = samples.new()
HASH = tuple(test for test in samples.PLAN if test.startswith("functional/test_hash.py"))
PART = replace(
    WHOLE,
    plan=HASH,
    tests=samples.results(HASH),
    facts=replace(WHOLE.facts, zero_copy={}, page_cache_write=None),
    reproduce=f"{WHOLE.reproduce} --suite functional/test_hash.py",
)


def store(run: RunResult, directory: Path) -> str:
    directory.mkdir()
    results_file.save(run, directory / "results.json")
    return str(directory)


def compared(
    tmp_path: Path, before: RunResult, after: RunResult, options: Sequence[str] = ()
) -> int:
    runs = [store(run, tmp_path / name) for name, run in (("a", before), ("b", after))]
    return main(["compare", *runs, *options])


@pytest.mark.parametrize("order", [(WHOLE, PART), (PART, WHOLE)])
def test_a_run_of_less_lost_nothing(
    order: tuple[KernelResult, KernelResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, samples.run(order[0]), samples.run(order[1])) == 0
    side = "baseline" if order[0] is WHOLE else "candidate"
    assert f"not compared, selected on the {side} only" in capsys.readouterr().out


def test_nothing_in_common_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = replace(PART, plan=("mine.py::test_x",), tests=samples.results(["mine.py::test_x"]))
    assert compared(tmp_path, samples.run(WHOLE), samples.run(stranger)) == 2
    assert "nothing to compare" in capsys.readouterr().err


def test_the_baseline_of_another_run_excuses_the_same_report(tmp_path: Path) -> None:
    event = ConsoleEvent("warning", "WARNING: CPU: 0 PID: 1 at arch/x86/x.c:1", 1.5)
    noisy = replace(WHOLE, console_events=(event,))
    assert samples.run(noisy).exit_code == 1
    assert compared(tmp_path, samples.run(noisy), samples.run(noisy)) == 0


def test_what_the_run_was_told_to_expect_still_holds(tmp_path: Path) -> None:
    bad = samples.with_test(WHOLE, samples.failed(samples.SHA256_TEST, "no"))
    rules = load_expectations(None, [f"{samples.SHA256_TEST}=failed"])
    run = samples.run(bad, expectations=rules)
    assert compared(tmp_path, samples.run(WHOLE), run) == 0


def test_expectations_of_the_command(tmp_path: Path) -> None:
    """--expect comes on top of what the run expected, a file replaces it."""
    bad = samples.with_test(WHOLE, samples.failed(samples.SHA256_TEST, "no"))
    other = samples.PLAN[1]
    worse = samples.with_test(bad, samples.failed(other, "no"))
    rules = load_expectations(None, [f"{samples.SHA256_TEST}=failed"])
    good = store(samples.run(WHOLE), tmp_path / "good")
    run = store(samples.run(worse, expectations=rules), tmp_path / "worse")
    assert main(["compare", good, run]) == 1
    assert main(["compare", good, run, "--expect", f"{other}=failed"]) == 0
    file = tmp_path / "known.toml"
    file.write_text(f'[[expect]]\nname = "{other}"\nvalue = "failed"\nreason = "known"\n')
    assert main(["compare", good, run, "--expectations", str(file)]) == 1


def many(tmp_path: Path) -> str:
    kernels = (samples.old(), replace(samples.kernel("6.12.96"), spec="debian:b"), samples.new())
    return store(samples.run(*kernels), tmp_path / "many")


def test_kernels_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = many(tmp_path)
    for operands in ([f"{run}:6.12.96", ":7.3"], [f"{run}:debian:b", f"{run}:{samples.NEW}"]):
        assert main(["compare", *operands]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"OK  {samples.NEW}   against 6.12.96   (exit 0)\n")
        assert err == ""
    assert main(["compare", f"{run}:7.3", ":6.12.43"]) == 1
    assert "NOT OK  6.12.43+deb12-amd64   against 7.3.4" in capsys.readouterr().out


def test_a_run_alone_is_compared_with_its_first_kernel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", many(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("all 2 candidates are OK")


def test_several_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each by what its own run expected; one kernel of three runs is three kernels."""
    bad = samples.with_test(WHOLE, samples.failed(samples.SHA256_TEST, "no"))
    rules = load_expectations(None, [f"{samples.SHA256_TEST}=failed"])
    stored = [samples.run(WHOLE), samples.run(bad, expectations=rules), samples.run(bad)]
    runs = [store(run, tmp_path / str(number)) for number, run in enumerate(stored)]
    assert main(["compare", *runs]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "of 2 candidates 1 is OK, 1 is NOT OK   (exit 1)"
    for line, word, run in zip(lines[2:5], ("BASELINE", "OK", "NOT OK"), runs, strict=True):
        assert line.startswith(f"{word:8}  {samples.NEW} ({run})  ")
    assert [line.split()[-1] for line in lines[2:5]] == ["-", "0", "1"]


@pytest.mark.parametrize(
    ("operands", "problem"),
    [
        (["{run}:7.3", ":7.3"], "a kernel cannot be compared with itself"),
        (["{run}:6", ":7.3"], "means several kernels: 6.12.43+deb12-amd64, 6.12.96"),
        (["{run}:5", ":7.3"], "no such kernel in the run, which has: 6.12.43+deb12-amd64, 6.12.96"),
        ([":7.3", "{run}"], ":7.3: no run is named before it"),
        (["{run}:6.12.4", ":7.3", ":7.3"], "named twice"),
        (["{run}:7.3"], "name a kernel or a run to compare it with"),
        (["/no/such", "{run}"], "/no/such: No such file or directory"),
    ],
)
def test_what_cannot_be_compared(
    operands: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = many(tmp_path)
    assert main(["compare", *(operand.format(run=run) for operand in operands)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err
    assert len(err.splitlines()) == 1


def observed(accel: str = "tcg", cpu: str = "QEMU", append: str = "") -> KernelResult:
    identity = GuestIdentity(samples.NEW, "#1", "x86_64", "console=ttyS0", "c0ffee", cpu)
    boot = Boot(Status.COMPLETED, accel=accel, identity=identity)
    return replace(WHOLE, boots=(boot,), identity=identity, append=(append,) if append else ())


def revised(
    kernel: KernelResult, *, suite: str = "a" * 64, image: str = "b" * 24, own: str = "mine=1"
) -> RunResult:
    revisions = Revisions(suite=suite, image=image, own_suites=(own,))
    return replace(samples.run(kernel), revisions=revisions)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (revised(observed(accel="kvm")), "accelerator tcg and kvm"),
        (revised(observed(cpu="Xeon")), "CPU model QEMU and Xeon"),
        (revised(observed(), image="c" * 24), "guest image bbbbbbbbbbbb and cccccccccccc"),
        (revised(observed(), suite="d" * 64), "suite revision aaaaaaaaaaaa and dddddddddddd"),
        (revised(observed(), own="mine=2"), "suite mine 1 and 2"),
    ],
)
def test_what_was_not_observed_alike_is_refused(
    other: RunResult, difference: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, revised(observed()), other) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"were not observed alike: {difference} (--unlike compares them all the same)" in err
    runs = [str(tmp_path / name) for name in ("a", "b")]
    assert main(["compare", *runs, "--unlike", "-v"]) == 0
    assert f"which was not observed alike: {difference}" in capsys.readouterr().out


def test_the_same_kernel_with_other_arguments_is_fine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, revised(observed()), revised(observed(append="fips=1"))) == 0
    assert f"OK  {samples.NEW} [fips=1]   against {samples.NEW}" in capsys.readouterr().out


def test_what_is_not_known_is_not_unlike(tmp_path: Path) -> None:
    unknown = replace(revised(observed(accel="", cpu="")), revisions=None)
    unknown = replace(unknown, host=replace(unknown.host, accel=""))
    assert compared(tmp_path, revised(observed()), unknown) == 0


def test_the_same_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = many(tmp_path)
    assert main(["compare", run, "--format", "junit"]) == 0
    assert capsys.readouterr().out.startswith("<?xml")
    out = tmp_path / "out"
    assert (
        main(["compare", run, *["--format", "junit", "--format", "json", "--output"], str(out)])
        == 0
    )
    assert sorted(path.name for path in out.iterdir()) == ["junit.xml", "results.json"]
    stored = results_file.load(out)
    assert [kernel.role for kernel in stored.kernels] == [Role.BASELINE, *[Role.CANDIDATE] * 2]
    assert main(["report", str(out)]) == 0


def test_a_baseline_of_another_role_is_judged_as_what_it_is_now(tmp_path: Path) -> None:
    present = replace(samples.new(), facts=samples.facts(State.PRESENT, State.ABSENT, restrict=1))
    assert samples.run(present).exit_code == 1
    assert compared(tmp_path, samples.run(present), samples.run(WHOLE)) == 0
