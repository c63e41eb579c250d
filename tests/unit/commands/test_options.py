"""Numbers on the command line: what cannot be meant is refused before anything starts."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from harness.cli import main
from harness.commands.options import positive_integer, positive_seconds

NO_SECONDS = ("0", "0.0", "-1", "nan", "inf", "-inf", "1e400", "1e7", "five", "", "1s")
NO_COUNT = ("0", "-1", "1.5", "two", "", "1e3")


@pytest.mark.parametrize("text", NO_SECONDS)
def test_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="seconds above 0"):
        positive_seconds(text)


@pytest.mark.parametrize(("text", "seconds"), [("0.5", 0.5), ("30", 30.0), ("1e3", 1000.0)])
def test_duration(text: str, seconds: float) -> None:
    assert positive_seconds(text) == seconds


@pytest.mark.parametrize("text", NO_COUNT)
def test_no_count(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="1 or more"):
        positive_integer(text)


def test_count() -> None:
    assert positive_integer("12") == 12


@pytest.mark.parametrize("option", ["--timeout", "--test-timeout", "--jobs"])
@pytest.mark.parametrize("text", ["0", "nan", "-3"])
def test_run_refuses(option: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "debian:trixie", f"{option}={text}"]) == 2
    assert f"argument {option}: {text!r}: must be a" in capsys.readouterr().err


@pytest.mark.parametrize("mirror", ["foo", "", "http://", "file"])
def test_no_mirror(mirror: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "debian:trixie", f"--mirror={mirror}"]) == 2
    assert "argument --mirror: " in capsys.readouterr().err


def test_no_mirror_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AFALG_MIRROR", "foo")
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["run", "debian:trixie"]) == 2
    assert "'foo' is not the URL of a mirror" in capsys.readouterr().err
