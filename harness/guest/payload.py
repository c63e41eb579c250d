"""What a guest is given to run: the agent, the suites and the known answers, as one archive.

The archive is attached as a raw disk that the guest unpacks with tar, so that it needs
neither a network nor a shared file system.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import harness.guest
from harness.errors import InputError
from harness.guest import inside
from harness.guest.oracle import known_answers
from harness.locations import suite_dir

_BYTECODE = "__pycache__"


@dataclass(frozen=True)
class Selection:
    """Which tests to run.

    ``suites`` are names of the suite's own folders or paths to suites of the user's (a
    folder or one file); empty means all of the suite. ``arguments`` go to pytest
    (``-k EXPRESSION``); ``test_seconds`` is each test's time limit.
    """

    suites: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    test_seconds: float = 30.0
    seed: int = 0


#: In this order, so that what a verdict rests on is known first. Others follow.
_SUITE_ORDER = ("zero_copy", "functional", "policy", "security", "differential", "consumers")


def suite_names() -> list[str]:
    """The suites that travel with the harness, in the order in which they run."""
    names = {
        entry.name
        for entry in suite_dir().iterdir()
        if entry.is_dir() and any(entry.glob("test_*.py"))
    }
    return [*(name for name in _SUITE_ORDER if name in names), *sorted(names - {*_SUITE_ORDER})]


def lay_out_suites(selection: Selection, target: Path) -> list[str]:
    """Copy the suites of ``selection`` to the empty directory ``target``, as a guest has them.

    Returns pytest's arguments that select its tests. Raises InputError as write_payload does.
    """
    names, extra = _resolve_suites(selection.suites)
    for name, path in [*_files(suite_dir(), "suite"), *extra]:
        copy = target / Path(name).relative_to("suite")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return [*selection.arguments, *names]


def write_payload(selection: Selection, target: Path) -> None:
    """Write the archive for ``selection`` to ``target``.

    Raises InputError for a suite that is neither a known name nor a path.
    """
    names, extra = _resolve_suites(selection.suites)
    settings = {
        "arguments": [*selection.arguments, *names],
        "test_seconds": selection.test_seconds,
    }
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for module in (harness, harness.guest):
            _add(archive, f"{module.__name__.replace('.', '/')}/__init__.py", b"")
        for name, path in _files(Path(inside.__file__).parent, "harness/guest/inside"):
            _add(archive, name, path.read_bytes())
        _add(archive, "settings.json", json.dumps(settings).encode())
        answers = known_answers(selection.seed)
        _add(archive, "known_answers.json", json.dumps(answers).encode())
        _add(archive, "modules", "\n".join(module_aliases(answers)).encode())
        for name, path in [*_files(suite_dir(), "suite"), *extra]:
            _add(archive, name, path.read_bytes())


def module_aliases(answers: dict[str, object]) -> list[str]:
    """Aliases of the kernel modules that the known answers need, for one early modprobe.

    Loading them while pytest starts saves a run of modprobe for each later bind(). cmac is
    left out: its bind() shows that the kernel still loads what it lacks by itself. So are
    generators: ansi_cprng, alone, would be what "stdrng" stands for.
    """
    tables = [answers[section] for section in ("hash", "keyed_hash", "skcipher", "aead")]
    names = [name for table in tables if isinstance(table, dict) for name in table]
    parts = dict.fromkeys(part for name in names for part in re.split(r"[(),]", name) if part)
    parts.pop("cmac", None)
    interfaces = ["algif_hash", "algif_skcipher", "algif_aead"]
    return [*interfaces, *(f"crypto-{part}" for part in parts)]


def _resolve_suites(suites: Sequence[str]) -> tuple[list[str], list[tuple[str, Path]]]:
    """Pytest's arguments, and the files of the user's own suites."""
    known = suite_names()
    if not suites:
        return known, []
    names: list[str] = []
    extra: list[tuple[str, Path]] = []
    for suite in suites:
        path = Path(suite)
        if suite in known:
            names.append(suite)
        elif _is_test_id(suite):
            _check_test_id(suite)
            names.append(suite)
        elif path.exists():
            own = path.resolve()
            if own.name in known:
                raise InputError(
                    f"--suite {suite}: the name {own.name} is taken by a built-in suite"
                )
            names.append(own.name)
            extra += (
                _files(own, f"suite/{own.name}") if own.is_dir() else [(f"suite/{own.name}", own)]
            )
        else:
            raise InputError(
                f"--suite {suite}: neither a suite ({', '.join(known)}) nor a path that exists"
            )
    return names, extra


def _is_test_id(text: str) -> bool:
    # An absolute path joined to ours would be itself: a file of the user's.
    return "::" in text or (not Path(text).is_absolute() and (suite_dir() / text).is_file())


def _check_test_id(test: str) -> None:
    """Raise InputError if the suite has no such file or function.

    Parameters, in brackets, are known only to pytest: a wrong one is found in the guest.
    """
    name, _, function = test.partition("::")
    path = suite_dir() / name
    if not path.is_file():
        raise InputError(f"--suite {test}: the suite has no file {name}")
    wanted = function.partition("[")[0].rpartition("::")[2]
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if wanted and wanted not in functions:
        raise InputError(f"--suite {test}: {name} has no test {wanted}")


def _files(top: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(top.rglob("*")):
        if path.is_file() and _BYTECODE not in path.parts:
            yield f"{prefix}/{path.relative_to(top)}", path


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    # No owner and no time: the archive depends on its content alone.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(data))
