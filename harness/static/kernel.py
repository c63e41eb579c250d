"""Finds the parts of AF_ALG in a kernel, and the operations of their request sockets."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.errors import HarnessError
from harness.kernels.image.bzimage import unpack_kernel
from harness.kernels.parts.kernel_parts import module_path, read_module
from harness.static.callgraph import Operation
from harness.static.code import Code, Function, Unreadable
from harness.static.image import ImageCode, Vmlinux
from harness.static.kallsyms import read_system_map
from harness.static.module import ModuleCode

#: Tables of operations (``struct proto_ops``) of request sockets.
_TABLES = re.compile(r"algif_\w+_ops\w*")
#: What an operation that is not offered is set to.
_REFUSES = re.compile(r"sock_no_\w+")
#: Interfaces that share af_alg_sendpage() in kernels that have it (up to 6.4).
_SHARING = ("skcipher", "aead")


@dataclass(frozen=True)
class Operations:
    """The operations of one direction that an interface offers."""

    offered: tuple[Operation, ...]
    codes: tuple[Code, ...]  # what they can call of AF_ALG


class KernelCode:
    """The code of one kernel; each part is read once, when it is first needed."""

    def __init__(self, modules: Path | None, image: Path, system_map: Path | None) -> None:
        """As witness.ask() takes them."""
        self._image_file = image
        self._system_map = system_map
        files = sorted(modules.rglob("*alg*.ko*")) if modules is not None else []
        self._files = {
            Path(name).stem: file for file in files if (name := module_path(file.name)) is not None
        }
        self._modules: dict[str, ModuleCode] = {}

    def operations(self, kind: str, names: re.Pattern[str]) -> Operations:
        """The operations of ``algif_<kind>`` whose functions have one of ``names``.

        None are offered where the kernel sets what refuses. Raises Unreadable.
        """
        module = self._module(f"algif_{kind}")
        common = self._module("af_alg") or self._image
        if module is not None:
            codes = (module, common)
            return Operations(_of_tables(module, names, codes), codes)
        return Operations(_by_name(self._image, kind, names), (self._image,))

    def _module(self, name: str) -> ModuleCode | None:
        """The module ``name``; None if it is not one. Raises Unreadable."""
        if name not in self._files:
            return None
        if name not in self._modules:
            try:
                content = read_module(self._files[name])
            except HarnessError as error:
                raise Unreadable(str(error)) from error
            self._modules[name] = ModuleCode(name, content)
        return self._modules[name]

    @property
    def _image(self) -> ImageCode:
        """What is built in. Raises Unreadable, of which the reason is kept as well."""
        if isinstance(self._image_read, str):
            raise Unreadable(self._image_read)
        return self._image_read

    @cached_property
    def _image_read(self) -> ImageCode | str:
        try:
            content = self._image_file.read_bytes()
            if not content.startswith(b"\x7fELF"):
                content = unpack_kernel(content)
            vmlinux = Vmlinux(content)
            if self._system_map is None:
                return ImageCode(vmlinux, vmlinux.symbols())
            text = self._system_map.read_text(errors="replace")
            return ImageCode(vmlinux, read_system_map(text))
        except (struct.error, IndexError):
            return f"{self._image_file} is no bzImage"
        except (Unreadable, HarnessError, OSError) as error:
            return str(error)


def _by_name(image: ImageCode, kind: str, names: re.Pattern[str]) -> tuple[Operation, ...]:
    """The operations in an image, where no symbol need tell where the tables are."""
    shared = "|af_alg_sendpage" if kind in _SHARING else ""
    functions = image.matching(re.compile(rf"{kind}_\w+{shared}"))
    if not any(function.name == f"{kind}_recvmsg" for function in functions):
        raise Unreadable(f"neither a module algif_{kind} nor {kind}_recvmsg() in the kernel")
    fitting = (function for function in functions if names.fullmatch(function.name))
    return tuple(Operation(image, function) for function in fitting)


def _of_tables(
    module: ModuleCode, names: re.Pattern[str], codes: tuple[Code, ...]
) -> tuple[Operation, ...]:
    """What the tables of ``module`` are set to for one direction, each once."""
    found: dict[Operation, None] = {}
    refused = False
    for entry in module.tables(_TABLES):
        name = entry if isinstance(entry, str) else entry.name
        if not names.fullmatch(name):
            continue
        if _REFUSES.fullmatch(name):
            refused = True
        else:
            found[_resolve(entry, module, codes)] = None
    if not found and not refused:
        raise Unreadable(f"no table of operations in {module.name}.ko (has it lost its symbols?)")
    return tuple(found)


def _resolve(entry: Function | str, module: ModuleCode, codes: tuple[Code, ...]) -> Operation:
    if isinstance(entry, Function):
        return Operation(module, entry)
    for code in codes:
        function = code.exported(entry)
        if function is not None:
            return Operation(code, function)
    raise Unreadable(f"{entry}(), an operation of {module.name}.ko, is not in the code of AF_ALG")
