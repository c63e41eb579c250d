"""Reads the part of a kernel's config that says what AF_ALG offers."""

from __future__ import annotations

import re
from pathlib import Path

_OF_INTEREST = re.compile(
    r"CONFIG_(?:CRYPTO_\w+|KEYS|MODULES|USERFAULTFD|KASAN|PROVE_LOCKING|IO_URING)$"
)
_SET = re.compile(r"^(CONFIG_\w+)=(.*)$")
_UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")


def crypto_config(config: Path, wanted: re.Pattern[str] = _OF_INTEREST) -> dict[str, str]:
    """The crypto options (and a few others) of a config file: "y", "m", "n" or a value.

    ``wanted`` matches the whole name of those to return.
    """
    options: dict[str, str] = {}
    for line in config.read_text(errors="replace").splitlines():
        match = _SET.match(line) or _UNSET.match(line)
        if match and wanted.fullmatch(match.group(1)):
            options[match.group(1)] = match.group(2) if match.lastindex == 2 else "n"
    return options
