"""What is printed of a benchmark, and the exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.benchmark.file import FILE_NAME, save
from harness.benchmark.plan import Plan, plan_of
from harness.benchmark.values import KernelCosts
from harness.cli import main
from harness.commands.parsers import command_parser
from tests.unit.benchmark.made import WAYS, Rule, benchmark, kernel, plain


def _dearer(algorithm: str, way: str, size: int) -> float:
    return plain(algorithm, way, size) * (1.04 if way == "splice" else 1)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A stored run of two kernels."""
    made = tmp_path / "costs"
    made.mkdir()
    save(benchmark(kernel("6.12.95"), kernel("6.12.96", _dearer)), made / FILE_NAME)
    return made


def test_compare_says_what_became_dearer(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "6.12.96 against 6.12.95: 18 of 72 rows changed beyond noise" in printed
    assert "splice" in printed and "+4.0 to +4.0%" in printed
    assert "sendmsg" not in printed


def test_kernel_is_compared_with_another_runs_first(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save(benchmark(kernel("7.3.4")), other / FILE_NAME)
    assert main(["compare", str(run), str(other)]) == 0
    assert "7.3.4 against 6.12.95: 0 of 72 rows" in capsys.readouterr().out


@pytest.mark.parametrize(("most", "code"), [("5%", 0), ("3%", 1), ("3", 1)])
def test_gate(run: Path, capsys: pytest.CaptureFixture[str], most: str, code: int) -> None:
    assert main(["compare", str(run), "--max-slowdown", most]) == code
    said = "6.12.96: cbc(aes) by splice, 16 B: +4.0%, more than 3.0%" in capsys.readouterr().out
    assert said == bool(code)


def _without(kernel: KernelCosts, ways: tuple[str, ...], *, told: bool) -> KernelCosts:
    """Of these ways it has no cost: ``told`` says why, else it was not asked."""
    count = kernel.main
    rows = [
        replace(row, missing="splice: EINVAL") if row.way in ways else row
        for row in count.rows
        if told or row.way not in ways
    ]
    return replace(kernel, counts=(replace(count, rows=tuple(rows)),))


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize(
    ("rule", "ways", "most", "code"),
    [
        (plain, ("splice",), "5%", 3),
        (plain, WAYS, "5%", 3),
        (_dearer, ("openssl",), "3%", 1),  # the other rows tell enough
    ],
)
def test_what_could_not_be_measured_passes_no_gate(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rule: Rule,
    ways: tuple[str, ...],
    most: str,
    code: int,
    *,
    told: bool,
) -> None:
    other = _without(kernel("7.3.4", rule), ways, told=told)
    save(benchmark(kernel("6.12.95"), other), tmp_path / FILE_NAME)
    assert main(["compare", str(tmp_path)]) == 0
    assert main(["compare", str(tmp_path), "--max-slowdown", most]) == code
    why = "splice: EINVAL" if told else "not asked for"
    count = 18 * len(ways)
    said = f"7.3.4: {count} of 72 rows of 6.12.95 have nothing to compare with, first cbc(aes) by"
    printed = capsys.readouterr().out
    assert said in printed
    assert why in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-slowdown", "x"], "must be a percentage"),
        (["--max-slowdown=-1%"], "must be a percentage"),
        (["--format", "junit"], "its page is beside it"),
    ],
)
def test_refused(
    run: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(run), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_run_of_tests_is_no_benchmark(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text("{}")
    assert main(["compare", str(run), str(tmp_path)]) == 2
    assert "is no benchmark" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--way", "carrier pigeon"], "no way carrier pigeon; there are sendmsg, write"),
        (["--size", "17"], "no size 17; there are 16, 64"),
        (["--size", "x"], "must be a whole number"),
        (["--way", "aio", "--algorithm", "sha256"], "no message of that"),
        (["--max-slowdown", "5%"], "no second kernel"),
    ],
)
def test_benchmark_refuses_before_it_boots(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "debian:6.12.96+deb13-amd64", *words]) == 2
    assert said in capsys.readouterr().err


def test_benchmark_says_what_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert main(["benchmark", "debian:6.12.96+deb13-amd64"]) == 3
    assert "pip install 'afalg-harness[benchmark]'" in capsys.readouterr().err


def test_each_size_and_way_can_be_asked_for() -> None:
    whole = Plan()
    words = [word for size in whole.sizes for word in ("--size", str(size))]
    words += [word for way in whole.ways for word in ("--way", way)]
    words += [word for name in whole.algorithms for word in ("--algorithm", name)]
    given = command_parser("harness.commands.benchmark", "x").parse_args(["host", *words])
    assert plan_of(given.algorithm, given.way, given.size) == whole
