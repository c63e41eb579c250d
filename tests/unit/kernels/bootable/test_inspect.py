"""What is told of a kernel, by what lies in the cache."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HostError
from harness.kernels.bootable.inspect import KernelInfo, inspect
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.processes import find_program

if TYPE_CHECKING:
    from tests.unit.kernels.conftest import Builder, Recorder

SIGNATURE = b"~Module signature appended~\n"
CONFIG = """\
CONFIG_CC_VERSION_TEXT="gcc (Debian 14.2.0-19) 14.2.0"
CONFIG_CRYPTO_USER_API=m
CONFIG_CRYPTO_USER_API_HASH=m
CONFIG_CRYPTO_USER_API_SKCIPHER=y
# CONFIG_CRYPTO_USER_API_RNG is not set
# CONFIG_CRYPTO_DRBG is not set
CONFIG_CRYPTO_AUTHENC=m
CONFIG_SND=m
"""


@pytest.fixture(autouse=True)
def programs() -> None:
    """Skip where the programs that prepare kernels are missing."""
    try:
        for name in ("depmod", "modprobe", "mkfs.ext4"):
            find_program(name)
    except HostError as error:
        pytest.skip(str(error))


def _inspect(tree: Path, cache: Path, progress: Recorder) -> KernelInfo:
    return inspect(resolve(str(tree), KernelSources(cache), progress), "made from this")


def test_tree(tmp_path: Path, build: Builder, progress: Recorder) -> None:
    tree = build.tree(tmp_path / "tree")
    (tree / "boot" / f"config-{build.release}").write_text(CONFIG)
    crypto = tree / f"lib/modules/{build.release}/kernel/crypto"
    (crypto / "algif_hash.ko.xz").write_bytes(
        lzma.compress(build.module(depends="af_alg") + SIGNATURE)
    )
    (tree / f"lib/modules/{build.release}/modules.builtin").write_text(
        "kernel/crypto/algif_aead.ko\n"
    )
    info = _inspect(tree, tmp_path / "cache", progress)
    assert info.release == build.release
    assert info.compiler == "gcc (Debian 14.2.0-19) 14.2.0"
    assert info.build_id == ""
    assert "packed in no known way" in info.problem
    assert info.interfaces == {
        "af_alg": "module",
        "algif_hash": "module",
        "algif_skcipher": "built in",  # says the config
        "algif_aead": "built in",  # says modules.builtin
        "algif_rng": "absent",
    }
    assert info.config == {
        "CONFIG_CRYPTO_USER_API": "m",
        "CONFIG_CRYPTO_USER_API_HASH": "m",
        "CONFIG_CRYPTO_USER_API_SKCIPHER": "y",
        "CONFIG_CRYPTO_USER_API_RNG": "n",
        "CONFIG_CRYPTO_DRBG": "n",
        "CONFIG_CRYPTO_AUTHENC": "m",
    }
    assert info.modules == 5, "e1000 is for no guest"
    assert info.signatures is not None
    assert (info.signatures.signed, info.signatures.unsigned) == (1, 4)
    assert info.origin == "made from this"


def test_without_a_config(tmp_path: Path, build: Builder, progress: Recorder) -> None:
    tree = build.tree(tmp_path / "tree")
    (tree / "boot" / f"config-{build.release}").unlink()
    (tree / f"lib/modules/{build.release}/modules.builtin").unlink()
    info = _inspect(tree, tmp_path / "cache", progress)
    assert info.config is None
    assert info.compiler == ""
    assert info.interfaces["af_alg"] == "module"
    assert info.interfaces["algif_rng"] == "unknown"
