"""The choice of the accelerator: a kernel's fault is not taken for the host's."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pexpect
import pytest

from harness.errors import HostError, InfrastructureError, Interrupted
from harness.guest import accel
from harness.guest.accel import Accel, choose_accel
from harness.guest.vng import QEMU
from harness.processes import interruptible
from harness.progress import SilentProgress


class Host:
    """A machine with a KVM device, and kernels that boot under some accelerators."""

    def __init__(self, place: Path) -> None:
        self.cache = place / "cache"
        self.place = place
        self.works: dict[Path, tuple[str, ...]] = {}
        self.tried: list[tuple[str, str]] = []

    def kernel(self, name: str, *accelerators: str) -> Path:
        """A kernel that boots under these."""
        image = self.place / name
        image.write_text(name)
        self.works[image] = accelerators
        return image

    def boot(self, accelerator: str, image: Path) -> str | None:
        """As QEMU would."""
        self.tried.append((accelerator, image.name))
        return None if accelerator in self.works[image] else f"no {accelerator}"

    def choose(self, image: Path, wanted: str = "auto") -> Accel:
        """What a run that judges ``image`` uses; ``tried`` is what it tried."""
        self.tried.clear()
        return choose_accel(wanted, image, self.cache, SilentProgress())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A machine without an image of its own kernel."""
    made = Host(tmp_path)
    (tmp_path / "kvm").touch()
    monkeypatch.setattr(accel, "_KVM", tmp_path / "kvm")
    monkeypatch.setattr(accel, "_try", made.boot)
    monkeypatch.setattr(accel, "_host_image", lambda: None)
    monkeypatch.setattr(accel, "qemu_version", lambda: "7.2")
    return made


def test_a_bad_candidate_forces_no_later_kernel(host: Host) -> None:
    bad = host.kernel("bad")
    chosen = host.choose(bad)
    assert chosen.name == "tcg"
    assert "nothing is known of KVM" in chosen.reason
    good = host.kernel("good", "kvm", "tcg")
    assert host.choose(good).name == "kvm"
    assert host.tried == [("kvm", "good")]
    assert host.choose(bad).name == "kvm"
    assert host.tried == []


def test_the_host_has_no_working_kvm(host: Host) -> None:
    image = host.kernel("image", "tcg")
    assert host.choose(image) == Accel("tcg", "no kvm")
    assert host.tried == [("kvm", "image"), ("tcg", "image")]
    assert host.choose(host.kernel("other", "kvm", "tcg")).name == "tcg"
    assert host.tried == []
    with pytest.raises(HostError, match="--accel kvm: no kvm"):
        host.choose(image, "kvm")


def test_another_kernel_is_tried_where_there_is_one(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = host.kernel("own", "kvm", "tcg")
    monkeypatch.setattr(accel, "_host_image", lambda: own)
    assert host.choose(host.kernel("bad")).name == "kvm"
    assert host.tried == [("kvm", "own")]


def test_the_hosts_own_kernel_need_not_boot_in_a_guest(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = host.kernel("own")
    monkeypatch.setattr(accel, "_host_image", lambda: own)
    assert host.choose(host.kernel("good", "kvm", "tcg")).name == "kvm"
    assert host.tried == [("kvm", "own"), ("tcg", "own"), ("kvm", "good")]


def test_after_an_upgrade_one_that_has_booted_is_tried(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = host.kernel("good", "kvm", "tcg")
    host.choose(good)
    monkeypatch.setattr(accel, "qemu_version", lambda: "10.0")
    bad = host.kernel("bad")
    assert host.choose(bad).name == "kvm"
    assert host.tried == [("kvm", "good")]
    monkeypatch.setattr(accel, "qemu_version", lambda: "10.1")
    host.works[good] = ("tcg",)
    assert host.choose(bad) == Accel("tcg", "no kvm")
    assert host.tried == [("kvm", "good")]


def test_one_that_has_booted_may_be_another_now(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = host.kernel("good", "kvm", "tcg")
    host.choose(good)
    monkeypatch.setattr(accel, "qemu_version", lambda: "10.0")
    good.write_text("overwritten")
    host.works[good] = ()
    assert "nothing is known" in host.choose(good).reason
    good.unlink()
    assert host.choose(host.kernel("other", "kvm")).name == "kvm"


def test_what_was_stored_is_of_no_use(host: Host) -> None:
    host.cache.mkdir()
    (host.cache / "accel.json").write_text('{"key": "as an earlier version wrote it"}')
    assert host.choose(host.kernel("good", "kvm")).name == "kvm"


def test_no_device(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "_KVM", host.place / "nothing")
    assert host.choose(host.kernel("good", "kvm")) == Accel("tcg", "this host has no /dev/kvm")
    assert host.choose(host.kernel("good", "kvm"), "tcg").reason == "asked for with --accel tcg"


def test_the_hosts_own_image() -> None:
    image = Path(f"/boot/vmlinuz-{os.uname().release}")
    assert accel._host_image() == (image if os.access(image, os.R_OK) else None)


def test_what_is_likely_is_known_without_a_trial(host: Host) -> None:
    image = host.kernel("good", "kvm", "tcg")
    assert accel.likely_accel("auto", host.cache) == "tcg", "nobody has tried KVM"
    assert accel.likely_accel("kvm", host.cache) == "kvm"
    host.choose(image)
    assert accel.likely_accel("auto", host.cache) == "kvm"
    assert accel.likely_accel("tcg", host.cache) == "tcg"
    (host.place / "kvm").unlink()
    assert accel.likely_accel("auto", host.cache) == "tcg", "the device is gone"


def test_a_trial_boot_heeds_a_request_to_end() -> None:
    child = pexpect.spawn("cat", encoding="utf-8")
    stop = threading.Event()
    assert accel._ENDS[accel._await(child, 0)] is pexpect.TIMEOUT
    with interruptible(stop), pytest.raises(Interrupted):
        stop.set()
        accel._await(child, 600)
    child.close(force=True)


def _qemu(directory: Path, script: str) -> None:
    """Put a program in QEMU's place, in one step."""
    new = directory / "new"
    new.write_text(f"#!/bin/sh\necho asked >> {directory}/asked\n{script}\n")
    new.chmod(0o755)
    new.replace(directory / QEMU)


def test_qemu_is_asked_once_for_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    _qemu(tmp_path, "echo broken >&2; exit 1")
    for _ in range(2):  # what fails is tried again
        with pytest.raises(InfrastructureError, match="broken"):
            accel.qemu_version()
    _qemu(tmp_path, "echo 'QEMU emulator version 7.2.22 (Debian 1:7.2)'")
    assert [accel.qemu_version() for _ in range(3)] == ["7.2.22"] * 3
    _qemu(tmp_path, "echo 'QEMU emulator version 10.0'  # another one in its place")
    assert [accel.qemu_version() for _ in range(3)] == ["10.0"] * 3
    assert len((tmp_path / "asked").read_text().splitlines()) == 2 + 1 + 1
