"""report.eml as a mail client and regzbot read it."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_string, policy
from pathlib import Path

import pytest

from harness.bisect.ends import Ends
from harness.bisect.found import introduced_by, store_found
from harness.bisect.report import Conclusion
from harness.bisect.state import Step
from harness.errors import InputError
from harness.model import RunResult
from harness.report.options import ReportOptions
from harness.report.render import pieces
from tests.stored_runs import stored_run
from tests.unit import samples
from tests.unit.report.test_junit import RUNS

COMMIT = "ffdd2bc37895" + "0" * 28


def read(result: RunResult, options: ReportOptions | None = None) -> tuple[str, str]:
    """Subject and text."""
    raw = "".join(pieces(result, "mail", options))
    mail = message_from_string(raw, policy=policy.default)
    assert not mail.defects
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content()
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 72
    return str(mail["Subject"]), text


def test_real_kernels() -> None:
    subject, text = read(stored_run())
    assert subject == "AF_ALG: of 11 candidates 5 are OK, 6 are NOT OK"
    assert "  OK: 7.3.4+deb13-amd64\n" in text
    assert text.count("- zero-copy present on 33 of 33 paths\n") == 1
    assert "  seen on 6.12.95+deb13-amd64, 6.18.15+deb13-amd64," in text
    assert "  afalg-harness run debian:6.12.95+deb13-amd64\n" in text
    assert "regzbot" not in text


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_went_wrong(name: str) -> None:
    read(RUNS[name])


def test_regzbot_is_told_what_introduced_it() -> None:
    subject, text = read(RUNS["regressed"], ReportOptions(introduced=COMMIT))
    assert subject.startswith("[REGRESSION] AF_ALG: 7.4.0-rc1-amd64 is NOT OK")
    assert text.endswith(f"\n\n#regzbot introduced: {COMMIT}\n")
    _, text = read(RUNS["regressed"], ReportOptions(introduced=f"{COMMIT}..{COMMIT[::-1]}"))
    assert text.endswith("\n\n#regzbot introduced: ffdd2bc37895..000000000000\n")


def test_command_is_broken_where_a_shell_takes_it() -> None:
    words = ["afalg-harness", "run", *(f"debian:6.{number}-amd64" for number in range(12))]
    kernel = replace(samples.regressed(), reproduce=" ".join(words))
    _, text = read(samples.run(samples.old(), kernel))
    command = text.partition("To see it again:\n\n")[2]
    assert command.replace("\\\n", "").split() == words


def concluded(noun: str, last_old: str, *first_new: str) -> Conclusion:
    step = Step("debian:6.12.43+deb12-amd64", "absent")
    return Conclusion(
        "zero_copy.skcipher.splice_file",
        ("absent", "present"),
        Ends("absent", "present"),
        step,
        step,
        last_old=last_old,
        first_new=first_new,
        noun=noun,
    )


@pytest.mark.parametrize(
    ("conclusion", "told"),
    [
        (concluded("commit", "", COMMIT), COMMIT),
        (concluded("commit", "", COMMIT, COMMIT[::-1]), ""),
        (concluded("commit", ""), ""),
        (
            concluded("kernel", "debian:6.12.95+deb13-amd64", "debian:6.12.96+deb13-amd64"),
            "v6.12.95..v6.12.96",
        ),
        (concluded("kernel", "", "debian:7.0~rc2-amd64"), "v6.12.43..v7.0"),
        (concluded("kernel", "/boot/vmlinuz-a", "/boot/vmlinuz-b"), ""),
    ],
)
def test_what_a_bisect_found(tmp_path: Path, conclusion: Conclusion, told: str) -> None:
    run = tmp_path / "runs/debian_6.12.96~1"
    run.mkdir(parents=True)
    assert introduced_by(run) == ""
    store_found(conclusion, tmp_path)
    assert introduced_by(run) == introduced_by(tmp_path) == told


def test_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text("{}")
    with pytest.raises(InputError, match=r"found\.json: damaged"):
        introduced_by(tmp_path)
