"""What --executor can say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.cli import build_parser, main
from harness.errors import InputError
from harness.executors.names import check_executor, is_elsewhere, scheduler_address
from tests.documented import arguments


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dask:local", "local"),
        ("dask://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
        ("dask://[fe80::1]:8786", "tcp://[fe80::1]:8786"),
        ("dask:tls://host:8786", "tls://host:8786"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert scheduler_address(check_executor(text)) == address
    assert is_elsewhere(text)


@pytest.mark.parametrize(
    "text", ["", "dask", "dask:", "dask://", "dask://host", "dask://:1", "tcp://host:1", "slurm"]
)
def test_what_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"dask://HOST:PORT"):
        check_executor(text)
    assert main(["run", "x", f"--executor={text}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["host"], "host: is another kernel on each machine"),
        (["debian:7.3.4+deb13-amd64", "--dump-guest-memory", "x"], "--dump-guest-memory: not with"),
    ],
)
def test_what_only_this_machine_has(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words, "--executor", "dask:local", "--out", "/no/where"]) == 2
    assert told in capsys.readouterr().err


def test_a_run_here_does_not_import_dask() -> None:
    code = "import sys, harness.commands.actions.run; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_that_is_shown() -> None:
    words = arguments("--executor dask://10.0.0.1:8786")
    parsed = build_parser(words).parse_args(words)
    assert scheduler_address(parsed.executor) == "tcp://10.0.0.1:8786"
