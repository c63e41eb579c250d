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


def test_a_cache_of_which_part_is_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run by root leaves it."""
    (tmp_path / "kernels").mkdir()
    assert _check("cache", tmp_path).ok
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "kernels")
    check = _check("cache", tmp_path)
    assert not check.ok
    assert check.found == f"{tmp_path}/kernels cannot be written to"
    assert check.remedy.startswith("chown -R ")


@pytest.mark.parametrize(
    ("subuid", "subgid", "found"),
    [
        ("me:100000:65536", "me:100000:65536", "me has a range of both"),
        ("me:100000:65536", "metoo:100000:65536", "me has none in {}/subgid"),
        (None, "", "me has none in {0}/subuid and {0}/subgid"),
    ],
)
def test_subordinate_ids(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    subuid: str | None,
    subgid: str,
    found: str,
) -> None:
    ranges = (tmp_path / "subuid", tmp_path / "subgid")
    for path, text in zip(ranges, (subuid, subgid), strict=True):
        if text is not None:
            path.write_text(f"root:1:1\n{text}\n")
    monkeypatch.setattr(host, "_RANGES", ranges)
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (check,) = (each for each in host._user_namespaces() if each.name == "subordinate ids")
    assert check.found == found.format(tmp_path)
    assert check.ok == (found == "me has a range of both")


def test_a_mirror_that_nobody_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where apt is there and Debian is not."""
    monkeypatch.delenv("AFALG_MIRROR", raising=False)

    def none() -> None:
        raise HostError("apt on this machine has no mirror of Debian")

    monkeypatch.setattr("harness.mirror.find_machine_mirror", none)
    check = _check("mirror", tmp_path)
    assert (check.ok, check.found) == (False, "apt on this machine has no mirror of Debian")
    monkeypatch.setenv("AFALG_MIRROR", "nonsense")
    assert "is not the URL of a mirror" in _check("mirror", tmp_path).found
