"""What a shell can complete, by argcomplete: kernels of the cache, suites, tests, facts.

It is asked at each press of a key. So nothing is fetched for it, no test is imported, and
what takes a while to import is imported where it is needed.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Iterable, Iterator

from harness.commands.sources import cache_directory
from harness.kernels.archive.suites import FLAVOURS, SUITES
from harness.locations import kconfigs_dir, suite_dir

Completer = Callable[[str, argparse.Namespace], Iterable[str]]

_RECORD = re.compile(r"([^.].*)\.\d+\.json")
_STATES = ("present", "absent", "unreachable", "works", "fails")
_OUTCOMES = ("passed", "failed", "crashed", "timeout")


def completed(action: argparse.Action, completer: Completer) -> None:
    """Have the values of ``action`` completed by ``completer``."""

    def complete(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
        return [value for value in completer(prefix, parsed_args) if value.startswith(prefix)]

    action.completer = complete  # type: ignore[attr-defined]


def specs(prefix: str, arguments: argparse.Namespace) -> Iterator[str]:
    """Kernel specs: files, what the cache holds, suites of the archive, git trees."""
    yield from ("host", "git:", "debian:")
    if prefix.startswith("debian:"):
        yield from (f"debian:{release}" for release in cached(prefix, arguments))
        yield from (f"debian:{suite}" for suite in SUITES)
        if "/" in prefix:
            yield from (f"debian:{suite}/{flavour}" for suite in SUITES for flavour in FLAVOURS)
    elif prefix.startswith("git:"):
        yield from (f"git:{path}" for path in _files(prefix.removeprefix("git:"), folders=True))
    else:
        # The packages of one kernel are joined by commas.
        before, comma, last = prefix.rpartition(",")
        yield from (f"{before}{comma}{path}" for path in _files(last))


def guest_suites(_prefix: str, _arguments: argparse.Namespace) -> Iterator[str]:
    """Suites of the archive that are whole systems."""
    yield "stable"
    yield from (suite for suite in SUITES if "-" not in suite and suite != "experimental")


def baselines(prefix: str, arguments: argparse.Namespace) -> Iterator[str]:
    """Kernel specs, and the word for the last good one."""
    yield "last-good"
    yield from specs(prefix, arguments)


def cached(_prefix: str, arguments: argparse.Namespace) -> Iterator[str]:
    """Releases of the kernels in the cache."""
    if not hasattr(arguments, "cache"):  # what only reads the store has no such option
        arguments.cache = None
    place = cache_directory(arguments) / "kernels/releases"
    try:
        names = [path.name for path in place.iterdir()]
    except OSError:
        return
    yield from sorted({found[1] for name in names if (found := _RECORD.fullmatch(name))})


def suites(prefix: str, _: argparse.Namespace) -> Iterator[str]:
    """The built-in suites, ids of their tests, and files of the user's."""
    from harness.suites import suite_names  # noqa: PLC0415  (light, and of this one only)

    yield from suite_names()
    yield from _tests(prefix)
    yield from _files(prefix)


def checks(prefix: str, _: argparse.Namespace) -> Iterator[str]:
    """What a bisect can look at."""
    from harness.judge.facts import NAMES  # noqa: PLC0415  (40 ms)

    yield from (*NAMES, "boots", "seed:")
    yield from (f"{name}/" for name in _tops() if "/" not in prefix)
    yield from _tests(prefix)


def expected(prefix: str, arguments: argparse.Namespace) -> Iterator[str]:
    """A fact or test with a value: first the name, then that."""
    name, equals, _ = prefix.partition("=")
    if equals:
        yield from (f"{name}={value}" for value in (_OUTCOMES if "::" in name else _STATES))
        return
    for name in checks(prefix, arguments):
        yield name if name.endswith(("/", "::", ":")) else f"{name}="


def told(prefix: str, arguments: argparse.Namespace) -> Iterator[str]:
    """What the store can tell of: tests, facts, and kernels that the cache has."""
    yield from (name for name in checks(prefix, arguments) if not name.endswith(("boots", "seed:")))
    yield from cached(prefix, arguments)


def fragments(prefix: str, _: argparse.Namespace) -> Iterator[str]:
    """Kconfig fragments of ours, and files."""
    yield from sorted(path.stem for path in kconfigs_dir().glob("*.config"))
    yield from _files(prefix)


def roots(prefix: str, _: argparse.Namespace) -> Iterator[str]:
    """Roots of a guest."""
    yield from ("image", "host")
    yield from _files(prefix)


def _tops() -> list[str]:
    return sorted({path.parent.name for path in suite_dir().glob("*/test_*.py")})


def _tests(prefix: str) -> Iterator[str]:
    """Files of the built-in suites below a folder that is named, then tests of a file."""
    name, colons, _ = prefix.partition("::")
    if not colons:
        if "/" in prefix:
            files = suite_dir().glob(f"{_literal(prefix.partition('/')[0])}/test_*.py")
            yield from (f"{path.relative_to(suite_dir())}::" for path in sorted(files))
        return
    try:
        module = ast.parse((suite_dir() / name).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield f"{name}::{node.name}"


def _literal(name: str) -> str:
    return re.sub(r"[*?\[]", "", name) or "."


def _files(prefix: str, *, folders: bool = False) -> Iterable[str]:
    """Paths that begin so; of folders alone, if that is what is wanted."""
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter  # noqa: PLC0415

    completer = DirectoriesCompleter() if folders else FilesCompleter()
    return list(completer(prefix))
