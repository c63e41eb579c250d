"""The command line of bisect and bisect-step: what is refused, and with which exit code."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.__main__ import main as start
from harness.bisect.changelog import parse
from harness.bisect.ends import Ends
from harness.bisect.report import Conclusion, markdown, terminal_lines
from harness.bisect.state import Step
from harness.cli import main
from harness.model import KernelResult, Status
from tests.unit.bisect.simulated import TEST, ended, simulate, writes

ENDS = ["--good", "debian:6.12.95+deb13-amd64", "--bad", "debian:6.12.96+deb13-amd64"]
CHECK = ["--check", "page_cache_write"]
LIMITS = [
    ("--repeat", "0"),
    ("--repeat", "-1"),
    *(("--timeout", seconds) for seconds in ("0", "-3", "nan", "inf", "x")),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*CHECK], "name both ends"),
        ([*ENDS, "--old", "a", *CHECK], "name both ends"),
        ([*ENDS], "name one check"),
        ([*ENDS, *CHECK, "--find", "software_only=present"], "two checks"),
        ([*ENDS, *CHECK, "--command", "true"], "check by itself"),
        ([*ENDS, "--find", "page_cache_write"], "CHECK=VALUE"),
        ([*ENDS, "--check", "zero_copy"], "no check"),
        ([*ENDS, "--check", "page_cache_wriet"], "near it: page_cache_write"),
        ([*ENDS, "--check", f"{TEST}y"], "has no test"),
        ([*ENDS, "--find", "page_cache_write=presnt"], "is never 'presnt'"),
        ([*ENDS, *CHECK, "--among", "git:/nonexistent"], "no directory"),
        ([*ENDS, *CHECK, "--among", "git:/tmp", "--among", "debian:6.*"], "stands alone"),
    ],
)
def test_refused(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bisect", *arguments, "--out", str(tmp_path / "o")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("option", "value"), LIMITS)
def test_limits_that_cannot_be_meant(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bisect", *ENDS, *CHECK, option, value, "--out", str(tmp_path / "o")]) == 2
    assert f"argument {option}" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        [],
        ["--check", "zero_copy"],
        *([*CHECK, option, value] for option, value in LIMITS),
        ["--check", "seed:1"],
        ["--check", "page_cache_write=presnt"],
        ["--check", f"{TEST}y"],
    ],
)
def test_a_step_never_says_bad_for_a_mistake(arguments: list[str], tmp_path: Path) -> None:
    assert main(["bisect-step", *arguments, "--out", str(tmp_path / "o")]) == 128


@pytest.mark.usefixtures("details")
@pytest.mark.parametrize(
    ("check", "kernel", "code"),
    [
        (TEST, ended("passed"), 0),
        (TEST, ended("failed"), 1),
        (TEST, ended("crashed", status=Status.CRASHED), 1),
        (TEST, ended("timeout", status=Status.HUNG), 1),
        (TEST, ended("error"), 125),
        (TEST, ended("skipped"), 125),
        (TEST, ended("passed", status=Status.BOOT_FAILED, status_reason="another kernel"), 125),
        (TEST, ended("missing", status=Status.INTERRUPTED, status_exit=3), 129),
        (TEST, ended("missing", status=Status.INTERRUPTED), 130),
        (TEST, RuntimeError("a bug"), 129),
        (TEST, OSError("no such device"), 129),
        ("page_cache_write", writes("absent"), 0),
        ("page_cache_write", writes("present"), 1),
        ("page_cache_write=present", writes("present"), 0),
        ("page_cache_write", writes("unreachable"), 125),
        ("page_cache_write=unreachable", writes("absent"), 1),
        ("page_cache_write", writes("unknown"), 125),
    ],
)
def test_exit_codes_of_a_step(
    check: str,
    kernel: KernelResult | Exception,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulate(monkeypatch, {"k": kernel})
    assert main(["bisect-step", "--check", check, "--out", str(tmp_path / "o"), "k"]) == code
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    assert told.out.startswith("k: ") == (code < 128)


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), OSError("no such device")])
def test_a_fault_of_ours_ends_no_bisect_with_1(
    fault: Exception,
    tmp_path: Path,
    details: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is one line and exit code 3; what was tested before it is kept."""
    table: dict[str, KernelResult | Exception] = {"a": writes("absent"), "c": writes("present")}
    words = ["bisect", "--good", "a", "--bad", "c", *CHECK, "--among", "a,b,c", "-q"]
    simulate(monkeypatch, {**table, "b": fault})
    assert main([*words, "--out", str(tmp_path / "o")]) == 3
    told = capsys.readouterr()
    assert str(fault) in told.err and told.err.count("\n") == 1
    (log,) = details.iterdir()
    assert f"the details are in {log}" in told.err
    booted = simulate(monkeypatch, {**table, "b": writes("present")})
    assert main([*words, "--out", str(tmp_path / "o")]) == 0
    assert booted == ["b"]
    assert "first bad kernel: b" in capsys.readouterr().out


#: A step of a kernel that is bad (or good), in a process whose streams the shell chooses.
_STEP = """
import sys
import pytest
from harness.__main__ import main
from tests.unit.bisect.simulated import simulate, writes

sys.argv = ["afalg-harness", *sys.argv[2:]]
simulate(pytest.MonkeyPatch(), {state: writes(state) for state in ("absent", "present")})
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("streams", "state", "codes"),
    [
        (">&-", "absent", {0}),  # nobody asked for the words, and the code says it all
        (">&-", "present", {1}),
        ("2>&-", "absent", {0}),
        (">&- 2>&- <&-", "present", {1}),
        (">/dev/full", "absent", {129}),
        ("2>/dev/full", "present", {1, 129}),
    ],
)
def test_a_step_whose_output_is_not_taken(
    streams: str, state: str, codes: set[int], tmp_path: Path
) -> None:
    step = ["bisect-step", *CHECK, "--out", str(tmp_path / "o"), state]
    command = shlex.join([sys.executable, "-c", _STEP, "-", *step])
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        ["sh", "-c", f"{command} {streams}"], env=environment, cwd=root, check=False, timeout=120
    )
    assert done.returncode in codes


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("bisect", "bisect-step"):
        assert main([command, "--help"]) == 0
        assert f"afalg-harness {command}" in capsys.readouterr().out


CHANGELOG = """\
linux (6.12.96-1) trixie-security; urgency=high

  * New upstream stable update:
    - crypto: caam - use another helper for a name that is so long that it
      takes two lines
    - crypto: af_alg - Remove zero-copy support from skcipher and aead
    - ext4: something else

 -- A B <a@b.c>  Sat, 18 Jul 2026 10:00:00 +0200

linux (6.12.95-1) trixie-security; urgency=high

  * older

 -- A B <a@b.c>  Sat, 11 Jul 2026 10:00:00 +0200
"""


def test_changelog() -> None:
    (entry,) = parse(CHANGELOG, "6.12.95-1", "6.12.96-1")
    assert entry.version == "6.12.96-1"
    assert entry.about_crypto() == (
        "- crypto: af_alg - Remove zero-copy support from skcipher and aead",
        "- crypto: caam - use another helper for a name that is so long that it takes two lines",
    )
    assert parse(CHANGELOG, "6.12.96-1", "6.12.97-1") == ()
    assert [one.version for one in parse(CHANGELOG, "6.12.90-1", "6.12.97-1")] == [
        "6.12.96-1",
        "6.12.95-1",
    ]


def conclude(first_new: tuple[str, ...], old: str = "present", new: str = "absent") -> Conclusion:
    steps = Step("a", old, "evidence", runs=("runs/a",)), Step("f", new, "", runs=("runs/f",))
    return Conclusion(
        "page_cache_write",
        ("bad", "good"),
        Ends(old, new),
        *steps,
        last_old="c" if first_new else "",
        first_new=first_new,
        suites=("security",),
    )


def test_report_names_both_sides() -> None:
    done = conclude(("d",))
    text = terminal_lines(done, [done.old, done.new])
    assert "first good kernel: d\nlast bad kernel: c\n" in text
    assert "afalg-harness run c --suite security" in text
    assert "afalg-harness run d --suite security" in text
    report = markdown(done, [done.old, Step("b", "", "does not boot", runs=())])
    assert "| b |  | skipped: does not boot |" in report
    assert "[runs/a](runs/a)" in report


def test_report_of_a_range() -> None:
    done = conclude(("d", "e"))
    assert not done.is_found
    assert "is one of 2" in terminal_lines(done, [])


def test_report_of_ends_alike() -> None:
    assert "do not differ" in terminal_lines(conclude((), "absent", "absent"), [])
    assert "f cannot be judged" in terminal_lines(conclude((), "absent", ""), [])


def test_a_broken_installation_is_no_bad_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harness.cli", None)  # its import fails
    monkeypatch.setattr(sys, "argv", ["afalg-harness", "bisect-step", *CHECK])
    assert start() == 129
    monkeypatch.setattr(sys, "argv", ["afalg-harness", "doctor"])
    assert start() == 3
