"""Guests on this machine: whether another kernel than one that does not boot is heard here."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness import job
from harness.errors import InputError
from harness.executors import local
from harness.executors.local import LocalExecutor
from harness.guest.accel import Accel
from harness.guest.heard import Heard
from harness.guest.journal import BootRecord, ClosedRecord, Ending, Journal
from harness.guest.session import GuestSettings
from harness.guest.vng import Root
from harness.judge.expectations import Expectations
from harness.kernels.cache.kernel_store import KernelStore, Manifest
from harness.kernels.sources import KernelSources
from harness.model import BootableKernel
from harness.progress import SilentProgress
from harness.run_options import RunOptions
from tests.unit.guest.boots import NONCE, hello

_ROOT = Root("disk", Path("/image"))


class _Host:
    """Plays the guests of kernels of which some report and some are unfit."""

    def __init__(self, reporting: Iterable[str] = (), unfit: Iterable[str] = ()) -> None:
        self.reporting, self.unfit = set(reporting), set(unfit)
        self.booted: list[str] = []
        self.stopped = False  # before anything is heard

    def boot(self, kernel: BootableKernel, *rest: Any) -> None:
        settings, directory, stop, listener = rest[1], rest[4], rest[5], rest[8]
        assert settings == GuestSettings(root=_ROOT, accel="tcg", append=("mem=24M",))
        self.booted.append(kernel.release)
        if kernel.release in self.unfit:
            raise InputError(f"{kernel.spec}: cannot be booted as a guest")
        record = BootRecord(
            number=1,
            nonce=NONCE,
            release="6.12.43+deb12-amd64",
            spec=kernel.spec,
            accel="tcg",
            arguments=(f"afalg_harness.nonce={NONCE}",),
        )
        with Journal(directory) as journal:
            journal.boot(record)
            heard = Heard(record)
            listener(heard)
            assert not stop.is_set(), "nothing was heard yet"
            if kernel.release in self.reporting:
                message = hello()
                heard.record(message.seconds, journal.record(message))
                listener(heard)
                assert stop.is_set(), "that is all that is asked"
            over = self.stopped or kernel.release in self.reporting
            ending = Ending.STOPPED if over else Ending.GUEST
            journal.closed(ClosedRecord(ending, 10.0))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Three kernels, of which the archive has two."""
    store = KernelStore(tmp_path / "cache")
    for spec in ("debian:a", "/a/tree", "debian:b"):
        release = spec.rpartition(":")[2]
        made = store.create(
            release.strip("/").replace("/", "-"), spec, _fill(release), lambda: None
        )
        assert made.release == release
    return tmp_path / "cache"


def _fill(release: str) -> Any:
    return lambda _place: Manifest(release)


def _control(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path, host: _Host, dead: str
) -> str | None:
    monkeypatch.setattr(job, "boot_once", host.boot)
    monkeypatch.setattr(local, "choose_root", lambda *_, **__: _ROOT)
    monkeypatch.setattr(local, "choose_accel", lambda *_: Accel("tcg", "played"))
    options = RunOptions(
        specs=(f"debian:{dead}",),
        baseline=None,
        sources=KernelSources(cache),
        out=tmp_path / "run",
        command="",
        expectations=Expectations(),
        append=("mem=24M",),
    )
    executor = LocalExecutor(options, SilentProgress(), threading.Event())
    assert executor.control(dead) is None, "nothing is known before there is a root"
    executor.prepare()
    return executor.control(dead)


def test_another_kernel_is_booted_as_the_one_that_died(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    """On the same root, with the same arguments: they may be what is wrong."""
    host = _Host(reporting=["a"])
    assert _control(monkeypatch, tmp_path, cache, host, "b") == "a"
    assert host.booted == ["a"], "never the one that died; the archive's first"


def test_where_none_is_heard_it_is_not_the_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    host = _Host()
    assert _control(monkeypatch, tmp_path, cache, host, "c") == ""
    assert sorted(host.booted) == ["a", "b"], "two are enough"
    host.stopped = True
    assert _control(monkeypatch, tmp_path, cache, host, "c") == ""


def test_one_that_can_be_no_guest_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    host = _Host(reporting=["/a/tree"], unfit=["a"])
    assert _control(monkeypatch, tmp_path, cache, host, "b") == "/a/tree"
