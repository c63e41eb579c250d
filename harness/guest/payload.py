"""What a guest is given to run: the agent, the suites and the known answers, as one archive.

The archive is attached as a raw disk that the guest unpacks with tar, so that it needs
neither a network nor a shared file system.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import harness.guest
from harness.defaults import SEED, TEST_SECONDS
from harness.errors import InputError
from harness.guest import inside
from harness.guest.oracle import known_answers
from harness.locations import suite_dir
from harness.suites import suite_names

_SETTINGS = "settings.json"
_BYTECODE = "__pycache__"
#: Folder of the built-in suite's helper modules; pytest looks for no tests in it.
_HELPERS = ".helpers"
#: Pytest's plugin for suites of the user's. Imported by nobody here: it would bring pytest along.
_PLUGIN = f"{inside.__name__}.own_suites"
#: What is imported in the guest beside Python's own modules.
_PYTEST_PARTS = frozenset(
    ("harness", "pytest", "_pytest", "pluggy", "iniconfig", "packaging", "attr", "py", "pygments")
)


@dataclass(frozen=True)
class Selection:
    """Which tests to run.

    ``suites`` are names of the built-in suites, ids of their tests, or paths to suites of the
    user's (a folder or one file); empty means all built-in suites. ``arguments`` go to pytest
    (``-k EXPRESSION``); ``test_seconds`` is each test's time limit.
    """

    suites: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    test_seconds: float = TEST_SECONDS
    seed: int = SEED


def lay_out_suites(selection: Selection, target: Path) -> list[str]:
    """Copy the suites of ``selection`` to the empty directory ``target``, as a guest has them.

    Returns pytest's arguments that select its tests. Raises InputError as write_payload does.
    """
    chosen = _choose(selection.suites)
    for name, path in _suite_files(chosen.own):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(_content(path))
    return [*_pytest_options(selection.arguments, chosen.own), *chosen.names]


def parts_of(selection: Selection) -> tuple[tuple[str, ...], tuple[tuple[str, Path], ...]]:
    """What of ours is in ``selection``, by names and ids; and the suites of the user's.

    Of the latter, what each is called in a guest, and its path. Raises InputError as
    write_payload does.
    """
    chosen = _choose(selection.suites)
    own = tuple((suite.name, suite.path) for suite in chosen.own)
    return tuple(name for name in chosen.names if name not in dict(own)), own


def write_payload(selection: Selection, target: Path) -> None:
    """Write the archive for ``selection`` to ``target``.

    Raises InputError for a suite that is neither a known name nor a path, or is unreadable.
    """
    chosen = _choose(selection.suites)
    settings = {
        "options": _pytest_options(selection.arguments, chosen.own),
        "names": chosen.names,
        "is_ours": not chosen.own,
        "tests": [],
        "left": [],
        "plan": [],
        "first": [],
        "test_seconds": selection.test_seconds,
    }
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        _add_programs(archive)
        _add(archive, _SETTINGS, json.dumps(settings).encode())
        answers = known_answers(selection.seed)
        _add(archive, "known_answers.json", json.dumps(answers).encode())
        ours = chosen.has_ours
        _add(archive, "modules", "\n".join(module_aliases(answers if ours else {})).encode())
        for name, path in _suite_files(chosen.own):
            _add(archive, f"suite/{name}", _content(path))


def write_programs(modules: Sequence[str], target: Path) -> None:
    """Write the archive for a guest that runs no suite, but another program of ours.

    ``modules`` are aliases of those that are loaded while it starts.
    """
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        _add_programs(archive)
        _add(archive, "modules", "\n".join(modules).encode())


def _add_programs(archive: tarfile.TarFile) -> None:
    """Add what runs in the guest beside the suites."""
    for module in (harness, harness.guest):
        _add(archive, f"{module.__name__.replace('.', '/')}/__init__.py", b"")
    for name, path in _files(Path(inside.__file__).parent, "harness/guest/inside"):
        _add(archive, name, path.read_bytes())


def write_part(payload: Path, tests: Sequence[str], left: Sequence[str], target: Path) -> None:
    """Write to ``target`` what ``payload`` holds, for a guest that does not run all of it.

    ``tests`` are those that it runs, () if all: ids from the plan of a guest that ran the whole,
    or files of tests. Only their files are collected, which is what takes the time. Tests of
    the files in ``left`` it collects and does not run.
    """
    with tarfile.open(payload) as archive:
        settings = _settings(archive)
    if tests:
        settings["names"] = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        settings["plan"] = settings["first"] = []
    settings["tests"] = [test for test in tests if "::" in test]
    settings["left"] = list(left)
    shutil.copyfile(payload, target)
    _set(target, settings)


def add_plan(payload: Path, plan: Sequence[str], first: Sequence[str]) -> None:
    """Tell the guest the whole ``plan``: it runs the tests of the files ``first``, with which
    the plan begins, before it collects the others.
    """
    with tarfile.open(payload) as archive:
        settings = _settings(archive)
    settings.update(plan=list(plan), first=list(first))
    _set(payload, settings)


def plan_key(payload: Path) -> str | None:
    """A key for the plan of ``payload``: with the same one a guest plans the same.

    None where the plan is not that of whole suites of ours: another may depend on the kernel.
    """
    with tarfile.open(payload) as archive:
        settings = _settings(archive)
        ours = set(settings["names"]) <= set(suite_names())
        if not ours or settings["tests"] or settings["options"] != _pytest_options((), ()):
            return None
        suite = _digest(archive, lambda name: name.startswith("suite/") and name.endswith(".py"))
    names = "\n".join(settings["names"])
    return hashlib.sha256(f"{names}\n{suite}".encode()).hexdigest()


def whole_files(payload: Path) -> tuple[str, ...]:
    """The files of the built-in suite all of whose tests ``payload`` selects."""
    with tarfile.open(payload) as archive:
        settings, names = _settings(archive), archive.getnames()
    if "-k" in settings["options"]:
        return ()
    ours = suite_names()
    suites = tuple(f"suite/{name}/" for name in settings["names"] if name in ours)
    return tuple(
        name.removeprefix("suite/")
        for name in names
        if name.startswith(suites) and PurePath(name).match("test_*.py")
    )


def _set(payload: Path, settings: Mapping[str, Any]) -> None:
    with tarfile.open(payload, "a", format=tarfile.PAX_FORMAT) as archive:
        # Of two members of a name the later one is what tar leaves there.
        _add(archive, _SETTINGS, json.dumps(settings).encode())


def _settings(archive: tarfile.TarFile) -> dict[str, Any]:
    member = archive.extractfile(_SETTINGS)
    assert member is not None
    settings: dict[str, Any] = json.loads(member.read())
    return settings


def revision(payload: Path) -> str:
    """SHA-256 over the built-in suite and what runs it: two runs with the same one, of other
    selections and seeds perhaps, put kernels to the same tests.
    """
    ours = {f"suite/{name}" for name, _ in _suite_files(())}
    with tarfile.open(payload) as archive:
        return _digest(archive, lambda name: name in ours or name.startswith("harness/"))


def own_revisions(payload: Path) -> tuple[str, ...]:
    """``NAME=SHA-256`` of each suite of the user's, by its name in the guest."""
    ours = {name.partition("/")[0] for name, _ in _suite_files(())}
    with tarfile.open(payload) as archive:
        paths = [name.split("/") for name in archive.getnames() if name.startswith("suite/")]
        own = sorted({path[1] for path in paths} - ours)

        def digest(name: str) -> str:
            top = f"suite/{name}"
            return _digest(archive, lambda path: path == top or path.startswith(f"{top}/"))

        return tuple(f"{name}={digest(name)}" for name in own)


def _digest(archive: tarfile.TarFile, wanted: Callable[[str], bool]) -> str:
    """SHA-256 over names and content of those files."""
    digest = hashlib.sha256()
    for member in archive:
        content = archive.extractfile(member) if wanted(member.name) else None
        if content is not None:
            data = content.read()
            digest.update(f"{member.name}\0{len(data)}\0".encode())
            digest.update(data)
    return digest.hexdigest()


def module_aliases(answers: dict[str, object]) -> list[str]:
    """Aliases of the kernel modules that the known answers need, for one early modprobe.

    Loading them while pytest starts saves a run of modprobe for each later bind(). cmac is
    left out: its bind() shows that the kernel still loads what it lacks by itself. So are
    generators: ansi_cprng, alone, would be what "stdrng" stands for. Without any answers
    those of the interfaces alone: suites of the user's need few of the others.
    """
    tables = [answers.get(section) for section in ("hash", "keyed_hash", "skcipher", "aead")]
    names = [name for table in tables if isinstance(table, dict) for name in table]
    parts = dict.fromkeys(part for name in names for part in re.split(r"[(),]", name) if part)
    parts.pop("cmac", None)
    interfaces = ["algif_hash", "algif_skcipher", "algif_aead"]
    return [*interfaces, *(f"crypto-{part}" for part in parts)]


@dataclass(frozen=True)
class _Own:
    """A suite of the user's, and its name in the guest: what the ids of its tests begin with."""

    name: str
    path: Path


@dataclass(frozen=True)
class _Chosen:
    """What was selected: names that pytest understands, some of them of the user's suites."""

    names: tuple[str, ...]
    own: tuple[_Own, ...] = ()

    @property
    def has_ours(self) -> bool:
        """Whether any test of the built-in suite is among them."""
        return not {own.name for own in self.own}.issuperset(self.names)


def _choose(suites: Sequence[str]) -> _Chosen:
    known = suite_names()
    if not suites:
        return _Chosen(tuple(known))
    names: dict[str, None] = {}
    own: dict[Path, _Own] = {}
    for suite in suites:
        if suite in known:
            names[suite] = None
        elif _is_test_id(suite):
            _check_test_id(suite)
            names[suite] = None
        else:
            path = _checked(suite, known)
            taken = {*_names_of_ours(), *(other.name for other in own.values())}
            found = own.setdefault(path.resolve(), _Own(_name_in_guest(path, taken), path))
            names[found.name] = None
    return _Chosen(tuple(names), tuple(own.values()))


def _checked(suite: str, known: Sequence[str]) -> Path:
    """The path of a suite of the user's, by the name that was given. Raises InputError."""
    path = Path(os.path.abspath(suite))  # noqa: PTH100  (of a link, its own name)
    try:
        is_folder = path.is_dir()
        exists = path.exists()
        is_empty = is_folder and not any(path.iterdir())
    except OSError as error:
        raise InputError(f"--suite {suite}: {error.strerror}") from error
    if not exists:
        raise InputError(
            f"--suite {suite}: neither a suite ({', '.join(known)}) nor a path that exists"
        )
    if path.name in known:
        raise InputError(f"--suite {suite}: the name {path.name} is taken by a built-in suite")
    if not is_folder and (path.suffix != ".py" or path.name == "conftest.py"):
        raise InputError(f"--suite {suite}: neither a folder nor a file of tests (.py)")
    if is_folder and (is_empty or not path.name):
        raise InputError(f"--suite {suite}: not a folder of tests")
    return path


def _name_in_guest(path: Path, taken: Collection[str]) -> str:
    """A name for ``path`` that is not yet taken: ``tests``, ``tests~2``.

    What pytest would take for something else than a part of a name becomes ``_``.
    """
    plain = re.sub(r"^[-.@]|[^\w.+~@ -]", "_", path.name)
    stem, dot, suffix = plain.rpartition(".") if path.is_file() else (plain, "", "")
    name, number = plain, 1
    while name.removesuffix(".py") in taken or name in taken:
        number += 1
        name = f"{stem}~{number}{dot}{suffix}"
    return name


def _names_of_ours() -> set[str]:
    """Names that a folder of the user's cannot have: pytest imports its files as NAME.FILE."""
    helpers = {path.stem for path in suite_dir().glob("*.py")}
    return helpers | sys.stdlib_module_names | _PYTEST_PARTS


def _pytest_options(arguments: Sequence[str], suites: Sequence[_Own]) -> list[str]:
    folders = [own.name for own in suites if own.path.is_dir()]
    plugin = ["-p", _PLUGIN] if folders else []
    return [
        # Said, since pytest prefers a pytest.ini beside the tests, of a suite of the user's.
        *("-c", "pytest.ini", f"--override-ini=pythonpath={_HELPERS}"),
        *plugin,
        *(f"--own-suite={name}" for name in folders),
        *arguments,
    ]


def _suite_files(own: Sequence[_Own]) -> Iterator[tuple[str, Path]]:
    """Where each file of the suites lies in the guest, below pytest's root, and here.

    The helper modules of the built-in suite have a folder to themselves: the root, with the
    user's suites, is not on Python's path.
    """
    for name, path in _files(suite_dir(), ""):
        is_helper = "/" not in name and path.suffix == ".py" and name != "conftest.py"
        yield (f"{_HELPERS}/{name}" if is_helper else name), path
    for suite in own:
        if suite.path.is_dir():
            yield from _files(suite.path, suite.name)
        else:
            yield suite.name, suite.path


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _is_test_id(text: str) -> bool:
    # An absolute path joined to ours would be itself: a file of the user's.
    path = Path(text)
    is_ours = path.name.startswith("test_") and not path.is_absolute()
    return ("::" in text and not path.exists()) or (is_ours and (suite_dir() / text).is_file())


def _check_test_id(test: str) -> None:
    """Raise InputError if the suite has no such file or function.

    Parameters, in brackets, are known only to pytest: a wrong one is found in the guest.
    """
    name, _, function = test.partition("::")
    path = suite_dir() / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
        raise InputError(f"--suite {test}: the suite has no file {name}")
    wanted = function.partition("[")[0].rpartition("::")[2]
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if wanted and wanted not in functions:
        raise InputError(f"--suite {test}: {name} has no test {wanted}")


def _files(top: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(top.rglob("*")):
        if path.is_file() and _BYTECODE not in path.parts:
            yield str(Path(prefix, path.relative_to(top))), path


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    # No owner and no time: the archive depends on its content alone.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(data))
