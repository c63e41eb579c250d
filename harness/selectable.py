"""Refuses a selection of tests that selects none, before anything is booted for it.

pytest itself collects the built-in suites. Suites of the user's are meant for guests and not
imported here: they are read, and stubs with the same names are collected in their place.
Where reading does not tell what is in them, the guest will.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.errors import InputError
from harness.guest.payload import Selection, parts_of
from harness.listing import NothingSelected, list_tests
from harness.scratch import scratch_directory
from harness.unimported import Unknown, read_tests

_STUB = "def {}(): pass\n"


def refuse_what_selects_nothing(selection: Selection) -> None:
    """Raise InputError if ``selection`` is known to select nothing, or names what is not there."""
    ours, own = parts_of(selection)
    if exact := tuple(name for name in ours if "[" in name):
        list_tests(Selection(exact))
    if ours and not selection.arguments:
        return
    read = {name: _read(path) for name, path in own}
    if selection.arguments:
        _refuse_keyword(selection, ours, read)
    elif not any(found is None or any(found.values()) for found in read.values()):
        named = ", ".join(selection.suites)
        raise InputError(f"--suite {named}: holds no test (functions test_* in files test_*.py)")


def _read(suite: Path) -> Mapping[Path, tuple[str, ...]] | None:
    """The tests of a suite of the user's, None if they cannot be known."""
    try:
        return read_tests(suite)
    except Unknown:
        return None


def _refuse_keyword(
    selection: Selection,
    ours: tuple[str, ...],
    own: Mapping[str, Mapping[Path, tuple[str, ...]] | None],
) -> None:
    """Raise InputError if ``-k`` is wrong, or selects nothing of ``ours`` and ``own``."""
    is_known = None not in own.values()
    with scratch_directory() as scratch:
        (scratch / "test_stub.py").write_text(_STUB.format("test"))
        stubs = [_stub(scratch, name, found) for name, found in own.items() if found is not None]
        suites = (*ours, *stubs) if selection.suites else ()
        if selection.suites and not suites:
            suites = (str(scratch / "test_stub.py"),)
        try:
            list_tests(Selection(suites, selection.arguments))
        except NothingSelected as error:
            if is_known:
                named = ", ".join(selection.suites) or "all suites"
                raise InputError(
                    f"-k {selection.arguments[1]}: selects no test of {named};"
                    " run --list shows what there is"
                ) from error


def _stub(scratch: Path, name: str, found: Mapping[Path, tuple[str, ...]]) -> str:
    """A suite called ``name`` with tests of the same names that do nothing; its path."""
    suite = scratch / "suites" / name
    for file, tests in found.items():
        # A guest may know the suite, its first folder, by another name.
        path = suite.joinpath(*file.parts[1:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(map(_STUB.format, tests)))
    if not found:
        suite.mkdir(parents=True)
        (suite / "empty").touch()
    return str(suite)
