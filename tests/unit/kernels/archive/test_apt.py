"""apt with a private state: its configuration, and what it says of failures."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness.errors import HostError, Interrupted
from harness.kernels.archive import apt
from harness.kernels.archive.apt import (
    PrivateApt,
    apt_configuration,
    failed_suites,
    sources_list,
)
from harness.mirror import Mirror
from harness.processes import group_members, interruptible

MIRROR = Mirror("http://mirror/debian", "http://secure/debian-security")


def test_sources_list() -> None:
    lines = sources_list(MIRROR).splitlines()
    assert lines[0] == (
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        " http://mirror/debian bookworm main"
    )
    bases = {line.split()[3]: line.split()[2] for line in lines}
    assert bases.pop("bookworm-security") == bases.pop("trixie-security") == MIRROR.security
    assert set(bases.values()) == {MIRROR.main}
    assert len(bases) == 7


def test_configuration_is_private() -> None:
    state = Path("/cache/apt/x")
    lines = apt_configuration(state, "jo", ['Acquire::http::Proxy "http://proxy/";']).splitlines()
    assert lines[2] == 'Acquire::http::Proxy "http://proxy/";'
    for expected in (
        'Dir::Etc::parts "/cache/apt/x/empty";',
        'Dir::Etc::main "/dev/null";',
        'Dir::State::lists "/cache/apt/x/lists";',
        'Dir::State::status "/cache/apt/x/status";',
        'Dir::Cache "/cache/apt/x/cache";',
        'APT::Sandbox::User "jo";',
        'Acquire::AllowInsecureRepositories "false";',
    ):
        assert expected in lines


def test_configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = tmp_path / "keyring.gpg"
    monkeypatch.setattr(apt, "KEYRING", keyring)
    monkeypatch.setattr(apt, "find_program", lambda name: name)
    monkeypatch.setattr(apt, "machine_acquire_settings", list)
    private = PrivateApt(tmp_path / "state")
    with pytest.raises(HostError, match="apt-get install debian-archive-keyring"):
        private.configure(MIRROR)
    keyring.touch()
    private.configure(MIRROR)
    configuration = tmp_path / "state/apt.conf"
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    assert (tmp_path / "state/status").read_text() == ""
    assert os.listdir(tmp_path / "state/empty") == []  # noqa: PTH208


def test_failed_suites() -> None:
    stderr = (
        "W: Failed to fetch http://m/debian/dists/trixie-backports/InRelease  Could not connect\n"
        "E: The repository 'http://m/debian forky Release' does not have a Release file.\n"
        "W: GPG error: http://m/debian sid InRelease: The following signatures were invalid\n"
        "E: Failed to fetch http://m/debian/dists/trixie/main/binary-amd64/Packages  404\n"
        "W: Some index files failed to download. They have been ignored.\n"
        "N: Repository 'bookworm Release' changed\n"
    )
    assert failed_suites(stderr) == {"trixie-backports", "forky", "sid", "trixie"}


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = "E: Error writing to file - write (28: No space left on device)"
    done: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], 100, "", stderr)
    monkeypatch.setattr(apt, "_run", lambda *_: done)
    with pytest.raises(OSError, match="No space left") as caught:
        PrivateApt(tmp_path).run(["apt-get", "update"])
    assert caught.value.errno == errno.ENOSPC


def test_indexes_that_would_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt-get update was seen to hang on a full disk."""
    monkeypatch.setattr(apt, "KEYRING", Path(__file__))
    monkeypatch.setattr(apt, "find_program", lambda name: name)
    monkeypatch.setattr(apt, "_SPACE", 1 << 60)
    with pytest.raises(OSError, match="No space left"):
        PrivateApt(tmp_path / "state").configure(MIRROR)


PROGRAM = """#!/bin/sh
printf 'dlstatus:1:25.0:Retrieving\\nnoise\\ndlstatus:1:100.0:Retrieving\\n' >/dev/fd/${3#*=}
echo "E: $4" >&2
exit 7
"""


def test_progress_of_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "apt-get"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    fractions: list[float] = []
    result = PrivateApt(tmp_path).run_with_progress(
        ["apt-get", "download"], tmp_path, fractions.append
    )
    assert fractions == [0.25, 1.0]
    assert (result.returncode, result.stderr) == (7, "E: download\n")


SLOW = """#!/bin/sh
sleep 300 &
echo $$ $! > "$PIDS"
wait
"""


@pytest.mark.parametrize("download", [True, False])
def test_interrupted_apt_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool
) -> None:
    program = tmp_path / "apt-get"
    program.write_text(SLOW)
    program.chmod(0o755)
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("PIDS", str(pids))
    stop = threading.Event()
    said: list[str] = []

    def stop_once_it_runs() -> None:
        said.append(pids.read_text())  # it is written once, when both processes are there
        stop.set()

    threading.Thread(target=stop_once_it_runs).start()
    started = time.monotonic()
    private = PrivateApt(tmp_path)
    with interruptible(stop), pytest.raises(Interrupted):
        if download:
            private.run_with_progress(["apt-get", "download"], tmp_path, lambda _: None)
        else:
            private.run(["apt-get", "update"])
    assert time.monotonic() - started < 5
    assert group_members(int(said[0].split()[0])) == []
