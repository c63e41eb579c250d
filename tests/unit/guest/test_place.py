"""The directory in which vng runs, and the script that makes it again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.guest.place import Place, place
from harness.guest.vng import Root
from harness.model import BootableKernel


@pytest.fixture
def kernel(tmp_path: Path) -> BootableKernel:
    """A kernel in a cache whose name no shell likes."""
    cache = tmp_path / "a cache; it's mine"
    for name in ("boot/boot", "boot/lib/modules/6.12", "full/lib/modules/6.12"):
        (cache / name).mkdir(parents=True)
    for name in ("boot/boot/vmlinuz-6.12", "modules.ext4", "payload"):
        (cache / name).write_text(name)
    return BootableKernel(
        "debian:x",
        "6.12",
        cache / "boot/boot/vmlinuz-6.12",
        cache / "modules.ext4",
        cache / "full/lib/modules/6.12",
        None,
    )


def _payload(kernel: BootableKernel) -> Path:
    return kernel.image.parents[2] / "payload"


def _tree(directory: Path) -> dict[str, str]:
    """Every file in a directory, links to directories not followed, with its content."""
    return {
        str(path.relative_to(directory)): path.read_text() if path.is_file() else "directory"
        for path in sorted(directory.rglob("*"))
    }


def _made(made: Place, directory: Path) -> dict[str, str]:
    directory.mkdir()
    made.make(directory)
    return _tree(directory)


def test_an_isolated_guest_has_disks(kernel: BootableKernel, tmp_path: Path) -> None:
    root = Root("disk", kernel.image, isolated=True)
    tree = _made(place(kernel, root, _payload(kernel)), tmp_path / "made")
    program = tree.pop("qemu")
    assert tree == {
        "kernel": "directory",
        "kernel/lib": "directory",
        "kernel/vmlinuz-6.12": "boot/boot/vmlinuz-6.12",
        "modules": "modules.ext4",
        "payload.tar": "payload",
        "root": "boot/boot/vmlinuz-6.12",
        "writable": "directory",
    }
    assert (tmp_path / "made/kernel/lib/modules/6.12").is_dir()
    assert " isolated /" in program


def test_a_root_that_the_host_exports_shares_directories(
    kernel: BootableKernel, tmp_path: Path
) -> None:
    made = place(kernel, Root("directory", Path("/")), _payload(kernel))
    tree = _made(made, tmp_path / "made")
    assert tree["share/payload.tar"] == "payload"
    assert not (tmp_path / "made/share/payload.tar").is_symlink()  # 9p shows links as links
    assert tree["modules"] == "directory"
    assert " shared /" in tree["qemu"]
    assert "root" not in tree


@pytest.mark.parametrize("kind", ["disk", "directory"])
def test_the_script_makes_the_same(kernel: BootableKernel, tmp_path: Path, kind: str) -> None:
    """It also runs the command there, which has quotes of its own, with vng's environment."""
    made = place(kernel, Root(kind, kernel.image), _payload(kernel))
    expected = _made(made, tmp_path / "made")
    copy = tmp_path / "copied"
    command = ["sh", "-c", 'cp -a . "$1"; echo "$TERM $HOME $TMPDIR"; pwd', "sh", str(copy)]
    script = made.again(command, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"})
    elsewhere = tmp_path / "temporary files"
    elsewhere.mkdir()
    done = subprocess.run(
        ["sh"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(elsewhere)},
    )
    assert done.returncode == 0, done.stderr
    assert _tree(copy) == expected
    records, said, where = done.stdout.splitlines()
    assert records == f"records: {where}/records"
    assert said == f"dumb {where} {where}"
    assert Path(where).parent == elsewhere
