"""Reads a kernel's config: the options that it sets, and those that say what AF_ALG offers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_OF_INTEREST = re.compile(
    r"CONFIG_(?:CRYPTO_\w+|KEYS|MODULES|USERFAULTFD|KASAN|PROVE_LOCKING|IO_URING)"
)
_SET = re.compile(r"CONFIG_(\w+)=(\".*\"|[^\s\"]+)")
_UNSET = re.compile(r"# CONFIG_(\w+) is not set")


def parse_option(line: str) -> tuple[str, str] | None:
    """The option (without CONFIG_) that a config's line is about, and its value.

    That is "n" for one to be unset, and a string keeps its quotes. None for any other line.
    """
    if wanted := _SET.fullmatch(line):
        return wanted[1], wanted[2]
    if unset := _UNSET.fullmatch(line):
        return unset[1], "n"
    return None


def read_config(config: Path) -> dict[str, str]:
    """Every option that the config file ``config`` has, as ``parse_option`` gives it."""
    return _parsed(_lines(config))


def _lines(config: Path) -> list[str]:
    return config.read_text(errors="replace").splitlines()


def _parsed(lines: Iterable[str]) -> dict[str, str]:
    return dict(option for line in lines if (option := parse_option(line)))


def crypto_config(config: Path, wanted: re.Pattern[str] = _OF_INTEREST) -> dict[str, str]:
    """The crypto options (and a few others) of a config file: "y", "m", "n" or a value.

    ``wanted`` matches the whole name, with CONFIG_, of those to return.
    """
    # Of some 10,000 lines few are taken apart: 3 ms instead of 13, for which a guest waits.
    options = _parsed(line for line in _lines(config) if wanted.search(line))
    named = {f"CONFIG_{name}": value for name, value in options.items()}
    return {name: value for name, value in named.items() if wanted.fullmatch(name)}
