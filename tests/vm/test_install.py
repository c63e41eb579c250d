"""The wheel in an empty environment, run by an ordinary user from another directory."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.model import Outcome, Status
from harness.report import results_file

#: In several packages, of those for clouds: it lacks 9p and has ext4 built in.
_KERNEL = "debian:7.1.13+deb13-cloud-amd64"
_PYTHON = "/usr/bin/python3"  # a root's own interpreter may be out of the user's reach


def _run(*argv: str | Path, cwd: Path | None = None) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    assert result.returncode == 0, f"{argv}: {result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture
def user() -> Iterator[str]:
    """A user made for the test, with a home and subordinate ids, removed afterwards."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a user to run as")
    name = f"afalg-test-{secrets.token_hex(3)}"
    _run("useradd", "--create-home", name)
    try:
        yield name
    finally:
        _run("userdel", "--remove", name)


def test_the_wheel_works_for_an_ordinary_user(user: str, tmp_path: Path) -> None:
    checkout = Path(__file__).resolve().parents[2]
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, checkout)
    (wheel,) = tmp_path.glob("*.whl")
    home = Path("~" + user).expanduser()
    (home / wheel.name).write_bytes(wheel.read_bytes())
    as_user = ("runuser", "-u", user, "--")
    namespace = [*as_user, "unshare", "--map-root-user", "true"]
    if subprocess.run(namespace, check=False).returncode != 0:
        pytest.skip("this machine allows no user namespaces, which building the image needs")
    _run(*as_user, _PYTHON, "-m", "venv", home / "venv", cwd=home)
    _run(*as_user, home / "venv/bin/pip", "install", "--quiet", home / wheel.name, cwd=home)
    elsewhere = home / "else where"  # a path with a space is a path like any other
    _run(*as_user, "mkdir", elsewhere)
    command: list[str | Path] = [home / "venv/bin/afalg-harness", "run", _KERNEL, "--out", "run"]
    command += ["--cache", elsewhere / "cache", "--suite", "functional/test_hash_stream.py"]
    _run(*as_user, "env", f"HOME={home}", *command, cwd=elsewhere)

    # Its templates lie in the wheel.
    assert "</html>" in (elsewhere / "run/report.html").read_text(encoding="utf-8")
    result = results_file.load(elsewhere / "run")
    (kernel,) = result.kernels
    assert kernel.status is Status.COMPLETED, kernel.status_reason
    assert Outcome.PASSED in {test.outcome for test in kernel.tests}
    assert result.host.accel == "tcg"
    assert "/dev/kvm" in result.host.accel_reason
    assert (elsewhere / "run").stat().st_uid != 0
