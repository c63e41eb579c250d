"""Workflow commands, as GitHub's runner reads them."""

from __future__ import annotations

import re
from collections import Counter

from harness.model import RunResult
from harness.report.render import pieces
from tests.stored_runs import stored_run
from tests.unit import samples
from tests.unit.report.test_junit import RUNS

#: As src/Runner.Common/ActionCommand.cs takes a line apart.
_COMMAND = re.compile(r"::(error|warning|notice) title=([^,:]*)::(.*)")


def _unescaped(text: str) -> str:
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def commands(result: RunResult) -> list[tuple[str, str, str]]:
    lines = "".join(pieces(result, "github")).splitlines()
    found = [_COMMAND.fullmatch(line) for line in lines]
    assert all(found), lines
    return [(one[1], _unescaped(one[2]), _unescaped(one[3])) for one in found if one is not None]


def test_real_kernels() -> None:
    found = commands(stored_run())
    assert Counter(level for level, _, _ in found) == {"error": 10, "notice": 1}
    assert found[-1] == ("notice", "AF_ALG", "of 11 candidates 5 are OK, 6 are NOT OK")
    assert found[-2][1] == "AF_ALG: 7 more"
    zero_copy = next(one for one in found if one[1] == "AF_ALG on 6.12.95+deb13-amd64: zero_copy")
    sentence_, names, *evidence = zero_copy[2].splitlines()
    assert sentence_ == "zero-copy present on 33 of 33 paths"
    assert len(set(names.split(", "))) == 33 + 2  # and what two witnesses saw of all tests
    assert {"skcipher.splice_file", "aead.splice_file", "aead.suite"} < set(names.split(", "))
    assert evidence[0].startswith("zero_copy.skcipher.")
    assert any("characters left out" in line for line in evidence)


def test_what_is_not_known_is_a_warning() -> None:
    found = commands(RUNS["the code still can"])
    assert {level for level, _, _ in found} == {"warning", "notice"}


def test_nothing_wrong_is_a_notice() -> None:
    assert [level for level, _, _ in commands(samples.main_job())] == ["notice"]


def test_text_cannot_be_a_command() -> None:
    odd = samples.failed(samples.SHA256_TEST, "x\n::error::y%0A::stop-commands::z\r::add-mask::a")
    found = commands(samples.run(samples.with_test(samples.new(), odd)))
    assert [level for level, _, _ in found] == ["error", "notice"]
    assert "::add-mask::a" in found[0][2]
