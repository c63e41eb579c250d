"""Files that are whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.files import write_whole


def test_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for text in ("first\n", "zweite Fassung — länger\n"):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_old_file_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    write_whole(path, "old")
    monkeypatch.setattr("harness.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_place_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file/below"
    with pytest.raises(NotADirectoryError) as caught:
        write_whole(path, "text")
    assert caught.value.filename == str(path)
