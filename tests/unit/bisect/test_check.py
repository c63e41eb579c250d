"""What a check looks at, and what a kernel's answer is worth."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.bisect.check import (
    BisectCheck,
    Seen,
    expected_value,
    parse_check,
    refuse_what_is_not_there,
    write_command_suite,
)
from harness.commands.actions import bisect, bisect_step
from harness.errors import InputError
from harness.locations import suite_dir
from harness.model import (
    Boot,
    Control,
    Fact,
    Facts,
    Outcome,
    State,
    Status,
    TestResult,
)
from tests.unit.bisect.simulated import PANIC, TEST, ended, kernel

TOP = Path(__file__).parents[3]
PLAYED = "differential/test_sequences.py::test_seed[3]"


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
        ([Outcome.FAILED, Outcome.ERROR, Outcome.MISSING], "failed"),
        ([Outcome.PASSED, Outcome.ERROR], ""),
        ([Outcome.PASSED, Outcome.MISSING], ""),
        ([Outcome.SKIPPED], ""),
        ([Outcome.ERROR], ""),
        ([Outcome.MISSING], ""),
        ([Outcome.PASSED, Outcome.FAILED, Outcome.CRASHED], "crashed"),
        ([Outcome.PASSED, Outcome.TIMEOUT], "timeout"),
        ([Outcome.CRASHED, Outcome.MISSING], "crashed"),
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
    assert check.see(kernel()).value == "none"
    assert check.see(replace(kernel(), facts=Facts(af_alg_restrict=1))).value == "1"


@pytest.mark.parametrize("status", [Status.BOOT_FAILED, Status.UNAVAILABLE])
@pytest.mark.parametrize(
    "check",
    [
        BisectCheck("fact", "af_alg_restrict"),
        BisectCheck("fact", "page_cache_write"),
        BisectCheck("test", TEST),
        BisectCheck("seed", "3"),
    ],
)
def test_nothing_is_taken_from_a_guest_that_was_not_accepted(
    status: Status, check: BisectCheck
) -> None:
    """Even one that told who it is, and what it saw: it was another kernel."""
    guest = replace(
        kernel(result(Outcome.PASSED), result(Outcome.PASSED, PLAYED)),
        facts=Facts(af_alg_restrict=1, page_cache_write=Fact(State.PRESENT, Control.FIRED)),
        transcripts={"a": "1"},
    )
    assert check.see(guest).value
    disowned = replace(guest, status=status, status_reason="the guest ran y, not x")
    assert check.see(disowned) == Seen("", "the guest ran y, not x")


def test_a_panic_once_the_test_had_passed() -> None:
    died = ended("passed", status=Status.CRASHED, status_reason="it died", console_events=(PANIC,))
    seen = BisectCheck("test", TEST).see(died)
    assert (seen.value, seen.test) == ("crashed", TEST)
    assert PANIC.title in seen.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"status": Status.CRASHED, "status_reason": "the guest died outside any test"},
        {"status": Status.HUNG, "status_reason": "nothing heard for 50 s"},
        {"records_lost": 1},
    ],
)
def test_passed_but_more_may_have_happened(changes: dict[str, Any]) -> None:
    seen = BisectCheck("test", TEST).see(ended("passed", **changes))
    assert seen.value == "" and seen.reason
    assert BisectCheck("test", TEST).see(ended("passed", console_events=(PANIC,))).value == "passed"
    # What is known to be bad stays so.
    assert BisectCheck("test", TEST).see(ended("failed", **changes)).value == "failed"


def test_a_fact_of_a_kernel_that_died_first() -> None:
    died = ended("crashed", status=Status.CRASHED, status_reason="Kernel panic")
    seen = BisectCheck("fact", "software_only").see(died)
    assert seen.value == ""
    assert f"crashed in {TEST}: Kernel panic; --check {TEST}" in seen.reason
    told = replace(died, facts=Facts(other={"software_only": Fact(State.PRESENT, Control.FIRED)}))
    assert BisectCheck("fact", "software_only").see(told).value == "present"


def test_a_test_that_cannot_be_imported() -> None:
    broken = replace(kernel(), collection_errors=("test_hash.py: no module named x",))
    assert "no module named x" in BisectCheck("test", TEST).see(broken).reason


def test_answers_to_a_seed() -> None:
    check = BisectCheck("seed", "3")
    one = replace(kernel(result(Outcome.PASSED, PLAYED)), transcripts={"a: b": "1 2"})
    other = replace(one, transcripts={"a: b": "1 3"})
    assert check.see(one).value == check.see(replace(one)).value != check.see(other).value
    assert check.see(replace(one, transcripts={})).value == ""
    assert check.see(replace(one, tests=())).value == ""
    assert check.see(replace(one, records_lost=1)).value == "", "an answer may be missing"
    for outcome in (Outcome.CRASHED, Outcome.TIMEOUT):
        assert check.see(kernel(result(outcome, PLAYED))).value == outcome
    assert check.see(kernel(result(Outcome.FAILED, PLAYED))).value == ""


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


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("page_cache_wriet", "page_cache_write"),
        ("zero_copy.skcipher.splice_fil", "zero_copy.skcipher.splice_file"),
        ("consumers.kcapi_dgst.sha1.rot", "consumers.kcapi_dgst.sha1.root"),
    ],
)
def test_a_misspelt_fact_is_answered_with_what_is_near(text: str, near: str) -> None:
    with pytest.raises(InputError, match=f"no check.*near it: {re.escape(near)}"):
        parse_check(text)


def test_what_the_suite_lacks_is_refused() -> None:
    for check in (BisectCheck("test", f"{TEST}y"), BisectCheck("seed", "999")):
        with pytest.raises(InputError):
            refuse_what_is_not_there(check)
    for check in (BisectCheck("seed", "3"), parse_check("aio.libaio")):
        refuse_what_is_not_there(check)


def test_the_tests_that_people_are_told_of_are_there() -> None:
    pages = [TOP / "README.md", *(TOP / "docs").glob("*.md")]
    told = [path.read_text() for path in pages if path.name != "findings.md"]
    texts = (*told, bisect.__doc__, bisect_step.__doc__, TEST)
    named = {name for text in texts for name in re.findall(r"\w+/\w+\.py::\w+", str(text))}
    for name in named:
        if name.startswith("my_suite/"):  # the user's own, in an example
            continue
        refuse_what_is_not_there(parse_check(name))
    assert TEST in named


@pytest.mark.parametrize(
    ("name", "possible", "impossible"),
    [
        (TEST, ("passed", "failed", "crashed", "timeout"), ("skipped", "bad", "present")),
        ("page_cache_write", ("present", "absent", "unreachable"), ("unknown", "works", "presnt")),
        ("consumers.sha512hmac.file.root", ("works", "fails", "unreachable"), ("present",)),
        ("af_alg_restrict", ("none", "0", "2"), ("3", "present")),
        ("seed:1", ("answers 0123", "crashed"), ()),
    ],
)
def test_values_that_no_kernel_answers_with(
    name: str, possible: tuple[str, ...], impossible: tuple[str, ...]
) -> None:
    check = parse_check(name)
    for value in possible:
        check.refuse_value(value)
    for value in impossible:
        with pytest.raises(InputError, match="is never"):
            check.refuse_value(value)


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


def test_whether_it_boots() -> None:
    check = parse_check("boots")
    assert check.kind == "boots"
    assert (suite_dir() / check.suites()[0]).is_file()
    assert expected_value(check) == "works"
    assert check.see(kernel()).value == "works"
    panic = Boot(Status.BOOT_FAILED, "it died", "tcg", console_events=(PANIC,))
    dead = replace(kernel(), status=Status.BOOT_FAILED, identity=None, boots=(panic, panic))
    assert check.see(dead).value == "fails"
    # One boot proves nothing, nor do those that only stood still.
    for boots in ((panic,), (panic, replace(panic, console_events=()))):
        assert check.see(replace(dead, boots=boots)).value == ""
    with pytest.raises(InputError, match="never"):
        check.refuse_value("absent")
