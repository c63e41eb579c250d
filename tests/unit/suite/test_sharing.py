"""Which sources hand over copies: asked of this machine's kernel, and of one that copies."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from harness.model import Cause, Reason
from tests.unit.guest.test_oracle import suite_module


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The suite's pages, as if who runs this could see page frames, and they stayed."""
    suite_module("libc")
    module = suite_module("pages")
    monkeypatch.setattr(module, "frame_numbers", lambda _address, count: [7] * count)
    return module


@pytest.fixture
def sharing(pages: ModuleType) -> Any:
    assert pages
    return suite_module("sharing").Sharing()


def by_copy(source: Any, pipe: int, offset: int, length: int) -> int:
    """Put what a source holds into a pipe as write() does."""
    if hasattr(source, "descriptor"):
        return os.write(pipe, os.pread(source.descriptor, length, offset))
    libc = suite_module("libc")
    return os.write(pipe, libc.memory_at(source.address, source.length)[offset : offset + length])


@pytest.fixture
def copying(pages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have sources of these classes copy."""

    def copy(*names: str) -> None:
        for name in names:
            monkeypatch.setattr(getattr(pages, name), "put", by_copy)

    return copy


@pytest.mark.parametrize("sort", ["memfd", "memory", "gift"])
def test_this_kernel_shares(sharing: Any, sort: str) -> None:
    assert sharing.refusal(sort) is None
    sharing.require(sort)


def test_memory_that_is_copied(sharing: Any, copying: Callable[..., None]) -> None:
    copying("MemorySource")
    for sort in ("memory", "gift"):
        refusal = sharing.refusal(sort, "tee")
        assert refusal.reason == Reason(Cause.SOURCE_COPIES, name="vmsplice")
        assert refusal.control == "fired"
        assert str(refusal).startswith("vmsplice copies on this kernel: a page of anonymous memory")
        assert "a page of a memfd reads as overwritten" in str(refusal)
    assert sharing.refusal("memfd") is None


def test_files_that_are_copied(sharing: Any, copying: Callable[..., None]) -> None:
    copying("FileSource")
    refusal = sharing.refusal("memfd", "tee")
    assert refusal.reason == Reason(Cause.SOURCE_COPIES, name="splice")
    assert "a page of anonymous memory reads as overwritten" in str(refusal)
    assert sharing.refusal("memory") is None


def test_sendfile_is_asked_by_itself(sharing: Any, copying: Callable[..., None]) -> None:
    copying("FileSource")
    assert sharing.refusal("memfd", "sendfile") is None


def test_all_that_is_copied(sharing: Any, copying: Callable[..., None]) -> None:
    copying("FileSource", "MemorySource")
    assert "no source here shares its pages" in str(sharing.refusal("memory"))


def test_what_was_not_overwritten_in_place_proves_no_copy(
    sharing: Any, pages: ModuleType, copying: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    copying("MemorySource")
    frames = itertools.count(1)
    monkeypatch.setattr(pages, "frame_numbers", lambda _address, _count: [next(frames)])
    assert sharing.refusal("memory") is None


def test_a_source_that_is_not_there_proves_no_copy(
    sharing: Any, pages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pages, "scratch_memfd", full)
    assert sharing.refusal("memfd") is None


def test_each_source_is_asked_once(
    sharing: Any, copying: Callable[..., None], pages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying("MemorySource")
    first = str(sharing.refusal("memory"))
    monkeypatch.delattr(pages.MemorySource, "put")
    assert str(sharing.refusal("memory")) == first


def test_a_probe_of_such_a_source_is_unreachable_by_its_own_control(
    sharing: Any, copying: Callable[..., None]
) -> None:
    copying("MemorySource")
    probing = suite_module("probing")
    recorded: dict[str, Any] = {}
    probe = probing.Probe("zero_copy.x", lambda _name, **seen: recorded.update(seen))
    with pytest.raises(pytest.skip.Exception), probe.searching():
        sharing.require("memory")
    assert (recorded["state"], recorded["control"]) == ("unreachable", "fired")
    assert recorded["reason"] == Reason(Cause.SOURCE_COPIES, name="vmsplice")
