"""Nothing that a test runs leaves files among the temporary ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says nothing on a busy machine; pytest's own time-out holds.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


@pytest.fixture(scope="session")
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What is the directory of temporary files for the tests and all that they start."""
    place = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(place))
        patch.setattr(tempfile, "tempdir", None)  # it is looked for again
        yield place


@pytest.fixture
def details(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the details of a fault of ours go in this test."""
    place = tmp_path / "details"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture(autouse=True)
def _nothing_is_left(temporary_files: Path) -> Iterator[None]:
    """A test that leaves files on purpose gives them a directory of its own."""
    yield
    left = sorted(temporary_files.iterdir())
    for path in left:  # only the test that left it fails
        path.rename(temporary_files.with_name(f"left-{path.name}"))
    assert left == []
