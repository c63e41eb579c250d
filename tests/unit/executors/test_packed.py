"""Files of a kernel come as they were, and all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.executors.packed import moved, packed, put, unpack


def _laid_out(place: Path) -> Path:
    (place / "deep").mkdir(parents=True)
    (place / "console.log").write_bytes(b"\0\xff" * 9999)
    (place / "deep/config").write_text("CONFIG_X=y\n")
    return place


def test_there_and_back(tmp_path: Path) -> None:
    before = packed(_laid_out(tmp_path / "a"))
    unpack(before, tmp_path / "b")
    assert packed(tmp_path / "b") == before
    assert set(before) == {"console.log", "deep/config"}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_nothing_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        unpack({name: b""}, tmp_path / "b")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("held", [None, (), ("console.log", "of-before")])
def test_put_replaces_all_that_was_there(tmp_path: Path, held: tuple[str, ...] | None) -> None:
    files = packed(_laid_out(tmp_path / "a"))
    target = tmp_path / "run/kernels/7.3"
    target.parent.mkdir(parents=True)
    if held is not None:
        target.mkdir()
        for name in held:
            (target / name).write_text("old")
    put(files, target, tmp_path / "run")
    assert packed(target) == files
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kernels"]


def test_what_cannot_be_unpacked_leaves_what_was(tmp_path: Path) -> None:
    target = tmp_path / "run/7.3"
    target.mkdir(parents=True)
    (target / "console.log").write_text("old")
    with pytest.raises(ValueError, match="leads out"):
        put({"../x": b""}, target, tmp_path / "run")
    assert (target / "console.log").read_text() == "old"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["7.3"]


def test_the_script_that_boots_it_again_names_what_is_here(tmp_path: Path) -> None:
    place = _laid_out(tmp_path / "a")
    (place / "vng.txt").write_text("ln -s /tmp/x/payload.tar; ln -s /tmp/x/kernels/kernel/part\n")
    here = {"/tmp/x/kernels/kernel": Path("/run/kernels/7.3"), "/tmp/x/payload.tar": Path("/run/p")}
    unpack(moved(packed(place), here), tmp_path / "b")
    told = (tmp_path / "b/vng.txt").read_text()
    assert told == "ln -s /run/p; ln -s /run/kernels/7.3/part\n"
    assert moved({"console.log": b""}, here) == {"console.log": b""}
