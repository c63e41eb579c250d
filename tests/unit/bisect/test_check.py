"""What a check looks at, and what a kernel's answer is worth."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bisect.check import BisectCheck, expected_value, parse_check, write_command_suite
from harness.errors import InputError
from harness.model import (
    Control,
    Fact,
    Facts,
    KernelResult,
    Outcome,
    Role,
    State,
    Status,
    TestResult,
)
from harness.paths import suite_dir
from tests.unit import samples

TEST = "functional/test_hash.py::test_empty"


def kernel(*tests: TestResult, **facts: Fact) -> KernelResult:
    return KernelResult(
        "debian:x", "x", Role.CANDIDATE, Status.COMPLETED, facts=Facts(other=facts), tests=tests
    )


def result(outcome: Outcome, name: str = TEST, message: str = "") -> TestResult:
    return TestResult(name, outcome, message=message)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        (TEST, "test", TEST),
        (f"{TEST}[a-b]", "test", f"{TEST}[a-b]"),
        ("zero_copy.skcipher.splice_file", "fact", "zero_copy.skcipher.splice_file"),
        ("page_cache_write", "fact", "page_cache_write"),
        ("software_only", "fact", "software_only"),
        ("seed:7", "seed", "7"),
    ],
)
def test_parse(text: str, kind: str, name: str) -> None:
    assert parse_check(text) == BisectCheck(kind, name)


@pytest.mark.parametrize("text", ["", "zero_copy", "functional", "a b", "seed:x", "test_x.py"])
def test_no_check(text: str) -> None:
    with pytest.raises(InputError, match="no check"):
        parse_check(text)


@pytest.mark.parametrize(
    ("outcomes", "value"),
    [
        ([Outcome.PASSED], "passed"),
        ([Outcome.FAILED], "failed"),
        ([Outcome.PASSED, Outcome.FAILED], "failed"),
        ([Outcome.PASSED, Outcome.SKIPPED], "passed"),
        ([Outcome.SKIPPED], ""),
        ([Outcome.ERROR], ""),
        ([Outcome.MISSING], ""),
        ([Outcome.PASSED, Outcome.CRASHED], ""),
        ([Outcome.PASSED, Outcome.TIMEOUT], ""),
        ([], ""),
    ],
)
def test_outcomes(outcomes: list[Outcome], value: str) -> None:
    tests = [result(outcome, f"{TEST}[{n}]") for n, outcome in enumerate(outcomes)]
    seen = BisectCheck("test", TEST).see(kernel(*tests, result(Outcome.FAILED, f"{TEST}_other")))
    assert seen.value == value
    assert bool(seen.reason) == (value == "")


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        (Fact(State.PRESENT, Control.FIRED), "present"),
        (Fact(State.UNREACHABLE, Control.NOT_RUN), "unreachable"),
        (Fact(State.PRESENT, Control.FAILED), ""),
        (Fact(State.UNKNOWN, Control.FIRED), ""),
        (None, ""),
    ],
)
def test_facts(fact: Fact | None, value: str) -> None:
    facts = {"software_only": replace(fact, test="t")} if fact else {}
    seen = BisectCheck("fact", "software_only").see(kernel(**facts))
    assert (seen.value, seen.test) == (value, "t" if value else "")


def test_absent_without_a_control_is_no_answer() -> None:
    one = replace(kernel(), facts=Facts(page_cache_write=Fact(State.ABSENT, Control.NOT_RUN)))
    assert BisectCheck("fact", "page_cache_write").see(one).value == ""


def test_af_alg_restrict() -> None:
    check = BisectCheck("fact", "af_alg_restrict")
    booted = samples.new_kernel() if hasattr(samples, "new_kernel") else None
    never = replace(kernel(), status=Status.BOOT_FAILED, status_reason="it died")
    assert check.see(never).reason == "it died"
    if booted is not None:
        assert check.see(booted).value == "1"


def test_answers_to_a_seed() -> None:
    check = BisectCheck("seed", "3")
    played = "differential/test_sequences.py::test_seed[3]"
    one = replace(kernel(result(Outcome.PASSED, played)), transcripts={"a: b": "1 2"})
    other = replace(one, transcripts={"a: b": "1 3"})
    assert check.see(one).value == check.see(replace(one)).value != check.see(other).value
    assert check.see(replace(one, transcripts={})).value == ""
    assert check.see(replace(one, tests=())).value == ""


def test_what_is_run() -> None:
    fact = parse_check("zero_copy.aead.tee")
    assert fact.suites() == ("zero_copy",)
    assert fact.suites("zero_copy/test_input.py::test_aead[tee]") == (
        "zero_copy/test_input.py::test_aead[tee]",
    )
    assert parse_check(TEST).suites("x") == (TEST,)


def test_the_smallest_test_for_the_sysctl_exists() -> None:
    (test,) = parse_check("af_alg_restrict").suites()
    file, _, name = test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (suite_dir() / file).read_text()


def test_facts_are_looked_for_where_they_are_recorded() -> None:
    """Every name that the suite records is recorded in a suite that is run for it."""
    found = 0
    for path in suite_dir().glob("*/test_*.py"):
        for name in re.findall(r"record_fact\(\s*f?\"([a-z_.]+)\"", path.read_text()):
            suites = parse_check(name).suites()
            assert suites == () or path.parent.name in {suite.partition("/")[0] for suite in suites}
            found += 1
    assert found > 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (TEST, "passed"),
        ("zero_copy.skcipher.tee", "absent"),
        ("zero_copy.skcipher.recv", ""),
        ("zero_copy.hash.sendmsg", ""),
        ("page_cache_write", "absent"),
        ("consumers.kcapi_dgst.sha1.root", "works"),
        ("software_only", ""),
        ("seed:1", ""),
    ],
)
def test_what_is_right(name: str, value: str) -> None:
    assert expected_value(parse_check(name)) == value


@pytest.mark.parametrize(("status", "outcome"), [(0, "passed"), (125, "skipped"), (3, "failed")])
def test_command(status: int, outcome: str, tmp_path: Path) -> None:
    suite = write_command_suite(f"sh -c 'echo a \"b\" >&2; exit {status}'", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", suite],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert f"1 {outcome}" in done.stdout
    assert f"exit status {status}: a b" in done.stdout or status == 0
    check = BisectCheck("command", "x")
    mine = result(Outcome.PASSED, "test_bisect_command.py::test_command")
    assert check.see(kernel(mine)).value == "passed"


def test_no_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no program"):
        write_command_suite("  ", tmp_path)
