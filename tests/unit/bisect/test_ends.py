"""Whether "good" and "bad" may be said of two ends, and what tells one from the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bisect.check import BisectCheck
from harness.bisect.ends import Question
from harness.bisect.state import Step
from harness.bisect.strategy import Answer
from harness.cli import main
from harness.errors import InputError
from harness.model import KernelResult
from tests.unit.bisect.simulated import TEST, ended, simulate, writes

GOOD_BAD, BAD_GOOD, OLD_NEW = ("good", "bad"), ("bad", "good"), ("old", "new")
WRITE = BisectCheck("fact", "page_cache_write")
PASSES = BisectCheck("test", TEST)
COMMAND = BisectCheck("command", "test -e /x")
SYSCTL = BisectCheck("fact", "af_alg_restrict")


def ends_of(check: BisectCheck, names: tuple[str, str], old: str, new: str, find: str = "") -> None:
    Question(check, names, ("O", "N"), find).ends(Step("O", old), Step("N", new))


@pytest.mark.parametrize(
    ("check", "names", "old", "new", "find", "words"),
    [
        (WRITE, GOOD_BAD, "present", "absent", "", "--find page_cache_write=absent"),
        (WRITE, BAD_GOOD, "absent", "present", "", "--find page_cache_write=present"),
        (WRITE, GOOD_BAD, "present", "unreachable", "", "--find page_cache_write=unreachable"),
        (WRITE, GOOD_BAD, "present", "absent", "absent", "--find page_cache_write=absent"),
        (PASSES, GOOD_BAD, "failed", "passed", "", f"--find {TEST}=passed"),
        (PASSES, GOOD_BAD, "crashed", "passed", "", f"--find {TEST}=passed"),
        (PASSES, BAD_GOOD, "passed", "failed", "", f"--find {TEST}=failed"),
        (COMMAND, GOOD_BAD, "failed", "passed", "", "--command 'test -e /x'"),
    ],
)
def test_ends_that_contradict_what_is_expected(
    check: BisectCheck, names: tuple[str, str], old: str, new: str, find: str, words: str
) -> None:
    with pytest.raises(InputError, match="use --old/--new --find") as refused:
        ends_of(check, names, old, new, find)
    assert f"afalg-harness bisect --old O --new N {words}" in str(refused.value)


@pytest.mark.parametrize(
    ("check", "names", "old", "new"),
    [
        (WRITE, GOOD_BAD, "absent", "present"),
        (WRITE, BAD_GOOD, "present", "absent"),
        (WRITE, GOOD_BAD, "absent", "unreachable"),
        (WRITE, OLD_NEW, "present", "absent"),
        (WRITE, GOOD_BAD, "present", "present"),  # they do not differ, which is said instead
        (WRITE, GOOD_BAD, "present", ""),
        (PASSES, GOOD_BAD, "passed", "timeout"),
        (PASSES, GOOD_BAD, "failed", "crashed"),  # the user's own idea of better
        (PASSES, OLD_NEW, "failed", "passed"),
        (SYSCTL, GOOD_BAD, "1", "none"),  # nothing is expected of it
    ],
)
def test_ends_that_do_not(check: BisectCheck, names: tuple[str, str], old: str, new: str) -> None:
    ends_of(check, names, old, new)


def test_whatever_does_not_pass_is_bad() -> None:
    ends = Question(PASSES, GOOD_BAD, ("O", "N")).ends(Step("O", "passed"), Step("N", "crashed"))
    assert ends.differ()
    answers = [ends.answer(value) for value in ("passed", "failed", "timeout", "crashed", "")]
    assert answers == [Answer.OLD, Answer.NEW, Answer.NEW, Answer.NEW, Answer.SKIP]
    worse = Question(PASSES, OLD_NEW, ("O", "N")).ends(Step("O", "failed"), Step("N", "crashed"))
    assert worse.differ()
    assert worse.answer("timeout") is Answer.SKIP
    crash = Question(PASSES, OLD_NEW, ("O", "N"), "crashed")
    found = crash.ends(Step("O", "passed"), Step("N", "crashed"))
    assert found.answer("failed") is Answer.OLD


def bisect(out: Path, *words: str) -> int:
    return main(["bisect", "--among", "k0,k1,k2,k3,k4", *words, "--out", str(out), "-q"])


def kernels(*results: KernelResult) -> dict[str, KernelResult]:
    return {f"k{number}": result for number, result in enumerate(results)}


def test_the_mended_kernel_is_not_called_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = ("present", "present", "present", "absent", "absent")
    booted = simulate(monkeypatch, kernels(*map(writes, states)))
    assert bisect(tmp_path, "--good", "k0", "--bad", "k4", "--check", "page_cache_write") == 2
    told = capsys.readouterr()
    assert "first bad" not in told.out
    assert "page_cache_write is present on the good end and absent on the bad one" in told.err
    assert booted == ["k0", "k4"], "nothing is searched"
    again = told.err.rpartition("afalg-harness bisect ")[2].split()
    assert main(["bisect", *again, "--out", str(tmp_path / "again"), "-q"]) == 0
    assert "first new kernel: k3\nlast old kernel: k2" in capsys.readouterr().out


def test_a_crash_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = ("passed", "passed", "timeout", "failed", "crashed")
    simulate(monkeypatch, kernels(*map(ended, outcomes)))
    assert bisect(tmp_path, "--bad", "k4", "--good", "k0", "--check", TEST) == 0
    assert "first bad kernel: k2\nlast good kernel: k1" in capsys.readouterr().out
