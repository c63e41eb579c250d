"""Pytest plugin: a suite of the user's has its own modules, and no other suite gets them.

To the files of a folder given by ``--own-suite``, ``import pages`` means the ``pages.py``
beside them, and the built-in suite's helper of that name only if there is none. Python
keeps modules by name for a whole process. So the folder's modules are in ``sys.modules``
while code of the folder runs (its files are imported, its tests run), and only then.
What Python itself or pytest brings cannot be replaced.

Standard library and pytest 7.2 only: this travels into the guest.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import pytest

#: Top-level names that mean the same everywhere: what was imported to get as far as here.
_COMMON = sys.stdlib_module_names | {name.partition(".")[0] for name in sys.modules}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The folders, relative to the working directory."""
    parser.addoption("--own-suite", action="append", default=[], metavar="FOLDER")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before the first ``conftest.py`` is imported."""
    names = early_config.known_args_namespace.own_suite
    suites = OwnSuites([Path.cwd() / name for name in names])
    sys.meta_path.insert(0, suites)
    early_config.pluginmanager.register(suites, "own-suites")


class OwnSuites(MetaPathFinder):
    """Finds the modules of ``folders``, and keeps them apart. A hook of pytest, too."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._names = {folder: _module_names(folder) - _COMMON for folder in folders}
        self._aside: dict[Path, dict[str, ModuleType]] = {folder: {} for folder in folders}
        self._active: Path | None = None
        self._displaced: dict[str, ModuleType] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What any import asks first."""
        spec = None
        if self._active is not None and path is None and name in self._names[self._active]:
            spec = PathFinder.find_spec(name, [str(self._active)], target)
        others = (finder for finder in sys.meta_path if finder is not self)
        while spec is None and (finder := next(others, None)) is not None:
            spec = finder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None and spec.origin is not None:
            # A helper of ours that a suite of the user's imports first goes on with ours.
            folder = self._folder_of(Path(spec.origin))
            if folder != self._active and name.partition(".")[0] not in _COMMON:
                spec.loader = _LoaderWithin(self, folder, spec.loader)
        return spec

    @contextlib.contextmanager
    def within(self, folder: Path | None) -> Iterator[None]:
        """Code of ``folder`` runs here; None: of the built-in suite."""
        outside = self._active
        self._switch(folder)
        try:
            yield
        finally:
            self._switch(outside)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, None, None]:
        """Files are imported, and tests generated."""
        with self.within(self._folder_of(collector.path)):
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        """A test and its fixtures run, and may import what they need then."""
        with self.within(self._folder_of(item.path)):
            yield

    def _folder_of(self, path: Path) -> Path | None:
        return next((folder for folder in self._names if path.is_relative_to(folder)), None)

    def _switch(self, folder: Path | None) -> None:
        """Leave the folder that is active, and enter another."""
        if folder == self._active:
            return
        if self._active is not None:
            self._aside[self._active] = self._taken(self._active, own=True)
        sys.modules.update(self._displaced)
        self._displaced = {}
        self._active = folder
        if folder is not None:
            self._displaced = self._taken(folder, own=False)
            sys.modules.update(self._aside[folder])

    def _taken(self, folder: Path, *, own: bool) -> dict[str, ModuleType]:
        """Take modules by the names of the folder's out of ``sys.modules``: its own, or others."""
        names = self._names[folder]
        taken = {
            name: module
            for name, module in sys.modules.items()
            if name.partition(".")[0] in names and _is_below(module, folder) is own
        }
        for name in taken:
            del sys.modules[name]
        return taken


class _LoaderWithin(Loader):
    """Another loader, whose module runs as code of a folder, or of none."""

    def __init__(self, suites: OwnSuites, folder: Path | None, loader: Loader) -> None:
        self._suites = suites
        self._folder = folder
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with self._suites.within(self._folder):
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


def _module_names(folder: Path) -> set[str]:
    """Top-level modules and packages that a folder holds."""
    return {
        entry.stem if entry.is_file() else entry.name
        for entry in folder.iterdir()
        if entry.is_dir() or entry.suffix == ".py"
    }


def _is_below(module: ModuleType, folder: Path) -> bool:
    """Whether a module, or a package without a file, is of a folder."""
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return isinstance(place, str) and Path(place).is_relative_to(folder)
