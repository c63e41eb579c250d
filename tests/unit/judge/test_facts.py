"""The registry of facts: it knows what the suite records, and says one thing of each."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest.payload import Selection
from harness.judge import facts
from harness.judge.expectations import Expectations
from harness.judge.facts import Weight
from harness.judge.states import told_state
from harness.listing import list_tests
from harness.model import Control, Fact, State

SUITE = Path(__file__).parents[2] / "afalg" / "zero_copy"
STATES = (State.PRESENT, State.ABSENT, State.UNREACHABLE, State.UNKNOWN)


def names_in_suite() -> list[str]:
    """The paths of the suite's input probes, read from its source."""
    tree = ast.parse((SUITE / "test_input.py").read_text())
    table = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "PATHS"
    )
    assert isinstance(table, ast.Dict)
    names = [key.value for key in table.keys if isinstance(key, ast.Constant)]
    return [name for name in names if isinstance(name, str)]


INPUT = [f"{kind}.{way}" for kind in ("skcipher", "aead", "aead_aad") for way in names_in_suite()]
#: What the witness saw of all tests' input: no probe of one way.
SUITES = ["skcipher.suite", "aead.suite"]
REPORTED = [
    "hash.sendmsg",
    "hash.splice_file",
    "hash.splice_tmpfs",
    "hash.splice_memfd",
    "hash.vmsplice",
    "rng.sendmsg",
    "rng.splice",
    "rng.recv",
    "skcipher.recv",
    "aead.recv",
    "hash.recv",
]


def test_the_suite_was_read() -> None:
    assert {"splice_file", "splice_tmpfs", "splice_memfd", "sendfile"} <= set(names_in_suite())


@pytest.mark.parametrize("path", [*INPUT, *SUITES, *REPORTED])
def test_every_path_and_state_is_explained_in_one_line(path: str) -> None:
    name = f"zero_copy.{path}"
    assert facts.describe(name)
    assert facts.short_name(name) == path
    for state in STATES:
        if path in {"rng.sendmsg", "rng.splice"} and state in {State.PRESENT, State.ABSENT}:
            continue  # nothing goes in
        text = facts.explain(name, state)
        assert text
        assert "\n" not in text


def test_what_is_judged_is_what_something_is_expected_of() -> None:
    expectations = Expectations()
    for path in (*INPUT, *SUITES, *REPORTED):
        name = f"zero_copy.{path}"
        judged = facts.kind_of(name).weight is Weight.JUDGED
        expected = expectations.of_fact(name, "7.3.4")
        assert judged is (path not in REPORTED) is (expected is not None), path


@pytest.mark.parametrize(
    ("name", "promised", "expected"),
    [
        ("zero_copy.skcipher.splice_of_tomorrow", "absent", "absent"),
        ("zero_copy.aead.recv_pinned", None, None),
        ("zero_copy.hash.sendmsg", None, None),
        ("page_cache_write", "absent", "absent"),
        ("skcipher.short_read_refused", "present", None),
        ("consumers.kcapi_dgst.sha1.root", "works", None),
        ("aio.libaio", None, None),
        ("my.own", None, None),
    ],
)
def test_what_is_right_and_what_the_verdict_rests_on(
    name: str, promised: str | None, expected: str | None
) -> None:
    kind = facts.kind_of(name)
    assert (kind.promised, kind.expected) == (promised, expected)


def test_only_judged_input_is_charged_to_the_removal() -> None:
    removal = "as since ffdd2bc37895"
    assert removal in facts.explain("zero_copy.skcipher.splice_file", State.ABSENT)
    for path in REPORTED:
        assert removal not in facts.explain(f"zero_copy.{path}", State.ABSENT)


@pytest.mark.parametrize("name", ["zero_copy.cipher_of_tomorrow.splice", "my.own", ""])
def test_unknown_names(name: str) -> None:
    assert facts.describe(name) == ""
    assert facts.explain(name, State.PRESENT) == ""
    assert facts.kind_of(name).weight is Weight.REPORTED


def test_facts_of_the_suite_are_known_and_looked_for_where_they_are_recorded() -> None:
    found = 0
    for path in SUITE.parent.glob("*/test_*.py"):
        for name in re.findall(r"record_fact\(\s*f?\"([a-z_.]+)\"", path.read_text()):
            kind = facts.kind_of(name)
            assert kind is not facts.UNKNOWN_KIND, name
            assert {suite.partition("/")[0] for suite in kind.suites} == {path.parent.name}, name
            found += 1
    assert found > 3
    assert facts.kind_of("consumers.x.root").suites == ("consumers",)
    assert facts.kind_of("aio.libaio").suites == ("functional",)
    assert facts.kind_of("policy.unprivileged_bind").suites == ("policy",)


@pytest.mark.parametrize("name", ["aio.libaio", "policy.unprivileged_bind", "software_only"])
def test_absence_without_a_control_proves_nothing(name: str) -> None:
    fact = Fact(State.ABSENT, Control.NOT_RUN)
    assert told_state(name, fact) is State.UNKNOWN
    assert told_state("my.own", fact) is State.ABSENT
    assert told_state(name, replace(fact, control=Control.FIRED)) is State.ABSENT


_NAMED = re.compile(r'f?"((?:zero_copy|consumers|policy|functional|aio|skcipher)\.[\w.{}]+)"')
_RECORDED = re.compile(r'(?:record_fact|Probe)\(\s*f?"([\w.{}]+)"')
_OBSERVED = re.compile(r'observe\(\s*f?"([\w.{}()]+)"')


def patterns_in_suite() -> set[str]:
    """What the suite's sources call facts, as patterns: a replacement field is any word."""
    found: set[str] = set()
    for path in SUITE.parent.rglob("*.py"):
        text = path.read_text()
        found |= {*_NAMED.findall(text), *_RECORDED.findall(text)}
        found |= {f"consumers.{job}.{{user}}" for job in _OBSERVED.findall(text)}
    found.discard("consumers.{fact}.{user}")  # which all others of them become
    return {re.sub(r"\\{.*?\\}", r"\\w+", re.escape(name)) for name in found}


def test_the_names_are_those_of_the_suite() -> None:
    patterns = patterns_in_suite()
    assert len(patterns) > 15
    names = {*facts.NAMES} - {"af_alg_restrict"}  # which the guest itself reports
    for pattern in patterns:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
    for name in names:
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name
        assert facts.kind_of(name) is not facts.UNKNOWN_KIND


def test_each_probe_has_a_name() -> None:
    """As many names as tests that record one, and the very ways of the input probes."""
    ids = [test.id for test in list_tests(Selection(("zero_copy/test_input.py", "consumers")))]
    probes = {test for test in ids if re.search(r"::test_(skcipher|aead|aead_aad)\[", test)}
    ways = {re.sub(r".*::test_(\w+)\[(\w+)\]", r"zero_copy.\1.\2", test) for test in probes}
    assert ways == {name for name in facts.NAMES if name.removeprefix("zero_copy.") in INPUT}
    programs = [test for test in ids if test.startswith("consumers/")]
    assert len(programs) == sum(name.startswith("consumers.") for name in facts.NAMES) > 20
