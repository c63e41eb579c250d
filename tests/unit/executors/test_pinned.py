"""A kernel is the same one wherever it is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.executors import pinned as module
from harness.executors.executor import PinnedKernel
from harness.executors.pinned import check_files, pin
from harness.kernels.sources import KernelSources
from harness.progress import SilentProgress


def _pin(spec: str) -> PinnedKernel:
    return pin(spec, KernelSources(Path("/no/cache")), SilentProgress())


def test_the_newest_of_a_suite_is_what_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "release_named", lambda *_: "7.3.4+deb13-cloud-amd64")
    found = _pin("debian:trixie/cloud")
    assert (found.pinned, found.release) == (
        "debian:7.3.4+deb13-cloud-amd64",
        "7.3.4+deb13-cloud-amd64",
    )
    assert found.spec == "debian:trixie/cloud"


def test_a_release_is_asked_of_nobody() -> None:
    found = _pin("debian:7.3.4+deb13-amd64")
    assert (found.pinned, found.release) == ("debian:7.3.4+deb13-amd64", "7.3.4+deb13-amd64")


def test_packages_are_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.deb", "b.deb"):
        Path(name).write_text(name)
    found = _pin("a.deb,b.deb")
    assert found.pinned == f"{tmp_path}/a.deb,{tmp_path}/b.deb"
    check_files(found, "node-1")
    Path("b.deb").write_text("another")
    with pytest.raises(InputError, match=r"a.deb,b.deb: .*/b.deb is another file on node-1"):
        check_files(found, "node-1")
    Path("b.deb").unlink()
    with pytest.raises(InputError, match=r"node-1 has no .*/b.deb"):
        check_files(found, "node-1")


def test_an_image(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(b"x")
    found = _pin(str(image))
    assert found.pinned == str(image)
    check_files(found, "here")
    assert replace(found, files=()) != found


def test_the_kernel_of_this_machine_is_no_others() -> None:
    with pytest.raises(InputError, match="another kernel on each machine"):
        _pin("host")
