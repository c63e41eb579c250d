"""What doctor says of a host: it has tried what it calls good, and names what mends the rest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import host
from harness.capacity import GUEST_BYTES
from harness.cli import main
from harness.errors import HostError
from harness.kernels.source import kbuild
from harness.kernels.source.kbuild import Compiler
from harness.processes import PACKAGES

SETUP = Path(__file__).parents[2] / "ci/setup.sh"


def test_builds_are_not_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Compiler:
        raise HostError("flex is not installed; apt-get install flex")

    monkeypatch.setattr(host, "find_compiler", missing)
    (check,) = [check for check in host.check_host(tmp_path) if check.name == "builds"]
    assert not check.ok
    assert not check.required
    assert "flex is not installed" in check.found
    monkeypatch.setattr(host, "find_compiler", lambda: Compiler("ccache gcc", "gcc 12"))
    (check,) = [check for check in host.check_host(tmp_path) if check.name == "builds"]
    assert check.ok
    assert check.found == "ccache gcc: gcc 12"


def test_setup_installs_what_builds_call() -> None:
    (section,) = re.findall(r"for_builds=\((.*?)\n\)", SETUP.read_text(), re.DOTALL)
    installed = {word for line in section.splitlines() for word in line.partition("#")[0].split()}
    programs = (*kbuild._PROGRAMS, "gcc", "git", "addr2line", "nm")
    assert {PACKAGES[program] for program in programs} <= installed
    assert set(kbuild._HEADERS.values()) <= installed


def _check(name: str, cache: Path) -> host.HostCheck:
    (check,) = [check for check in host.check_host(cache) if check.name == name]
    return check


def test_the_cache_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path / "file/cache"))
    assert main(["doctor"]) == 3
    assert f"cache: {tmp_path}/file/cache cannot be written to" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["cache", "temporary files"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(host, "scratch_place", lambda: tmp_path)
    assert _check(name, tmp_path / "cache").ok
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 << 20))
    check = _check(name, tmp_path / "cache")
    assert not check.ok and check.required
    assert "0.1 GiB free below" in check.found
    assert check.remedy


def test_a_disk_that_says_it_has_room_and_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: PTH123, SIM115
    check = _check("cache", tmp_path)
    assert not check.ok
    assert "No space left" in check.found


def test_a_directory_that_is_closed(tmp_path: Path) -> None:
    """Root may write anywhere, but for this."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    code = (
        "import sys; from pathlib import Path; from harness import host\n"
        "print(host._cache(Path(sys.argv[1])))"
    )
    humble = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    found = subprocess.run(
        [*(humble if os.geteuid() == 0 else []), sys.executable, "-c", code, closed / "cache"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "ok=False" in found
    assert "cannot be written to (Permission denied)" in found


@pytest.mark.parametrize(("guests", "fit"), [(0.9, False), (1, True), (3.5, True)])
def test_memory_for_a_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guests: float, fit: bool
) -> None:
    monkeypatch.setattr(host, "free_memory", lambda: int(guests * GUEST_BYTES))
    check = _check("memory", tmp_path)
    assert (check.ok, check.required) == (fit, True)
    assert f"enough for {int(guests)} guests" in check.found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be kept from mounting like this")
@pytest.mark.parametrize("name", ["mounts", "user namespaces"])
def test_a_host_that_lets_nobody_mount(name: str) -> None:
    """As in a container; asked as root and as another user."""
    code = "import os, sys; from harness import host\n"
    code += "print(host._mounts()); print(*host._user_namespaces())"
    argv = ["setpriv", "--bounding-set=-all", sys.executable, "-c", code]
    found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"name='{name}', ok=False, found='not allowed: .*unshare", found)


def test_qemu_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bin/qemu-system-x86_64"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho no library >&2; exit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    check = _check("qemu-system-x86_64", tmp_path)
    assert not check.ok
    assert "no library" in check.found
