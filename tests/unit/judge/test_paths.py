"""What is said of zero-copy paths, and which of them a verdict rests on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from harness.judge import paths
from harness.judge.expectations import Expectations
from harness.model import State

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


@pytest.mark.parametrize("path", [*INPUT, *REPORTED])
def test_every_path_and_state_is_explained_in_one_line(path: str) -> None:
    assert paths.describe(path)
    assert paths.describe(f"zero_copy.{path}") == paths.describe(path)
    for state in STATES:
        if path in {"rng.sendmsg", "rng.splice"} and state in {State.PRESENT, State.ABSENT}:
            continue  # nothing goes in
        text = paths.explain(path, state)
        assert text
        assert "\n" not in text
        assert text == paths.explain(f"zero_copy.{path}", state)


def test_what_is_judged_is_what_something_is_expected_of() -> None:
    expectations = Expectations()
    for path in (*INPUT, *REPORTED):
        expected = expectations.of_fact(f"zero_copy.{path}", "7.3.4")
        assert paths.is_judged(path) is (path in INPUT) is (expected is not None), path


def test_only_judged_input_is_charged_to_the_removal() -> None:
    assert "as since ffdd2bc37895" in paths.explain("skcipher.splice_file", State.ABSENT)
    for path in REPORTED:
        assert "as since ffdd2bc37895" not in paths.explain(path, State.ABSENT)


def test_unknown_paths() -> None:
    assert paths.describe("cipher_of_tomorrow.splice") == ""
    assert paths.explain("cipher_of_tomorrow.splice", State.PRESENT) == ""
    assert not paths.is_judged("cipher_of_tomorrow.splice")
