"""The guest image: what it is built of, and that nothing of a build stays on the host."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import FetchError, InputError
from harness.guest import image, image_suite
from harness.guest.image_suite import SuiteRelease
from harness.guest.vng import MODULES_DEVICE
from harness.model import ImageContents
from harness.progress import SilentProgress
from harness.scratch import leftovers, sweep

#: Mounts and starts things as mmdebstrap does, then stands still.
_MMDEBSTRAP = """#!/bin/sh
mkdir -p "$TMPDIR/mmdebstrap.x/proc" && mount -t tmpfs none "$TMPDIR/mmdebstrap.x/proc" || exit 9
setsid sleep 987654 &
echo "$TMPDIR" > {ready}
sleep 987653
"""
_BUILD = """
import sys
from pathlib import Path
from harness import cli
from harness.commands.actions import doctor
from harness.guest import image, image_suite
from harness.progress import SilentProgress
def execute(arguments):
    image.release_of = lambda mirror, suite: image_suite.SuiteRelease(suite, 1)
    image.guest_image(
        Path(sys.argv[1]), "http://127.0.0.1:9/debian", SilentProgress(), suite="trixie"
    )
doctor.execute = execute
sys.exit(cli.main(["doctor"]))
"""
_MOUNTS = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"]


def _running(words: str) -> bool:
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words.encode() in cmdline.read_bytes().replace(b"\0", b" "):
                return True
        except OSError:
            continue
    return False


def _await(path: Path, process: subprocess.Popen[bytes]) -> str:
    """What is written to a pipe while the process lives."""
    text = b""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        while not text.endswith(b"\n"):
            assert process.poll() is None, "it ended by itself"
            select.select([pipe], [], [], 0.1)
            text += pipe.read() or b""
    return text.decode().strip()


@pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(_MOUNTS, check=False).returncode != 0,
    reason="only root mounts outside of a namespace, and may not here",
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_build_that_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    ready, program = tmp_path / "ready", tmp_path / "bin/mmdebstrap"
    os.mkfifo(ready)
    program.parent.mkdir()
    program.write_text(_MMDEBSTRAP.format(ready=ready))
    program.chmod(0o755)
    process = subprocess.Popen(
        # The tests may run under nohup, which has SIGHUP ignored.
        ["env", "--default-signal=HUP", sys.executable, "-c", _BUILD, tmp_path / "cache"],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
    )
    try:
        temporary = Path(_await(ready, process))
        process.send_signal(number)
        assert process.wait(60) == (-9 if number == signal.SIGKILL else 130)
    finally:
        process.kill()
        process.wait()
    for _ in range(100):  # after SIGKILL the kernel ends its children, one after the other
        if not _running("sleep 98765"):
            break
        signal.sigtimedwait([], 0.1)
    assert not _running("sleep 98765")
    assert str(temporary) not in Path("/proc/self/mountinfo").read_text()
    if number == signal.SIGKILL:
        # Another process of the tests may sweep as well, and be first.
        assert temporary in leftovers() or not temporary.exists()
        sweep()
    assert not temporary.exists()
    assert not [*(tmp_path / "cache").glob("images/*/build-*")] or number == signal.SIGKILL


def _status(tree: Path, python: str) -> Path:
    status = tree / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        f"Package: python3\nStatus: install ok installed\nVersion: {python}\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
        "Package: kmod\nStatus: install ok installed\nVersion: 34.2-2\nDescription: d\n more\n"
    )
    return tree


def test_packages_and_versions(tmp_path: Path) -> None:
    assert image._packages(_status(tmp_path, "3.13.5-1")) == ("kmod=34.2-2", "python3=3.13.5-1")


def test_a_suite_whose_python_is_too_old(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it has Python 3\.9\.2-3, and the suite takes 3\.11"):
        image._packages(_status(tmp_path, "3.9.2-3"))


@dataclass
class _Mirror:
    """Played: what it has, and what was built of it."""

    suites: dict[str, SuiteRelease]
    built: list[tuple[str, int]] = field(default_factory=list)

    def release_of(self, _mirror: str, suite: str) -> SuiteRelease:
        if suite not in self.suites:
            raise InputError(f"{suite}: no such suite")
        return self.suites[suite]

    def bootstrap(self, archive: Path, suite: str, _mirror: str, newest: int) -> None:
        self.built.append((suite, newest))
        with tempfile.TemporaryDirectory() as scratch:
            tree = _status(Path(scratch), "3.13.5-1")
            for name in ("usr/sbin/x", "etc/hostname", "etc/resolv.conf", "var/cache/y/z"):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).touch()
            with tarfile.open(archive, "w") as tar:
                tar.add(tree, ".")


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> _Mirror:
    played = _Mirror({name: SuiteRelease("trixie", 1_700_000_000) for name in ("stable", "trixie")})
    monkeypatch.setattr(image, "release_of", played.release_of)
    monkeypatch.setattr(image_suite, "release_of", played.release_of)
    monkeypatch.setattr(image, "_bootstrap", played.bootstrap)
    monkeypatch.setattr(image, "_SIZE", "16M")
    return played


_URL = "http://127.0.0.1:9/debian"


def test_an_image_says_what_is_in_it(mirror: _Mirror, tmp_path: Path) -> None:
    """And the same is built of the same, somewhere else at another time."""
    first, second = (
        image.guest_image(tmp_path / name, _URL, SilentProgress(), suite="stable")
        for name in ("one", "two")
    )
    assert first.read_bytes() == second.read_bytes()
    checksum = hashlib.sha256(first.read_bytes()).hexdigest()
    packages = ("kmod=34.2-2", "python3=3.13.5-1")
    assert image.image_contents(first) == ImageContents("trixie", checksum, packages)
    assert mirror.built == [("trixie", 1_700_000_000)] * 2
    listed = subprocess.run(
        ["debugfs", "-R", "ls /etc", first], capture_output=True, text=True, check=True
    ).stdout
    assert "hostname" not in listed and "resolv.conf" not in listed


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("-n -t 9p -o ro virtme.guesttools /run/tools", "mount --bind /usr/lib/{tools} /run/tools"),
        ("-n -t 9p -o ro virtme.modules /run/m", "mount -n -t ext4 -o ro {disk} /run/m"),
        ("-t tmpfs run /run", "mount -t tmpfs run /run"),
    ],
)
def test_what_the_guest_s_init_mounts(asked: str, told: str, tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_text('#!/bin/sh\necho "$@"\n')
    busybox.chmod(0o755)
    script = image._MOUNT.replace(image._BUSYBOX, str(busybox))
    said = subprocess.run(
        ["sh", "-c", script, "mount", *asked.split()], capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == told.format(tools="virtme-guest-tools", disk=MODULES_DEVICE)


def test_an_image_that_is_there_needs_no_mirror(mirror: _Mirror, tmp_path: Path) -> None:
    built = image.guest_image(tmp_path, _URL, SilentProgress(), suite="stable")
    mirror.suites.clear()
    for suite in ("stable", "trixie"):
        assert image.guest_image(tmp_path, _URL, SilentProgress(), suite=suite) == built
    assert len(mirror.built) == 1
    with pytest.raises(InputError, match="bookworm: no such suite"):
        image.guest_image(tmp_path, _URL, SilentProgress(), suite="bookworm")


def test_the_suite_that_nobody_names(mirror: _Mirror, tmp_path: Path) -> None:
    built = image.guest_image(tmp_path, _URL, SilentProgress())
    assert built.parent.name == image.image_key("trixie"), "the newest stable one"
    mirror.suites.clear()
    assert image.guest_image(tmp_path, _URL, SilentProgress()) == built


def test_a_mirror_that_never_answered(
    mirror: _Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was built from another one will do."""
    built = image.guest_image(tmp_path, _URL, SilentProgress())
    for record in tmp_path.glob("stable-*.json"):
        record.unlink()

    def is_down(_mirror: str, _suite: str) -> SuiteRelease:
        raise FetchError("no answer")

    monkeypatch.setattr(image_suite, "release_of", is_down)
    assert image.guest_image(tmp_path, _URL, SilentProgress()) == built
    with pytest.raises(FetchError, match="no answer"):
        image.guest_image(tmp_path / "empty", _URL, SilentProgress())


def test_suites_have_images_of_their_own(mirror: _Mirror, tmp_path: Path) -> None:
    mirror.suites["sid"] = SuiteRelease("sid", 1_700_000_001)
    stable, sid = (
        image.guest_image(tmp_path, _URL, SilentProgress(), suite=suite)
        for suite in ("stable", "sid")
    )
    assert stable.parent.name == image.image_key("trixie")
    assert sid.parent.name == image.image_key("sid")
    assert mirror.built == [("trixie", 1_700_000_000), ("sid", 1_700_000_001)]


def test_contents_that_are_none(tmp_path: Path) -> None:
    """Of another root, of an image of an earlier version, or damaged."""
    assert image.image_contents(tmp_path / "root.ext4") is None
    for text in ("", "[]", '{"suite": 1}'):
        (tmp_path / "contents.json").write_text(text)
        assert image.image_contents(tmp_path / "root.ext4") is None
