"""Revisions built once, by whoever asks first, and ended with who asked for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import BuildError, InfrastructureError, InputError, Interrupted
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.model import BootableKernel
from harness.processes import interruptible
from tests.unit.kernels.source.small_tree import BUILDS, write_source
from tests.unit.kernels.source.test_git import git

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder, Recorder

FRAGMENT = "CONFIG_NET=y\nCONFIG_EXT4_FS=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=y\n"
RELEASE = "7.3.0-afalg"


class Tree:
    """A git tree whose builds are counted."""

    def __init__(self, place: Path, image: bytes) -> None:
        self.path = place / "linux"
        self.cache = place / "cache"
        self.builds = place / "builds"
        self.fragment = place / "mine"
        self.fragment.write_text(FRAGMENT)
        write_source(self.path)
        for name in ("Kbuild", "arch/x86/Kconfig"):
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text("")
        (self.path / "image").write_bytes(image)
        git(self.path, "init", "-q", "-b", "main")
        self.commit("first")

    def commit(self, message: str, recipe: str = BUILDS) -> str:
        """Commit another way to build."""
        (self.path / "recipe").write_text(f"echo $$ >> {self.builds}\n{recipe}")
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "--allow-empty", "-m", message)
        return git(self.path, "rev-parse", "HEAD")

    @property
    def built(self) -> int:
        """How often anything was built."""
        return len(self.builds.read_text().split()) if self.builds.exists() else 0

    def sources(self) -> KernelSources:
        """Where its kernels come from."""
        return KernelSources(self.cache, kconfigs=(str(self.fragment),))

    def resolve(self, progress: Recorder, revision: str = "HEAD") -> BootableKernel:
        """A revision of it, built if need be."""
        return resolve(f"git:{self.path}@{revision}", self.sources(), progress)

    def command(self) -> list[str]:
        """The command that builds HEAD."""
        argv = [sys.executable, "-m", "harness", "kernels", "build", f"git:{self.path}@HEAD"]
        return [*argv, "--cache", str(self.cache), "--kconfig", str(self.fragment)]


@pytest.fixture
def tree(tmp_path: Path, build: Builder) -> Tree:
    """A tree whose HEAD builds."""
    return Tree(tmp_path, build.bzimage(RELEASE))


def test_built_and_kept(tree: Tree, progress: Recorder) -> None:
    head = git(tree.path, "rev-parse", "HEAD")
    kernel = tree.resolve(progress)
    assert kernel.release == RELEASE
    assert kernel.image.read_bytes() == (tree.path / "image").read_bytes()
    assert kernel.config is not None
    assert "CONFIG_NET=y" in kernel.config.read_text()
    assert kernel.modules_image is None
    assert kernel.notes[0] == f"commit {head[:12]}, 'first'"
    assert kernel.notes[1].startswith("built by gcc ")
    assert str(tree.fragment) in kernel.notes[1]
    assert tree.resolve(progress) == kernel
    assert tree.built == 1


def test_same_source_is_built_once(tree: Tree, progress: Recorder) -> None:
    first = tree.resolve(progress)
    tree.commit("Another message, the same files")
    again = tree.resolve(progress)
    assert again.image == first.image
    assert "Another message" in again.notes[0]
    assert tree.built == 1
    tree.commit("Other files", f"# changed\n{BUILDS}")
    assert tree.resolve(progress).image != first.image
    assert tree.built == 2
    assert tree.resolve(progress, "HEAD~2").image == first.image
    assert tree.built == 2


def test_other_options_are_another_kernel(tree: Tree, progress: Recorder) -> None:
    first = tree.resolve(progress)
    tree.fragment.write_text(f"# only explained\n{FRAGMENT}")
    assert tree.resolve(progress).image == first.image
    tree.fragment.write_text(f"{FRAGMENT}# CONFIG_CIPHER is not set\n")
    assert tree.resolve(progress).image != first.image
    assert tree.built == 2


def test_uncommitted_changes_are_noted(tree: Tree, progress: Recorder) -> None:
    (tree.path / "Makefile").write_text("spoilt")
    note = f"{tree.path} has uncommitted changes, which are not in this kernel"
    assert tree.resolve(progress).notes[-1] == note
    assert note not in tree.resolve(progress, "main").notes


def test_what_cannot_be_built(tree: Tree, progress: Recorder) -> None:
    bad = tree.commit("bad", "echo 'crypto/a.c:3:1: error: no such thing' >&2; exit 1")
    with pytest.raises(BuildError) as error:
        tree.resolve(progress)
    message = str(error.value)
    start = (
        f"git:{tree.path}@HEAD ({bad[:12]}): does not build: crypto/a.c:3:1: error: no such thing"
    )
    assert message.startswith(f"{start} (log: {tree.cache}/builds/")
    log = Path(message.rpartition("(log: ")[2].rstrip(")"))
    assert "crypto/a.c:3:1: error" in log.read_text()
    assert [path.name for path in (tree.cache / "kernels").iterdir()] == []
    assert tree.resolve(progress, "HEAD~1").release == RELEASE


def test_full_disk(tree: Tree, progress: Recorder) -> None:
    tree.commit("full", "echo 'ld: vmlinux: No space left on device' >&2; exit 1")
    with pytest.raises(InfrastructureError, match=r"lack of resources.*No space") as error:
        tree.resolve(progress)
    assert not isinstance(error.value, BuildError), "that says nothing of the revision"


def test_bad_inputs(tree: Tree, progress: Recorder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kconfig fragment 'nome'"):
        resolve(f"git:{tree.path}", KernelSources(tree.cache, kconfigs=("nome",)), progress)
    with pytest.raises(InputError, match=r"@nowhere: the tree has no such commit"):
        tree.resolve(progress, "nowhere")
    odd = KernelSources(tmp_path / "a cache", kconfigs=(str(tree.fragment),))
    with pytest.raises(InputError, match="a cache: no kernel can be built below a path with white"):
        resolve(f"git:{tree.path}", odd, progress)
    git(tree.path, "rm", "-q", "Kbuild")
    tree.commit("no kernel")
    with pytest.raises(InputError, match="holds no kernel source for x86"):
        tree.resolve(progress)


def test_two_processes_build_once(tree: Tree) -> None:
    tree.commit("slow", f"sleep 1\n{BUILDS}")
    both = [subprocess.Popen(tree.command(), stdout=subprocess.PIPE, text=True) for _ in "ab"]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert RELEASE in said[0]
    assert tree.built == 1


HANGS = (
    "echo '  CC      half.o'\necho half > $1/half.o\nsleep 300 &\necho $! >> {builds}\nsleep 300\n"
)


@pytest.fixture
def hanging(tree: Tree) -> Iterator[tuple[subprocess.Popen[str], Tree]]:
    """``kernels build`` at a build that never ends, and its tree."""
    tree.commit("hangs", HANGS.format(builds=tree.builds))
    process = subprocess.Popen(
        tree.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _until(lambda: tree.built == 2)
    yield process, tree
    process.kill()
    process.communicate()


def _until(met: object, patience: float = 20.0) -> None:
    assert callable(met)
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pids: str) -> list[str]:
    """Those that run, zombies left out."""
    alive = []
    for pid in pids.split():
        try:
            state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            alive.append(pid)
    return alive


def _descendants(pid: int) -> str:
    """All processes below ``pid``."""
    found = []
    for task in Path("/proc", str(pid), "task").glob("*/children"):
        for child in task.read_text().split():
            found += [child, *_descendants(int(child)).split()]
    return " ".join(found)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(hanging: tuple[subprocess.Popen[str], Tree], number: signal.Signals) -> None:
    process, tree = hanging
    below = _descendants(process.pid)
    assert len(_alive(below)) >= 5  # vng, its make, that one's shell, and two sleeping
    started = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=10)
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    assert said.splitlines()[-1] == "afalg-harness: interrupted"
    assert "Traceback" not in said
    assert _alive(below) == []
    assert [path.name for path in (tree.cache / "kernels").iterdir()] == []


def test_killed(hanging: tuple[subprocess.Popen[str], Tree], progress: Recorder) -> None:
    process, tree = hanging
    below = _descendants(process.pid)
    assert len(_alive(below)) >= 5
    process.kill()
    _until(lambda: _alive(below) == [], patience=10.0)
    (half,) = (tree.cache / "builds").rglob("half.o")
    assert (half.parent / "afalg-building").exists()
    tree.commit("ends", f"test ! -e $1/half.o || exit 1\n{BUILDS}")
    assert tree.resolve(progress).release == RELEASE
    assert not half.exists()


def test_interrupted_from_another_thread(tree: Tree, progress: Recorder) -> None:
    tree.commit("hangs", HANGS.format(builds=tree.builds))
    stop = threading.Event()

    def interrupt() -> None:
        _until(lambda: tree.built == 2)
        stop.set()

    threading.Thread(target=interrupt).start()
    with interruptible(stop), pytest.raises(Interrupted):
        tree.resolve(progress)
    assert _alive(tree.builds.read_text()) == []


def test_checkout_of_a_cache_without_write_permission(tree: Tree, progress: Recorder) -> None:
    if os.geteuid() == 0:
        tree.cache.write_text("no directory")
    else:
        tree.cache.mkdir(mode=0o500)
    with pytest.raises(InfrastructureError, match=f"the cache {tree.cache} cannot be used"):
        tree.resolve(progress)
