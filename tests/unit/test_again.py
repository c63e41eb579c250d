"""The command that does it again asks for the very same thing."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.again import again
from harness.cli import build_parser
from harness.commands.actions.run import run_options
from harness.run_options import RunOptions

#: Fields that change nothing of what one kernel is put through.
_OF_THE_WHOLE_RUN = {
    *("specs", "baseline", "out", "command", "jobs", "sources", "shard", "executor", "reuse"),
}
_SPEC = "./bzImage"

_LETTERS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
_TEXT = st.tuples(st.sampled_from(("", "-", "--")), _LETTERS).map("".join)
_SECONDS = st.floats(min_value=0.001, max_value=1e6).map(repr)
_NUMBERS = st.integers(-(10**20), 10**20).map(str)
_EXPECTED = st.tuples(_TEXT.filter(str.strip), st.sampled_from(("absent", "passed", "any")))
#: Every option of ``run`` that bears on what is observed or expected, with values for it.
_COUNTS = st.integers(1, 99).map(str)
_OPTIONS = {
    "--suite": _TEXT,
    "-k": _TEXT,
    "--timeout": _SECONDS,
    "--test-timeout": _SECONDS,
    "--seed": _NUMBERS,
    "--expect": _EXPECTED.map("=".join),
    "--expectations": st.just("FILE"),
    "--accel": st.sampled_from(("auto", "kvm", "tcg")),
    "--root": _TEXT,
    "--guest-suite": st.sampled_from(("stable", "trixie", "sid")),
    "--append": _TEXT,
    "--mirror": st.sampled_from(("http://mirror/debian", "https://x.org/d")),
    "--kconfig": _TEXT,
    "--boots": _COUNTS,
    "--repeat": _COUNTS,
}
#: Options of ``run`` without bearing on one kernel's results.
_OTHERS = {
    *("--help", "--quiet", "--verbose", "--baseline", "--out", "--jobs", "--list"),
    *("--cache", "--refresh", "--confirm", "--resume", "--dump-guest-memory"),
    *("--store", "--no-store", "--reuse", "--shard", "--shard-times", "--executor"),
}


def _words(chosen: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}{value}" if name == "-k" else f"{name}={value}" for name, value in chosen]


@st.composite
def _command_lines(draw: st.DrawFn) -> list[str]:
    names = draw(st.lists(st.sampled_from(sorted(_OPTIONS)), max_size=8))
    return _words([(name, draw(_OPTIONS[name])) for name in names])


def _parsed(words: Sequence[str]) -> RunOptions:
    return run_options(build_parser().parse_args(words), Path("out"), "afalg-harness run")


def _what_matters(options: RunOptions) -> dict[str, object]:
    told = {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if field.name not in _OF_THE_WHOLE_RUN
    }
    return told | {"mirror": options.sources.mirror, "kconfigs": options.sources.kconfigs}


@pytest.fixture(autouse=True)
def _expectations_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AFALG_MIRROR", raising=False)
    Path("FILE").write_text(
        '[[expect]]\nname = "a*"\nvalue = "present"\nreason = "x"\nkernels = ">=6.1,<7.2"\n'
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_command_lines())
def test_any_options(words: list[str]) -> None:
    options = _parsed(["run", _SPEC, *words])
    command = shlex.split(again(options, _SPEC, ""))
    assert command[:3] == ["afalg-harness", "run", _SPEC]
    assert _what_matters(_parsed(command[1:])) == _what_matters(options)


def test_every_option_is_accounted_for() -> None:
    """One that is added to ``run`` must be repeated, or be said to have no bearing."""
    subparsers = next(
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    known = {
        action.option_strings[-1]
        for action in subparsers.choices["run"]._actions
        if action.option_strings
    }
    assert known == {*_OPTIONS, *_OTHERS}


def test_nothing_is_said_that_goes_without_saying() -> None:
    assert again(_parsed(["run", _SPEC]), _SPEC, "7.3.4") == f"afalg-harness run {_SPEC}"


def test_the_newest_of_a_suite_is_named() -> None:
    options = _parsed(["run", "debian:sid"])
    command = again(options, "debian:sid", "7.3.4+deb13-amd64")
    assert command == "afalg-harness run debian:7.3.4+deb13-amd64"


def test_a_mirror_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFALG_MIRROR", "http://mirror/debian")
    options = _parsed(["run", _SPEC])
    assert again(options, _SPEC, "").endswith("--mirror http://mirror/debian")
    assert replace(options.sources, mirror=None) != options.sources
