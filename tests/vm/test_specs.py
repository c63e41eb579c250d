"""Kernels named by path: an unpacked package tree, an image in it, and packages made of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.model import Outcome, Status

from .conftest import Finished, bootable, execute

_RELEASE = "6.12.96+deb13-amd64"
_CONTROL = """\
Package: linux-image-{release}
Version: 1
Architecture: amd64
Maintainer: nobody <nobody@localhost>
Description: a kernel
"""


def _package_tree(top: Path) -> Path:
    """A tree as Debian's package of the kernel unpacks to."""
    kernel = bootable(f"debian:{_RELEASE}")
    assert kernel.modules_tree is not None
    assert kernel.config is not None
    tree = top / "unpacked tree"
    (tree / "boot").mkdir(parents=True)
    shutil.copyfile(kernel.image, tree / f"boot/vmlinuz-{_RELEASE}")
    shutil.copyfile(kernel.config, tree / f"boot/config-{_RELEASE}")
    shutil.copytree(kernel.modules_tree, tree / f"lib/modules/{_RELEASE}")
    return tree


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run of all three."""
    top = tmp_path_factory.mktemp("specs")
    tree = _package_tree(top)
    package = top / "linux-image-test_amd64.deb"
    shutil.copytree(tree, top / "package")
    (top / "package/DEBIAN").mkdir()
    (top / "package/DEBIAN/control").write_text(_CONTROL.format(release=_RELEASE))
    subprocess.run(
        ["dpkg-deb", "--build", "-Zzstd", "-z1", top / "package", package],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    specs = [str(tree), str(tree / f"boot/vmlinuz-{_RELEASE}"), str(package)]
    return execute(top / "run", *specs, "--suite", "zero_copy/test_input.py", "--jobs", "2")


@pytest.mark.parametrize("number", [0, 1, 2], ids=["tree", "image", "package"])
def test_it_runs(finished: Finished, number: int) -> None:
    kernel = finished.result.kernels[number]
    assert kernel.status is Status.COMPLETED, kernel.status_reason
    assert kernel.identity is not None
    assert kernel.identity.release == _RELEASE
    assert {test.outcome for test in kernel.tests} == {Outcome.PASSED}
    assert kernel.config["CONFIG_CRYPTO_USER_API_SKCIPHER"] == "m"


def test_a_package_of_the_users_own_is_not_called_signed(finished: Finished) -> None:
    (package,) = finished.result.kernels[2].packages
    assert package.trust == "local"


def test_each_has_files_of_its_own(finished: Finished) -> None:
    assert finished.code == 0, finished.stdout
    assert len({kernel.directory for kernel in finished.result.kernels}) == 3
    for kernel in finished.result.kernels:
        assert (finished.out / kernel.directory / "console.log").stat().st_size > 0
