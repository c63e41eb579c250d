"""Expectations: defaults, file, --expect, kernel ranges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.judge.expectations import KernelRange, load_expectations, run_expectations
from tests.unit import samples

DEFAULTS = load_expectations(None, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zero_copy.skcipher.splice_file", "absent"),
        ("zero_copy.aead.sendfile", "absent"),
        ("zero_copy.aead_aad.splice_memfd", "absent"),
        ("zero_copy.skcipher.recv", None),
        ("zero_copy.aead.recv_pinned", None),
        ("zero_copy.hash.send", None),
        ("page_cache_write", "absent"),
        ("console.kasan", "absent"),
    ],
)
def test_defaults(name: str, value: str | None) -> None:
    rule = DEFAULTS.of_fact(name, "7.3.4")
    assert (rule.value if rule else None) == value
    assert DEFAULTS.of_test("functional/test_hash.py::test_x", "7.3.4") is None


def test_later_wins(tmp_path: Path) -> None:
    file = tmp_path / "expect.toml"
    file.write_text(
        '[[expect]]\nname = "zero_copy.skcipher.*"\nvalue = "present"\nreason = "not backported"\n'
        'kernels = ">=6.12,<6.12.96"\n'
    )
    rules = load_expectations(file, ["zero_copy.skcipher.sendfile=any"])

    def expected(name: str, release: str) -> str:
        rule = rules.of_fact(name, release)
        assert rule is not None
        return rule.value

    assert expected("zero_copy.skcipher.splice_file", "6.12.43+deb12-amd64") == "present"
    assert expected("zero_copy.skcipher.splice_file", "6.12.96+deb13-amd64") == "absent"
    assert expected("zero_copy.skcipher.sendfile", "6.12.43+deb12-amd64") == "any"
    assert expected("zero_copy.aead.splice_file", "6.12.43+deb12-amd64") == "absent"


def test_brackets_of_a_test_id_are_literal() -> None:
    rules = load_expectations(None, ["functional/test_x.py::test_y[a=b*]=failed"])
    assert rules.of_test("functional/test_x.py::test_y[a=b(aes)]", "7.3") is not None
    assert rules.of_test("functional/test_x.py::test_ya", "7.3") is None


@pytest.mark.parametrize(
    ("text", "release", "inside"),
    [
        (">=6.12,<7.2", "6.12.43+deb12-amd64", True),
        (">=6.12,<7.2", "7.2.0-rc1", False),
        (">=6.12,<7.2", "6.1.0-50-amd64", False),
        ("==6.12", "6.12.117", True),
        ("<=6.12", "6.12.117", True),
        ("!=6.12.43", "6.12.43-amd64", False),
        (">6.12", "6.12.1", False),
        (">=6.12", "", False),
        (">=6.12", "next-20261101", False),
    ],
)
def test_kernel_range(text: str, release: str, inside: bool) -> None:
    assert (release in KernelRange.parse(text)) is inside


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("page_cache_write", "NAME=VALUE"),
        ("=absent", "NAME=VALUE"),
        ("page_cache_write=gone", "'gone' cannot be expected"),
        ("page_cache_write=unknown", "cannot be expected"),
        ("a.py::b=crashed", "cannot be expected"),
    ],
)
def test_bad_override(override: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_expectations(None, [override])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[expect]\n", "not TOML"),
        ('expect = "x"\n', "array of tables"),
        ("[expected]\nname = 1\n", "unknown key 'expected'"),
        ('[[expect]]\nname = "x"\nvalue = "absent"\n', "'reason' is missing"),
        ('[[expect]]\nname = "x"\nvalue = "good"\nreason = "r"\n', "number 1: 'good' cannot"),
        (
            '[[expect]]\nname = "x"\nvalue = "any"\nreason = "r"\nkernels = "6.x"\n',
            "'6.x' is not a version clause",
        ),
        (
            '[[expect]]\nname = "x"\nvalue = "any"\nreason = "r"\nkernel = ">=6"\n',
            "unknown key 'kernel'",
        ),
    ],
)
def test_bad_file(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "expect.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        load_expectations(file, [])
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_expectations(tmp_path / "none.toml", [])


def test_what_a_run_was_judged_by_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "expect.toml"
    file.write_text(
        '[[expect]]\nname = "zero_copy.*"\nvalue = "present"\nreason = "old"\n'
        'kernels = ">=6.12, <6.12.96"\n'
    )
    rules = load_expectations(file, ["console.kasan.1a2b3c4d=any"])
    run = samples.run(samples.old(), samples.new(), expectations=rules)
    assert run_expectations(run) == rules
    assert run_expectations(samples.main_job()) == DEFAULTS


def test_a_run_that_does_not_hold_its_expectations() -> None:
    """What was asked for and met is known from the checks of its verdicts."""
    run = samples.run(samples.old(), expectations=load_expectations(None, ["zero_copy.*=any"]))
    rules = run_expectations(replace(run, expectations=()))
    rule = rules.of_fact("zero_copy.skcipher.splice_file", samples.OLD)
    assert rule is not None
    assert (rule.value, rule.explicit) == ("any", True)
