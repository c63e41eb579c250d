"""Says whether this host is fit."""

from __future__ import annotations

import argparse
import re
from importlib.metadata import requires, version

from rich.console import Console
from rich.markup import escape

from harness.commands.sources import cache_directory
from harness.distributions import install_command
from harness.errors import ExitCode
from harness.host import check_host


def execute(arguments: argparse.Namespace) -> int:
    """Print a line per check; 0 if all that is required is there, else 3."""
    console = Console(highlight=False, soft_wrap=True)
    checks = check_host(cache_directory(arguments))
    for check in checks:
        if check.ok and arguments.quiet:
            continue
        word = (
            "[green]ok[/]"
            if check.ok
            else "[red]missing[/]"
            if check.required
            else "[yellow]note[/]"
        )
        console.print(f"{word}  {check.name}: {escape(check.found)}")
        if not check.ok and check.remedy:
            console.print(f"         mend with: {escape(check.remedy)}")
    for requirement in requires("afalg-harness") or () if arguments.verbose else ():
        if "extra ==" not in requirement:
            name = re.split(r"[^\w.-]", requirement)[0]
            console.print(f"     {name} {version(name)}")
    packages = [check.package for check in checks if check.package]
    if len(packages) > 1:
        console.print(f"all that is missing: {escape(install_command(*packages))}")
    fit = all(check.ok for check in checks if check.required)
    console.print("this host is fit" if fit else "this host is not fit: see above")
    return ExitCode.OK if fit else ExitCode.INFRASTRUCTURE
