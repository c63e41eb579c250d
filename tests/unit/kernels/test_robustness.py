"""Real processes that prepare a kernel at once, are killed in the middle, or fill the disk.

The kernel is a tiny tree; the programs that prepare it are the real ones, behind wrappers
that can hold one of them up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError
from harness.kernels.cache.contents import Kind, entries
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.processes import find_program
from harness.progress import SilentProgress

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder

COMMAND = Path(sys.executable).parent / "afalg-harness"
PATIENCE = 60  # seconds that a step may take on a busy machine
POINTS = ("depmod", "modprobe", "mkfs.ext4")
_WRAPPER = """\
#!/bin/sh
echo {name} >> {place}/calls
if [ -e {place}/hold-{name} ]; then
    echo $$ > {place}/held
    while [ -e {place}/hold-{name} ]; do sleep 0.05; done
fi
exec {program} "$@"
"""


def _until(condition: Callable[[], bool]) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def _until_it_waits(process: subprocess.Popen[str]) -> None:
    """Return once it has said that it waits for another process."""
    assert process.stderr is not None
    in_time = threading.Timer(PATIENCE, process.kill)
    in_time.start()
    said = any("waiting for another" in line for line in iter(process.stderr.readline, ""))
    in_time.cancel()
    assert said


@dataclass(frozen=True)
class Place:
    """A cache, a kernel tree to fetch into it, and wrapped programs."""

    cache: Path
    tree: Path
    programs: Path

    def start(self, *arguments: str | Path, cache: Path | None = None) -> subprocess.Popen[str]:
        """Start ``afalg-harness kernels ARGUMENTS``."""
        path = f"{self.programs}:{os.environ['PATH']}"
        return subprocess.Popen(
            [COMMAND, "kernels", *arguments, "--cache", cache or self.cache],
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path, cache: Path | None = None) -> tuple[int, str, str]:
        """Run it to its end: exit code, stdout, stderr."""
        process = self.start(*arguments, cache=cache)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        return process.returncode, stdout, stderr

    def hold_at(self, point: str) -> subprocess.Popen[str]:
        """A fetch that is held up in the program ``point``."""
        (self.programs / f"hold-{point}").touch()
        process = self.start("fetch", self.tree)
        held = self.programs / "held"
        # It is there before the shell has written to it.
        assert _until(lambda: held.exists() and held.read_text().endswith("\n"))
        return process

    def let_go(self, point: str) -> None:
        """Let it go on."""
        (self.programs / f"hold-{point}").unlink()
        (self.programs / "held").unlink()

    def calls(self) -> list[str]:
        """The programs that were called."""
        return (self.programs / "calls").read_text().split()

    def cached(self) -> list[Kind]:
        """What kinds of things the cache holds."""
        return [entry.kind for entry in entries(self.cache)]

    def whole(self) -> None:
        """Fetch once more, and see that all is as it should be."""
        kernel = resolve(str(self.tree), KernelSources(self.cache), SilentProgress())
        image = kernel.image
        assert image.read_bytes() == (self.tree / "boot" / image.name).read_bytes()
        assert kernel.modules_image is not None
        check = [find_program("e2fsck"), "-fn", str(kernel.modules_image)]
        subprocess.run(check, check=True, capture_output=True)
        assert self.cached() == [Kind.KERNEL]


@pytest.fixture
def place(tmp_path: Path, build: Builder) -> Iterator[Place]:
    """An empty cache and a kernel."""
    programs = tmp_path / "programs"
    programs.mkdir()
    try:
        for name in POINTS:
            wrapper = programs / name
            program = find_program(name)
            wrapper.write_text(_WRAPPER.format(name=name, place=programs, program=program))
            wrapper.chmod(0o755)
    except HostError as error:
        pytest.skip(str(error))
    yield Place(tmp_path / "cache", build.tree(tmp_path / "tree"), programs)
    for hold in programs.glob("hold-*"):
        hold.unlink()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "point"),
    [
        *((signal.SIGKILL, point) for point in POINTS),
        (signal.SIGINT, "mkfs.ext4"),
        (signal.SIGTERM, "depmod"),
    ],
)
def test_ended_in_the_middle(place: Place, number: signal.Signals, point: str) -> None:
    process = place.hold_at(point)
    helper = int((place.programs / "held").read_text())
    started = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - started < 5
    assert _until(lambda: not _alive(helper)), "what it had started is gone, too"
    if number is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert place.cached() == [Kind.UNFINISHED]
    else:
        assert process.returncode == 130
        assert stderr.splitlines()[-1] == "afalg-harness: interrupted"
        assert place.cached() == []
    place.let_go(point)
    place.whole()


def test_leftovers_of_a_killed_one_are_pruned(place: Place) -> None:
    process = place.hold_at("mkfs.ext4")
    process.kill()
    process.communicate()
    assert place.cached() == [Kind.UNFINISHED]
    code, stdout, stderr = place.run("cache", "prune")
    assert (code, stderr) == (0, "")
    assert "deleted unfinished" in stdout
    assert place.cached() == []
    place.let_go("mkfs.ext4")
    place.whole()


def test_two_at_once_prepare_once(place: Place) -> None:
    first = place.hold_at("mkfs.ext4")
    second = place.start("fetch", place.tree)
    _until_it_waits(second)
    place.let_go("mkfs.ext4")
    outputs = [process.communicate(timeout=PATIENCE)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert outputs[0] == outputs[1]
    assert place.calls().count("mkfs.ext4") == 1
    place.whole()


def test_second_goes_on_where_the_first_is_killed(place: Place) -> None:
    first = place.hold_at("mkfs.ext4")
    second = place.start("fetch", place.tree)
    _until_it_waits(second)
    first.kill()
    first.communicate()
    place.let_go("mkfs.ext4")
    second.communicate(timeout=PATIENCE)
    assert second.returncode == 0
    assert place.calls().count("mkfs.ext4") == 2
    place.whole()


def test_waiting_for_another_can_be_interrupted(place: Place) -> None:
    first = place.hold_at("mkfs.ext4")
    second = place.start("fetch", place.tree)
    _until_it_waits(second)
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=5)
    assert second.returncode == 130
    place.let_go("mkfs.ext4")
    first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
    place.whole()


def test_pruning_takes_nothing_from_one_that_prepares(place: Place) -> None:
    process = place.hold_at("mkfs.ext4")
    code, stdout, _ = place.run("cache", "prune", "--all")
    assert code == 0
    assert "in use: unfinished" in stdout
    assert "deleted" not in stdout
    place.let_go("mkfs.ext4")
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    place.whole()


_USER = """
import sys
from pathlib import Path
from harness.kernels.sources import KernelSources
from harness.kernels.resolve import resolve
from harness.progress import SilentProgress
resolve(sys.argv[1], KernelSources(Path(sys.argv[2])), SilentProgress())
print("ready", flush=True)
sys.stdin.read()
"""


def test_pruning_takes_nothing_from_one_that_uses(place: Place, build: Builder) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _USER, place.tree, place.cache],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "ready\n"
        code, stdout, _ = place.run("cache", "prune", "--all")
        assert (code, "in use: kernel" in stdout) == (0, True)
        code, _, stderr = place.run("cache", "prune", build.release)
        assert code == 3
        assert f"a process still uses {build.release}" in stderr
        assert place.cached() == [Kind.KERNEL]
        user.kill()
    assert place.run("cache", "prune", build.release)[0] == 0
    assert place.cached() == []
    place.whole()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if subprocess.run(argv, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root mount a file system")
    yield mount
    # Lazily: this very process has used the cache in it.
    subprocess.run(["umount", "--lazy", mount], check=True)


@pytest.mark.parametrize(
    ("image", "module"),
    [(2_000_000, 0), (500_000, 1_000_000), (100_000, 520_000), (100_000, 450_000)],
    ids=["image", "modules", "file system", "end of file system"],
)
def test_full_disk(place: Place, build: Builder, small_disk: Path, image: int, module: int) -> None:
    """Wherever it runs full it is said in one line, and the cache serves again after."""
    content = build.bzimage(payload=image // 16 * 16)
    (place.tree / "boot" / f"vmlinuz-{build.release}").write_bytes(content)
    tree = place.tree / f"lib/modules/{build.release}/kernel/crypto"
    (tree / "large.ko").write_bytes(build.module() + os.urandom(module))
    cache = small_disk / "cache"
    code, _, stderr = place.run("fetch", "-q", place.tree, cache=cache)
    assert code == 3
    (line,) = stderr.splitlines()
    assert line == (
        f"afalg-harness: no space left in the cache {cache};"
        " free some, or choose another with --cache"
    )
    assert list((cache / "kernels").iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    Place(cache, place.tree, place.programs).whole()
