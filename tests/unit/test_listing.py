"""What ``run --list`` prints: the tests that would be planned, with purpose and tags."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import ExitCode, InputError
from harness.guest.payload import Selection
from harness.judge.facts import (
    NAMES,
    Weight,
    in_first_answer,
    kind_of,
    recorded_by,
    widens_first_answer,
)
from harness.listing import ListedTest, list_tests

_ONE_FILE = ("functional/test_hash.py",)

_OWN = '''\
import pytest

pytestmark = pytest.mark.policy_as_booted

@pytest.mark.regression(cve="CVE-2015-8970", fix="0123456789ab", affected="before 4.5")
def test_hole():
    """Is the hole closed?

    At length.
    """

@pytest.mark.may_crash
@pytest.mark.parametrize("n", [1, 2])
def test_last(n): pass

def test_plain():
    """Plain."""
'''


@pytest.fixture
def own_suite(tmp_path: Path) -> str:
    """A suite of a user's own."""
    suite = tmp_path / "own"
    suite.mkdir()
    (suite / "test_own.py").write_text(_OWN)
    return str(suite)


@pytest.fixture(scope="module")
def everything() -> tuple[ListedTest, ...]:
    """All tests of all suites; collecting them takes seconds."""
    return list_tests(Selection())


def test_every_test_of_the_suites_says_its_purpose(everything: tuple[ListedTest, ...]) -> None:
    assert len(everything) > 100
    assert [test.id for test in everything if not test.purpose] == []
    assert len({test.id for test in everything}) == len(everything)


def test_suites_come_in_the_order_of_the_run(everything: tuple[ListedTest, ...]) -> None:
    tests = [test.id for test in everything if "may_crash" not in test.tags]
    suites = list(dict.fromkeys(test.partition("/")[0] for test in tests))
    assert suites.index("zero_copy") == 0
    assert suites.index("functional") < suites.index("policy") < suites.index("consumers")


def test_what_is_asked_first_runs_first(everything: tuple[ListedTest, ...]) -> None:
    first = list(itertools.takewhile(lambda test: "first_answer" in test.tags, everything))
    rest = everything[len(first) :]
    wider = list(itertools.takewhile(lambda test: "widens_first_answer" in test.tags, rest))
    later = {tag for test in rest[len(wider) :] for tag in test.tags}
    assert later.isdisjoint({"first_answer", "widens_first_answer"})
    assert first == [test for test in everything if in_first_answer(test.id)]
    assert wider == [test for test in everything if widens_first_answer(test.id)]
    recorded = {name for test in (*first, *wider) for name in recorded_by(test.id)}
    judged = {name for name in NAMES if kind_of(name).weight is Weight.JUDGED}
    of_all_tests = {"zero_copy.skcipher.suite", "zero_copy.aead.suite"}
    assert recorded == judged - of_all_tests


def test_files_run_in_the_order_in_which_they_are_named() -> None:
    files = ("zero_copy/test_rng.py", "zero_copy/test_input.py")
    tests = [test.id.partition("::")[0] for test in list_tests(Selection(files))]
    assert tuple(dict.fromkeys(tests)) == files


def test_purpose_tags_and_order(own_suite: str) -> None:
    tests = list_tests(Selection((own_suite,)))
    assert [(test.id, test.purpose, test.tags) for test in tests] == [
        (
            "own/test_own.py::test_hole",
            "Is the hole closed?",
            ("CVE-2015-8970", "fix 0123456789ab", "affected before 4.5", "policy_as_booted"),
        ),
        ("own/test_own.py::test_plain", "Plain.", ("policy_as_booted",)),
        ("own/test_own.py::test_last[1]", "", ("may_crash", "policy_as_booted")),
        ("own/test_own.py::test_last[2]", "", ("may_crash", "policy_as_booted")),
    ]


def test_it_prints_a_line_for_each(own_suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--list", "--suite", own_suite, "-k", "hole or plain"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        "own/test_own.py::test_hole: Is the hole closed? "
        "[CVE-2015-8970, fix 0123456789ab, affected before 4.5, policy_as_booted]",
        "own/test_own.py::test_plain: Plain. [policy_as_booted]",
    ]


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(("nonsuch",)), "nonsuch"),
        (Selection(_ONE_FILE, ("-k", "nonsuch")), "no test"),
        (Selection(_ONE_FILE, ("-k", "and and")), "and and"),
        (Selection(("functional/test_hash.py::test_known_answer[nonsuch]",)), "nonsuch"),
    ],
)
def test_what_cannot_be_listed_is_said(selection: Selection, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list_tests(selection)


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "test_broken.py"
    broken.write_text("import nonsuch_module\n")
    with pytest.raises(InputError, match=r"test_broken\.py.*nonsuch_module"):
        list_tests(Selection((str(broken),)))


def test_no_kernel_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == ExitCode.USAGE
    assert "name a kernel" in capsys.readouterr().err
