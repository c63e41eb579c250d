"""The command line of bisect and bisect-step: what is refused, and with which exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.__main__ import main as start
from harness.bisect.changelog import parse
from harness.bisect.ends import Ends
from harness.bisect.report import Conclusion, markdown, terminal_lines
from harness.bisect.state import Step
from harness.cli import main

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
    with pytest.raises(SystemExit) as ended:
        main(["bisect", *ENDS, *CHECK, option, value, "--out", str(tmp_path / "o")])
    assert ended.value.code == 2
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
    ],
)
def test_a_step_never_says_bad_for_a_mistake(arguments: list[str], tmp_path: Path) -> None:
    assert main(["bisect-step", *arguments, "--out", str(tmp_path / "o")]) == 128


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("bisect", "bisect-step"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
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
    assert start() == 1
