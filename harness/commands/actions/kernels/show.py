"""Shows what a kernel is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.commands.display import progress_display
from harness.commands.sources import kernel_sources
from harness.errors import ExitCode
from harness.kernels.bootable.inspect import KernelInfo, inspect
from harness.kernels.cache.contents import origin_of
from harness.kernels.image.config import crypto_config
from harness.kernels.resolve import resolve
from harness.model import CodeFinding
from harness.static.witness import ask


def execute(arguments: argparse.Namespace) -> int:
    """Show."""
    sources = kernel_sources(arguments)
    with progress_display(Console(stderr=True), arguments.quiet) as progress:
        kernel = resolve(arguments.spec, sources, progress)
        progress.report(arguments.spec, "reading")
        info = inspect(kernel, origin_of(kernel.image))
        findings = ask(kernel.modules_tree, kernel.image)
    if arguments.verbose and kernel.config is not None:
        info = replace(info, config=crypto_config(kernel.config))
    if arguments.json:
        code = [asdict(finding) for finding in findings]
        print(json.dumps({**asdict(info), "code": code}, indent=2))
    else:
        _print([*_items(info), *_code(findings)], Console())
    return ExitCode.OK


def _print(items: Iterable[tuple[str, str]], console: Console) -> None:
    """One line per item; on a terminal what is long wraps beside its name."""
    if not console.is_terminal:
        for name, value in items:
            line = f"{name + ':':<14}{value}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    last = ""
    for name, value in items:
        table.add_row("" if name == last else name, Text(value))
        last = name
    console.print(table)


def _items(info: KernelInfo) -> Iterator[tuple[str, str]]:
    unknown = f"unknown ({info.problem})" if info.problem else "unknown"
    yield "release", info.release
    yield "version", info.banner or unknown
    yield "build id", info.build_id or unknown
    yield "compiler", info.compiler or unknown
    for where in sorted(set(info.interfaces.values()), reverse=True):
        names = [name for name, state in info.interfaces.items() if state == where]
        yield "AF_ALG", f"{where}: {', '.join(names)}"
    yield "modules", f"{info.modules} that a guest can need" if info.modules else "none"
    yield "signed", _signed(info)
    for package in info.packages:
        yield "package", f"{package.name} {package.version} ({package.trust})"
        yield "sha256", package.sha256
    if info.origin:
        yield "made from", info.origin
    for note in info.notes:
        yield "note", note
    yield "image", info.image
    if info.config is None:
        yield "config", "unknown (none was found)"
    config = sorted((info.config or {}).items(), key=lambda item: "USER_API" not in item[0])
    for name, value in config:
        yield "config", f"{name}={value}"


def _code(findings: tuple[CodeFinding, ...]) -> Iterator[tuple[str, str]]:
    for finding in findings:
        yield "code", f"{finding.way} {finding.in_words()}"


def _signed(info: KernelInfo) -> str:
    signatures = info.signatures
    if signatures is None:
        return "no modules"
    if not signatures.signed:
        return "no module is"
    count = "all modules" if not signatures.unsigned else f"{signatures.signed} of {info.modules}"
    who = " and ".join(signatures.signers) or "a signer that modinfo cannot tell"
    how = f" ({', '.join(signatures.hashes)})" if signatures.hashes else ""
    return f"{count}, by {who}{how}"
