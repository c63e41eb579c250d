"""Finds out what a prepared kernel is: version, build id, config, modules, signatures."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HostError, InfrastructureError
from harness.kernels.image.config import crypto_config, read_config
from harness.kernels.image.vmlinux import read_vmlinux
from harness.model import BootableKernel, PackageFile
from harness.processes import run

#: What AF_ALG consists of, with the option that builds each.
INTERFACES = {
    "af_alg": "CONFIG_CRYPTO_USER_API",
    "algif_hash": "CONFIG_CRYPTO_USER_API_HASH",
    "algif_skcipher": "CONFIG_CRYPTO_USER_API_SKCIPHER",
    "algif_aead": "CONFIG_CRYPTO_USER_API_AEAD",
    "algif_rng": "CONFIG_CRYPTO_USER_API_RNG",
}
#: Options that decide what AF_ALG offers, and how much a failure in it would show.
_OPTIONS = re.compile(
    r"CONFIG_(?:CRYPTO_USER_API\w*|CRYPTO_USER|CRYPTO_AUTHENC(?:ESN)?|CRYPTO_(?:PCRYPT|CRYPTD)"
    r"|CRYPTO_RNG|CRYPTO_DRBG\w*|CRYPTO_JITTERENTROPY|CRYPTO_FIPS\w*"
    r"|CRYPTO_(?:MANAGER_DISABLE_TESTS|SELFTESTS\w*)|KEYS|KASAN|PROVE_LOCKING)"
)
#: What the kernel's build appends to a signed module (include/linux/module_signature.h).
_SIGNED = b"~Module signature appended~\n"


@dataclass(frozen=True)
class Signatures:
    """How the modules are signed."""

    signed: int  # how many of them
    unsigned: int
    signers: tuple[str, ...] = ()  # names in the signatures, commonest first
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KernelInfo:
    """What ``kernels show`` tells of a kernel; "" and None where it could not be found out."""

    spec: str
    release: str
    banner: str
    build_id: str
    compiler: str
    problem: str  # why one of these is missing
    interfaces: dict[str, str]  # "module", "built in", "absent" or "unknown"
    config: dict[str, str] | None  # the options about AF_ALG; None without a config
    modules: int  # those kept for a guest
    signatures: Signatures | None  # None without modules
    packages: tuple[PackageFile, ...] = ()
    origin: str = ""
    notes: tuple[str, ...] = ()
    image: str = ""


def inspect(kernel: BootableKernel, origin: str) -> KernelInfo:
    """What ``kernel`` is. ``origin`` is the spec from which it was prepared, "" if unknown.

    Raises HostError if kmod is missing.
    """
    said = read_vmlinux(kernel.image)
    modules = sorted(kernel.modules_tree.rglob("*.ko")) if kernel.modules_tree else []
    config = crypto_config(kernel.config, _OPTIONS) if kernel.config else None
    return KernelInfo(
        spec=kernel.spec,
        release=kernel.release,
        banner=said.banner,
        build_id=said.build_id,
        compiler=said.compiler or _compiler(kernel.config),
        problem=said.problem,
        interfaces=_interfaces(kernel, {path.stem for path in modules}),
        config=config,
        modules=len(modules),
        signatures=_signatures(modules) if modules else None,
        packages=kernel.packages,
        origin=origin,
        notes=kernel.notes,
        image=str(kernel.image),
    )


def _compiler(config: Path | None) -> str:
    if config is None:
        return ""
    return read_config(config).get("CC_VERSION_TEXT", "").strip('"')


def _interfaces(kernel: BootableKernel, modules: set[str]) -> dict[str, str]:
    """Each part of AF_ALG, going by the modules, the list of what is built in, the config."""
    config = crypto_config(kernel.config) if kernel.config else {}
    listed = _built_in(kernel)
    found = {}
    for name, option in INTERFACES.items():
        if name in modules:
            found[name] = "module"
        elif name in listed or config.get(option) == "y":
            found[name] = "built in"
        elif config or listed:
            found[name] = "absent"
        else:
            found[name] = "unknown"
    return found


def _built_in(kernel: BootableKernel) -> set[str]:
    # Written by the preparation for every kernel, into the tree that the initramfs is given.
    path = kernel.image.parent.parent / "lib/modules" / kernel.release / "modules.builtin"
    if not path.is_file():
        return set()
    return {Path(line).stem.replace("-", "_") for line in path.read_text().split()}


def _signatures(modules: list[Path]) -> Signatures:
    signed = [path for path in modules if _is_signed(path)]
    signers = _modinfo("signer", signed)
    return Signatures(
        signed=len(signed),
        unsigned=len(modules) - len(signed),
        signers=tuple(name for name, _ in Counter(signers).most_common()),
        hashes=tuple(name for name, _ in Counter(_modinfo("sig_hashalgo", signed)).most_common()),
    )


def _is_signed(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_SIGNED)))
        return file.read() == _SIGNED


def _modinfo(field_name: str, modules: list[Path]) -> list[str]:
    """One field of every module that has it."""
    if not modules:
        return []
    try:
        output = run(["modinfo", "-F", field_name, *modules], doing="reading module signatures")
    except HostError:
        raise
    except InfrastructureError:
        return []  # a module that modinfo cannot read: then nobody knows who signed it
    return [line.strip() for line in output.splitlines() if line.strip()]
