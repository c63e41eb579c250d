"""One screen that answers: what a person reads off it, on a terminal and in a pipe."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from harness.judge.conclude import conclude
from harness.judge.expectations import Expectations
from harness.model import Cause, ChangeClass, Reason, Role, RunResult
from harness.report.options import ReportOptions
from harness.report.screen import pieces, print_result
from tests.stored_runs import stored_run
from tests.unit import samples


def printed(
    result: RunResult, *, terminal: bool = False, width: int = 80, run_dir: Path | None = None
) -> str:
    file = io.StringIO()
    colours: Literal["standard"] | None = "standard" if terminal else None
    console = Console(
        file=file, width=width, height=24, force_terminal=terminal, color_system=colours
    )
    print_result(result, console, run_dir)
    return file.getvalue()


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def of_matrix(*releases: str) -> RunResult:
    """Kernels of the stored matrix, the first as the baseline."""
    run = stored_run()
    found = [next(one for one in run.kernels if one.release == name) for name in releases]
    roles = [Role.BASELINE, *[Role.CANDIDATE] * (len(found) - 1)]
    kernels = tuple(replace(one, role=role) for one, role in zip(found, roles, strict=True))
    return conclude(replace(run, kernels=kernels), Expectations(), None)


def test_one_candidate() -> None:
    lines = printed(samples.main_job()).splitlines()
    assert lines[0] == f"OK  {samples.NEW}   against {samples.OLD}   (exit 0)"
    assert len(lines) <= 16
    told = {line.split()[0]: line for line in lines}
    assert "12 of 12 skcipher and aead inputs copied (baseline: 0)" in told["zero-copy"]
    assert "not writable through a request (CVE-2026-31431)" in told["page"]
    assert "17 passed, 0 failed, 2 skipped; taint 0, no splat" in told["tests"]
    assert "0 lost, 3 intended, 13 fixed" in told["changes"]
    assert lines[-1] == "-v lists everything"


def test_why_not_comes_first() -> None:
    lines = printed(samples.run(samples.old(), samples.regressed())).splitlines()
    assert lines[0].startswith("NOT OK  7.4.0-rc1-amd64")
    assert lines[0].endswith("(exit 1)")
    assert lines[1].split()[:3] == ["because", "zero-copy", "present"]
    assert any("tainted by it" in line for line in lines[2:4])
    assert any(line.split()[:2] == ["zero-copy", "present"] for line in lines[3:])


def test_a_baseline_is_named_where_it_is_to_blame() -> None:
    absent = replace(samples.unavailable(), role=Role.BASELINE)
    text = printed(samples.run(absent, samples.new()))
    assert text.startswith("UNKNOWN ")
    assert "because      the baseline: unavailable, nothing is known of this kernel" in text
    bad = samples.with_test(samples.old(), samples.failed(samples.SHA256_TEST, "wrong"))
    assert "not ok" not in printed(samples.run(bad, samples.new())).lower()


@pytest.mark.parametrize("number", [2, 8, 80])
def test_a_row_for_each_kernel_in_80_columns(number: int) -> None:
    kernels = [
        replace(samples.new(), release=f"6.12.{n}+deb13-cloud-amd64", spec=f"debian:{n}")
        for n in range(number)
    ]
    kernels[0] = replace(samples.regressed(), release="6.12.0+deb13-cloud-amd64")
    result = samples.run(samples.old(), *kernels)
    lines = plain(printed(result, terminal=True))
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"of {number} candidates {number - 1} ")
    rows = [line for line in lines if "deb13-cloud-amd64" in line and "OK" in line]
    assert len(rows) == number
    assert rows[0].split()[:3] == ["NOT", "OK", "6.12.0+deb13-cloud-amd64"]
    (baseline,) = [line for line in lines if line.startswith("BASELINE ")]
    assert baseline.split()[1:4] == [samples.OLD, "present", "12/12"]
    whole = printed(result).splitlines()
    assert [len(line.split()) for line in whole[2:4]] == [7, 8]


def test_a_cause_that_kernels_share_is_told_once() -> None:
    kernels = [
        replace(samples.regressed(), release=f"7.4.{n}", spec=f"git:.@{n}") for n in range(5)
    ]
    result = samples.run(samples.old(), *kernels)
    text = printed(result)
    (line,) = [line for line in text.splitlines() if "zero-copy present on" in line]
    assert (
        line
        == f"    5  zero-copy present on 12 of 12 paths: {', '.join(k.release for k in kernels)}"
    )
    assert "7.4.2 and 2 more" in " ".join(" ".join(plain(printed(result, terminal=True))).split())


def test_nothing_is_folded_in_a_pipe() -> None:
    causes = [
        samples.skipped(test, "x", Reason(Cause.NO_OPTION, name=f"CONFIG_{number}"))
        for number, test in enumerate(samples.PLAN[:9])
    ]
    kernel = samples.new()
    for test in causes:
        kernel = samples.with_test(kernel, test)
    result = samples.run(samples.old(), kernel)
    whole = printed(result, width=40)
    assert all(f"CONFIG_{number}" in whole for number in range(9))
    assert "more causes" not in whole
    assert any(len(line) > 80 for line in whole.splitlines())
    assert "".join(pieces(result, ReportOptions())) == printed(result)


def test_one_screen_has_room_for_it() -> None:
    """The main job of real kernels: 24 lines, with what was left out counted."""
    result = of_matrix("6.12.43+deb12-amd64", "7.3.4+deb13-amd64")
    lines = plain(printed(result, terminal=True, run_dir=Path("runs/x")))
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert any(re.fullmatch(r"    and \d+ more causes of changes", line) for line in lines)
    assert "33 of 33 skcipher and aead inputs copied (baseline: 0)" in "\n".join(lines)


def test_the_removal_and_nothing_else() -> None:
    result = of_matrix("6.12.95+deb13-amd64", "6.12.96+deb13-amd64")
    lines = plain(printed(result, terminal=True))
    assert len(lines) <= 24
    assert {change.cls for change in result.comparisons[0].changes} == {ChangeClass.FIXED}
    at = next(n for n, line in enumerate(lines) if line.startswith("  changes "))
    assert lines[at].split(maxsplit=1)[1] == "0 lost, 0 intended, 35 fixed, 0 new"
    assert " ".join(" ".join(lines[at + 1 : -1]).split()) == (
        "fixed 35 zero-copy present -> absent on 33 paths and in what the tests spliced in"
        " (skcipher.suite, aead.suite)"
    )


def test_the_allowlist_is_intended_and_the_rest_named() -> None:
    lines = plain(printed(of_matrix("7.2.12+deb13-amd64", "7.3.4+deb13-amd64"), terminal=True))
    assert len(lines) <= 24
    text = " ".join(" ".join(lines).split())
    assert "intended 14 allowlist of AF_ALG algorithms (2f204fe718f5)" in text
    assert "new 141 skipped -> passed (before: the sysctl af_alg_restrict is not there)" in text
    assert "fixed 1 skcipher.hole_in_rounded_read:" in text
    assert "intended 3 a receive that leaves a partial block over" in text
    assert "more causes" not in text
    assert "11 fail at af_alg_restrict=1 and work at 0" in text


def test_where_the_details_are(tmp_path: Path) -> None:
    (tmp_path / "summary.md").touch()
    text = printed(samples.main_job(), run_dir=tmp_path)
    assert text.splitlines()[-1] == f"details: {tmp_path}/summary.md    -v lists everything"
    (tmp_path / "report.html").touch()
    assert f"{tmp_path}/report.html" in printed(samples.main_job(), run_dir=tmp_path)


def test_hostile_text_drives_no_terminal() -> None:
    odd = samples.failed(samples.SHA256_TEST, "\x1b[2J\x07 [bold]x[/bold] \x9b31m\r\nsecond")
    kernel = samples.with_test(replace(samples.new(), release="7.3\x1b[2J"), odd)
    for terminal in (False, True):
        text = printed(samples.run(samples.old(), kernel), terminal=terminal)
        assert not re.search(r"[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f]", text)
        assert set(re.findall(r"\x1b[^m]*m?", text)) <= {
            f"\x1b[{code}m" for code in ("0", "1", "2", "31", "32", "33", "1;31", "1;32", "1;33")
        }
        assert "[bold]x[/bold]" in text


def test_colour_on_a_terminal() -> None:
    text = printed(samples.run(samples.old(), samples.regressed()), terminal=True)
    assert text.startswith("\x1b[1;31mNOT OK\x1b[0m")
    several = printed(samples.run(samples.old(), samples.new(), samples.regressed()), terminal=True)
    assert re.search(r"\x1b\[1;32mOK *\x1b\[0m", several)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_encoding(encoding: str) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_result(samples.main_job(), Console(file=file, width=80), None, verbose=True)


def test_what_was_not_probed_is_said_in_a_word() -> None:
    lines = printed(samples.run(samples.hung())).splitlines()
    assert "  zero-copy    not probed" in lines
    assert "  page cache   not probed CVE-2026-31431" in lines
