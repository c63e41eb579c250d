"""Every program that is started is in a package that ci/setup.sh installs, or in any Debian.

The programs are read from the sources. What the suite starts (tests/afalg, and
harness/guest/inside) is left out: it runs in the guest, whose image names its own packages.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.processes import PACKAGES

TOP = Path(__file__).parents[2]
SETUP = TOP / "ci/setup.sh"
#: What README asks of a machine before anything is set up.
README_ASKS = frozenset({"apt", "git", "python3"})
#: What programs of ours start in turn, where their packages do not depend on it.
STARTED_BY = {
    "makepkg": ("bsdtar",),
    "mmdebstrap": ("apt-get", "newuidmap", "newgidmap"),
    "tmt": ("rsync",),
    "vng": ("busybox", "file", "qemu-system-x86_64", "modprobe"),
}
_IN_THE_GUEST = (TOP / "harness/guest/inside", TOP / "tests/afalg")
#: Functions that start or look for a program, by the module they come from.
_STARTERS = {
    "harness.processes": {"find_program", "finish", "helper", "run"},
    "pexpect": {"run", "spawn"},
    "shutil": {"which"},
    "subprocess": {"Popen", "call", "check_call", "check_output", "run"},
}
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
#: Where the name of a command may stand in a shell script.
_COMMAND = re.compile(
    r"(?:^|[;|&({!]|\b(?:if|then|else|do|while|exec|nice|env|chroot \S+)\b)[ \t]*"
    r"(?:\w+=[^\s(]*[ \t]+)*([a-z][\w.+-]*)(?=[\s;)|]|$)",
    re.MULTILINE,
)


def _python_sources() -> list[Path]:
    files = [path for place in ("harness", "ci", "tests") for path in (TOP / place).rglob("*.py")]
    return [path for path in files if not any(guest in path.parents for guest in _IN_THE_GUEST)]


def _shell_sources() -> list[Path]:
    return [*sorted((TOP / "ci").glob("*.sh")), TOP / ".ci/run"]


def _word(node: ast.AST) -> str | None:
    """The program that an argv, or an expression in front of one, begins with."""
    if isinstance(node, ast.Starred):
        return _word(node.value)
    if isinstance(node, (ast.List, ast.Tuple)) and node.elts:
        return _word(node.elts[0])
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _starters(tree: ast.AST) -> set[str]:
    """What functions that start or look for a program are called in this module."""
    names = {f"{module}.{name}" for module, names in _STARTERS.items() for name in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in _STARTERS:
            names |= {alias.name for alias in node.names} & _STARTERS[node.module]
    return names


def _asked_for(tree: ast.AST) -> Iterator[str]:
    """Programs named where one is started or looked for: these must be installed."""
    starters = _starters(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in starters:
            word = _word(node.args[0])
            if word is not None:
                yield word


def _argv_like(tree: ast.AST) -> Iterator[str]:
    """First words of what may be argv lists, which are begun and joined in many ways, and
    the commands of shell snippets in them.
    """
    starred = {node.value for node in ast.walk(tree) if isinstance(node, ast.Starred)}
    for node in ast.walk(tree):
        # Most tuples are other things: an argv is one as a part of a list, or in a table.
        if isinstance(node, ast.List) or (isinstance(node, ast.Tuple) and node in starred):
            words = [_word(element) for element in node.elts]
            yield from (word for word in words[:1] if word)
            for option, snippet in itertools.pairwise(words):
                if option == "-c" and snippet:
                    yield from _commands(snippet)
        elif isinstance(node, ast.Dict):
            yield from filter(None, map(_word, node.values))


def _commands(script: str) -> Iterator[str]:
    """Names that stand where a shell script has its commands."""
    names = _COMMAND.findall(re.sub(r"(^|\s)#.*", "", script))
    yield from (name for name in names if name not in _builtins())


@functools.cache
def _builtins() -> frozenset[str]:
    """The commands that the shell has itself."""
    listed = subprocess.run(["bash", "-c", "compgen -bk"], capture_output=True, check=True)
    return frozenset(listed.stdout.decode().split())


@functools.cache
def _installed(program: str) -> str | None:
    relative = "/" in program and not program.startswith("/")
    return None if relative else shutil.which(program, path=_SYSTEM_PATH)


@functools.cache
def _programs() -> dict[str, set[str]]:
    """Program -> what starts it; of words that may be none, only those that are installed."""
    found = [(name, "harness/processes.py") for name in PACKAGES]
    for path in _python_sources():
        tree = ast.parse(path.read_text())
        words = {*_asked_for(tree), *filter(_installed, _argv_like(tree))}
        found += [(word, str(path.relative_to(TOP))) for word in words]
    for path in _shell_sources():
        words = set(filter(_installed, _commands(path.read_text())))
        found += [(word, str(path.relative_to(TOP))) for word in words]
    found += [(word, starter) for starter, started in STARTED_BY.items() for word in started]
    programs: dict[str, set[str]] = {}
    for program, place in found:
        programs.setdefault(program, set()).add(place)
    return programs


def _names(path: str) -> set[str]:
    """What dpkg may know a file as: before or after usrmerge, and a link by its end."""
    ends = {path, str(Path(path).resolve())}
    return ends | {end.removeprefix("/usr") for end in ends} | {f"/usr{end}" for end in ends}


def _packages_of_files(paths: frozenset[str]) -> dict[str, set[str]]:
    """Each of the files that dpkg knows -> the packages that it is in."""
    found = subprocess.run(
        ["dpkg", "--search", *sorted(paths)], capture_output=True, text=True, check=False
    )
    owners: dict[str, set[str]] = {}
    for line in found.stdout.splitlines():
        packages, _, file = line.rpartition(": ")
        if file in paths and not line.startswith("diversion "):
            names = {package.partition(":")[0] for package in packages.split(", ")}
            owners.setdefault(file, set()).update(names)
    return owners


@pytest.fixture(scope="module")
def owners() -> dict[str, set[str]]:
    """Each program that is installed -> the packages that have it."""
    files = {program: _installed(program) for program in _programs()}
    names = {program: _names(path) for program, path in files.items() if path}
    known = _packages_of_files(frozenset().union(*names.values()))
    return {
        program: set().union(*(known.get(name, set()) for name in paths))
        for program, paths in names.items()
    }


def _base_system() -> set[str]:
    """The packages that every Debian has."""
    asked = ["dpkg-query", "--show", "--showformat", "${Package} ${Essential} ${Priority}\\n"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in listed.splitlines()]
    return {name for name, *marks in lines if "yes" in marks or "required" in marks}


def _set_up() -> set[str]:
    """The packages that ci/setup.sh names."""
    sections = re.findall(r"^\w+=\(\n(.*?)\n\)", SETUP.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0] for section in sections for line in section.splitlines()]
    return {word for line in lines for word in line.split()}


def test_the_sources_are_read() -> None:
    """Each way to find programs finds one that is known to be there."""
    programs = _programs()
    known = {
        "rpmbuild": "tests/packaging.py",
        "makepkg": "tests/packaging.py",
        "sha256sum": "ci/setup.sh",
        "bsdtar": "makepkg",
        "bc": "harness/processes.py",
        "e2fsck": "tests/unit/kernels/test_robustness.py",
        "mount": "tests/vm/test_run.py",
    }
    for program, place in known.items():
        assert place in programs[program], program


def test_every_program_has_a_package(owners: dict[str, set[str]]) -> None:
    allowed = _set_up() | _base_system() | README_ASKS
    # Those of the virtual environment are dependencies in pyproject.toml.
    ours = {path.name for path in Path(sys.executable).parent.iterdir()}
    homeless = {
        program: (place, owners.get(program, "not installed"))
        for program, place in _programs().items()
        if program not in ours and not owners.get(program, set()) & allowed
    }
    assert homeless == {}


@pytest.mark.parametrize("program", sorted(PACKAGES))
def test_the_package_is_the_one_that_errors_name(program: str, owners: dict[str, set[str]]) -> None:
    # Kernel builds use modules that perl-base, which has the program, lacks.
    package = {"perl": "perl-base"}.get(program, PACKAGES[program])
    assert package in owners[program], "ci/setup.sh --builds installs it"
