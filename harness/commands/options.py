"""Options that several subcommands share."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from harness.commands import completion
from harness.commands.completion import completed
from harness.errors import InputError
from harness.executors.names import check_executor
from harness.kernels.sources import KernelSources
from harness.mirror import given_mirror

_DIGITS = 6  # of a count
_LONGEST = 10.0**6  # seconds, eleven days: no poll() or timer takes much more


def positive_seconds(text: str) -> float:
    """Argparse type: a finite duration above 0, in seconds. What else ends with exit code 2."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST:  # nan is neither
        raise argparse.ArgumentTypeError(
            f"{text!r}: must be a number of seconds above 0, and {_LONGEST:.0f} at most"
        )
    return seconds


def positive_integer(text: str) -> int:
    """Argparse type: a count of 1 or more."""
    number = _whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 1 or more")
    return number


def count(text: str) -> int:
    """Argparse type: a count of 0 or more."""
    number = _whole_number(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 0 or more")
    return number


def whole_number(text: str) -> int:
    """Argparse type: any whole number."""
    try:
        return int(text)
    except ValueError as error:  # also of more digits than Python takes
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: must be a whole number") from error


def _whole_number(text: str) -> int | None:
    """The count that ``text`` is, None if it is none that could be meant."""
    digits = text.strip()
    return int(digits) if digits.isdecimal() and len(digits) <= _DIGITS else None


def executor(text: str) -> str:
    """Argparse type: where guests are."""
    try:
        return check_executor(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_executor_option(container: argparse._ActionsContainer) -> None:
    """``--executor``."""
    container.add_argument(
        "--executor",
        type=executor,
        default="local",
        metavar="local|dask:local|dask://HOST:PORT",
        help="where guests are: on this machine (default), in Dask workers on it, or in those of"
        " the Dask cluster whose scheduler is at HOST:PORT; a guest for each resource `vm`",
    )


def shard(text: str) -> tuple[int, int]:
    """Argparse type: ``I/N``, the I-th of N shards."""
    first, _, second = text.partition("/")
    number, count_ = _whole_number(first), _whole_number(second)
    if not number or not count_ or number > count_:
        raise argparse.ArgumentTypeError(f"{text!r}: must be I/N, the I-th of N, as 1/2")
    return number, count_


def path(text: str) -> Path:
    """Argparse type: a path. An empty word would be the working directory."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r}: names no path")
    return Path(text)


def not_empty(text: str) -> str:
    """Argparse type: anything but an empty word."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text


def _kernel_argument(text: str) -> str:
    """Argparse type: what can be added to a kernel's command line."""
    if not text or any(ord(char) < ord(" ") for char in text):
        raise argparse.ArgumentTypeError(f"{text!r}: cannot be on a kernel's command line")
    if '"' in text:  # it quotes what has a blank itself (quote_karg() in virtme's commands/run.py)
        raise argparse.ArgumentTypeError(f"{text!r}: vng passes on no double quote")
    return text


def _suite(text: str) -> str:
    """Argparse type: the name of a suite of Debian, such as "trixie" or "stable"."""
    if not re.fullmatch(r"[a-z][a-z0-9.-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: names no suite of Debian (such as trixie)")
    return text


def _mirror(text: str) -> str:
    """Argparse type: the URL of a mirror."""
    try:
        given_mirror(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_source_options(parser: argparse.ArgumentParser, *, builds: bool = True) -> None:
    """``--cache``, ``--mirror``, ``--refresh`` and, for what ``builds``, ``--kconfig``."""
    group = parser.add_argument_group("where kernels come from")
    add_cache_option(group)
    group.add_argument(
        "--mirror",
        type=_mirror,
        metavar="URL",
        help="Debian mirror (default: $AFALG_MIRROR, else the one this machine's apt uses)",
    )
    group.add_argument(
        "--refresh", action="store_true", help="fetch the package index again, however recent"
    )
    parser.set_defaults(kconfig=[])
    if not builds:
        return
    default = ", ".join(KernelSources.kconfigs)
    kconfig = group.add_argument(
        "--kconfig",
        action="append",
        type=not_empty,
        default=[],
        metavar="NAME|FILE",
        help="configure git:TREE@REV with this fragment of kconfigs/, or with FILE, instead of"
        f" {default} (repeatable, stacked in order)",
    )
    completed(kconfig, completion.fragments)


def add_cache_option(container: argparse._ActionsContainer) -> None:
    """``--cache``, for what needs no other source alone."""
    container.add_argument(
        "--cache",
        type=path,
        metavar="DIR",
        help="cache directory (default: $AFALG_CACHE, else the XDG cache directory)",
    )


def add_guest_options(parser: argparse.ArgumentParser) -> None:
    """``--accel``, ``--root``, ``--guest-suite`` and ``--append``."""
    group = parser.add_argument_group("the guest")
    group.add_argument(
        "--accel",
        choices=("auto", "kvm", "tcg"),
        default="auto",
        help="KVM, QEMU's TCG emulation, or KVM if a trial boot works (default: auto)",
    )
    add_root_option(group)
    add_append_option(group)


def add_root_option(container: argparse._ActionsContainer) -> None:
    """``--root`` and ``--guest-suite``."""
    root = container.add_argument(
        "--root",
        type=not_empty,
        default="image",
        metavar="image|host|DIR|IMAGE",
        help="guest's root: the harness's own image (default), the live host, a directory "
        "with python3 and pytest, or an ext4 image with those and kmod",
    )
    completed(root, completion.roots)
    suite = container.add_argument(
        "--guest-suite",
        type=_suite,
        metavar="SUITE",
        help="suite of Debian that the harness's own image is made of; stable: the newest such one"
        " that the mirror has (default)",
    )
    completed(suite, completion.guest_suites)


def add_append_option(container: argparse._ActionsContainer) -> None:
    """``--append``."""
    container.add_argument(
        "--append",
        action="append",
        type=_kernel_argument,
        default=[],
        metavar="ARG",
        help="add ARG to the kernel command line (repeatable): 2,047 bytes, most of them ours",
    )


def _share(text: str) -> float:
    """Argparse type: a share of 0 or more, as ``5%``."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 10_000:  # nan is not
        raise argparse.ArgumentTypeError(f"{text!r}: must be a percentage, as 5%")
    return percent / 100


def add_slowdown_option(container: argparse._ActionsContainer) -> None:
    """``--max-slowdown``."""
    container.add_argument(
        "--max-slowdown",
        type=_share,
        metavar="PERCENT",
        help="exit with 1 if a message of any way and size became dearer than in the baseline by"
        " more than this (5%%), beyond what two boots differ by, and with 3 if that is not known"
        " of one that the baseline has; without it nothing is judged",
    )


def add_store_option(container: argparse._ActionsContainer) -> None:
    """``--store``."""
    container.add_argument(
        "--store",
        type=not_empty,
        metavar="FILE|URL",
        help="the store of runs: an SQLite file, or the URL of a database as SQLAlchemy takes it"
        " (default: $AFALG_STORE, else a file in the XDG data directory)",
    )
