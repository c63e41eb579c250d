"""What becomes of vng's arguments for QEMU, and with which rights QEMU then runs."""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.guest import launcher
from harness.guest.vng import BOARD, SANDBOX
from harness.processes import find_program

#: As vng 1.42 wrote them (``vng --dry-run --verbose``), with our own options near the end.
_FROM_VNG = shlex.split(
    """
-name afalg-guest -m 1G
-drive if=none,id=virtme-root,file=root,format=raw -device virtio-blk-pci,drive=virtme-root
-fsdev local,id=virtfs9,path=/venv/virtme/guest,security_model=none,readonly=on,multidevs=remap
-device virtio-9p-pci,fsdev=virtfs9,mount_tag=virtme.guesttools
-fsdev local,id=virtfs13,path=/k/lib/modules/7.3,security_model=none,readonly=on,multidevs=remap
-device virtio-9p-pci,fsdev=virtfs13,mount_tag=virtme.modules
-device i6300esb,id=watchdog0 -machine q35 -cpu max -parallel none -net none -smp 2
-vga none -display none -serial chardev:console
-chardev file,id=console,path=/proc/self/fd/2
-chardev stdio,id=stdin,signal=on,mux=off -device virtio-serial-pci
-device virtserialport,name=virtme.stdin,chardev=stdin
-chardev file,id=stdout,path=/proc/self/fd/1 -device virtio-serial-pci
-device virtserialport,name=virtme.stdout,chardev=stdout
-chardev file,id=stderr,path=/proc/self/fd/2 -device virtio-serial-pci
-device virtserialport,name=virtme.stderr,chardev=stderr
-chardev file,id=dev_stdout,path=/proc/self/fd/1 -device virtio-serial-pci
-device virtserialport,name=virtme.dev_stdout,chardev=dev_stdout
-chardev file,id=dev_stderr,path=/proc/self/fd/2 -device virtio-serial-pci
-device virtserialport,name=virtme.dev_stderr,chardev=dev_stderr
-chardev file,id=ret,path=/tmp/virtme_ret -device virtio-serial-pci
-device virtserialport,name=virtme.ret,chardev=ret
-no-reboot -kernel kernel/vmlinuz -append root=/dev/vda -initrd /proc/self/fd/5 -nodefaults
-drive if=none,id=afalg-payload,format=raw,readonly=on,file=payload.tar
-device virtio-blk-pci,drive=afalg-payload,serial=afalg-payload -snapshot
-device virtio-serial-pci,id=afalg-ports,max_ports=2
-device virtserialport,bus=afalg-ports.0,chardev=afalg-results,name=afalg.results
-chardev socket,id=afalg-results,path=results
-chardev socket,id=qmp,path=qmp -mon chardev=qmp,mode=control
"""
)

_DEVICES = [
    "virtio-blk-pci,drive=virtme-root",
    "virtio-blk-pci,drive=afalg-payload,serial=afalg-payload",
    "virtio-serial-pci,id=afalg-ports,max_ports=2",
    "virtserialport,bus=afalg-ports.0,chardev=afalg-results,name=afalg.results",
]


def _values(options: list[launcher.Option], name: str) -> list[str | None]:
    return [value for option, value in options if option == name]


def test_an_isolated_guest_has_its_disks_and_one_port() -> None:
    options = list(launcher.needed(launcher.parse(_FROM_VNG), launcher.ISOLATED))
    assert _values(options, "-device") == _DEVICES
    assert not _values(options, "-fsdev")
    channels = [str(value).split(",")[1] for value in _values(options, "-chardev")]
    assert channels == ["id=console", "id=afalg-results", "id=qmp"]


def test_all_else_is_passed_on_as_it_is() -> None:
    given = list(launcher.parse(_FROM_VNG))
    options = list(launcher.needed(given, launcher.ISOLATED))
    assert [word for option in given for word in option if word is not None] == _FROM_VNG
    assert [option for option in given if option in options] == options
    assert {name for name, _ in set(given) - set(options)} == {"-device", "-fsdev", "-chardev"}
    for kept in ("-snapshot", "-no-reboot", "-nodefaults"):
        assert (kept, None) in options


def test_a_shared_guest_keeps_what_the_host_exports() -> None:
    options = list(launcher.needed(launcher.parse(_FROM_VNG), launcher.SHARED))
    assert len(_values(options, "-fsdev")) == 2
    devices = [str(value).split(",")[0] for value in _values(options, "-device")]
    assert devices.count("virtio-9p-pci") == 2
    assert "i6300esb" not in devices
    assert devices.count("virtserialport") == 1


@pytest.mark.parametrize("kind", [launcher.ISOLATED, launcher.SHARED])
def test_a_command_line_too_long_for_a_kernel_starts_no_guest(tmp_path: Path, kind: str) -> None:
    """What counts is bytes: a kernel takes 2,047 of them."""
    (tmp_path / launcher.WORKPLACE).mkdir()
    for length, status in ((2047, 0), (2048, 1)):
        line = "é" + (length - 2) * "a"
        argv = launcher.argv(kind, find_program("echo"), ["-append", line])
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, line in done.stdout) == (status, not status), done.stderr
    said = f"{launcher.REFUSED}the kernel's command line would have 2048 bytes"
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1


def test_what_vng_wrote_into_the_root_is_named(tmp_path: Path) -> None:
    """Where somebody who ends vng finds it."""
    for line, said in (
        ("console=ttyS0 init=/bin/sh -- /virtme-init-a_1", ["/virtme-init-a_1"]),
        ("/virtme-init-mine init=/bin/sh -- -c true", []),
    ):
        argv = launcher.argv(launcher.SHARED, find_program("echo"), ["-append", line])
        subprocess.run(argv, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        named = [file.read_text() for file in tmp_path.glob(launcher.INIT_NAME)]
        assert named == said
        for file in tmp_path.iterdir():
            file.unlink()


#: Stands for QEMU: tells what it can do with what it was given. (Any user can run a shell.)
_PROGRAM = """\
#!/bin/bash
while read -r key value; do
    case $key in Uid: | CapEff: | CapPrm:) echo "$value" ;; esac
done < /proc/self/status
pwd
ulimit -S -f
ulimit -S -c
while [ $# -gt 0 ]; do
    case $1 in
    -kernel) cat "$2"; echo ;;
    -add-fd) number=${2#fd=}; cat <&"${number%%,*}"; echo ;;
    -chardev) printf 'a record' >&"${2##*fd=}" ;;
    -drive) echo "$2" ;;
    esac
    shift
done
truncate -s LIMIT big
(printf x >> big) 2>&1 | grep -o "File too large"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory such as vng runs in; what is in it is for its owner alone, and so is the way."""
    (tmp_path / "closed").mkdir(mode=0o700)
    directory = tmp_path / "closed/place"
    directory.mkdir()
    (directory / launcher.WORKPLACE).mkdir()
    for name in ("disk,1", "kernel"):
        (directory / name).write_text(f"the {name}")
        (directory / name).chmod(0o600)
    return directory


@contextlib.contextmanager
def _listening(place: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(place):
        listener.bind("results")
        listener.listen(1)
        yield listener


def test_files_are_opened_before_rights_are_given_up(place: Path) -> None:
    """As root: by a user who could open none of them. As anybody else: the same descriptors."""
    program = place.parent.parent / "qemu"
    program.write_text(_PROGRAM.replace("LIMIT", str(launcher.DISK_LIMIT)))
    program.chmod(0o755)
    arguments = [
        *("-drive", "id=virtme-root,file=disk,,1,format=raw", "-kernel", "kernel"),
        *("-chardev", "socket,id=afalg-results,path=results"),
    ]
    argv = launcher.argv(launcher.ISOLATED, str(program), arguments)
    with _listening(place) as listener, _open_to_all(program.parent):
        done = subprocess.run(argv, cwd=place, capture_output=True, text=True, check=False)
        connection, _ = listener.accept()
        with connection:
            record = connection.recv(100)
    assert done.returncode == 0, done.stderr
    users, *capabilities, directory, files, core = done.stdout.splitlines()[:6]
    if os.geteuid() == 0:
        assert {int(user) for user in users.split()} <= set(launcher.USER_IDS)
        assert capabilities == ["0" * 16, "0" * 16]
    assert Path(directory) == place / launcher.WORKPLACE
    assert (int(files) * 1024, int(core)) == (launcher.DISK_LIMIT, 0)
    disk, drive, kernel, refused = done.stdout.splitlines()[6:]
    assert drive == "id=virtme-root,file=/dev/fdset/0,format=raw"
    assert (kernel, disk, record) == ("the kernel", "the disk,1", b"a record")
    assert refused == "File too large"


@contextlib.contextmanager
def _open_to_all(directory: Path) -> Iterator[None]:
    """Let another user run a program in ``directory``: pytest's are closed to others."""
    closed = [path for path in (directory, *directory.parents) if not path.stat().st_mode & 0o001]
    modes = [path.stat().st_mode for path in closed]
    for path in closed:
        path.chmod(0o711)
    yield
    for path, mode in zip(closed, modes, strict=True):
        path.chmod(mode)


def test_qemu_runs_in_a_sandbox(place: Path) -> None:
    """QEMU itself, with no guest in it, takes the options and is filtered."""
    arguments = [*BOARD[:1], "-machine", "none", "-display", "none", "-S", "-sandbox", SANDBOX]
    argv = launcher.argv(launcher.ISOLATED, find_program("qemu-system-x86_64"), arguments)
    with subprocess.Popen(argv, cwd=place, stderr=subprocess.PIPE, text=True) as process:
        try:
            status = _status_when_filtered(process)
        finally:
            process.send_signal(signal.SIGKILL)
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert {int(word) for word in status["Uid"].split()} <= set(launcher.USER_IDS)
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["Groups"] == ""


def _status_when_filtered(process: subprocess.Popen[str]) -> dict[str, str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if status["Seccomp"] != "0":
            return status
        signal.sigtimedwait([], 0.05)  # nothing tells that the filter is in place
    raise AssertionError(f"QEMU has no filter; it said: {process.communicate()[1]}")


def test_what_keeps_roots_rights_says_so(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.chdir(place)
    monkeypatch.setenv("TMPDIR", "elsewhere")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(os, "setgroups", refuse)
    launcher.enter_workplace([])
    assert Path.cwd() == place / launcher.WORKPLACE
    assert os.environ["TMPDIR"] == "."
    assert "keeps root's rights: [Errno 22]" in capsys.readouterr().err


def test_a_limit_that_is_stricter_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    monkeypatch.setattr(resource, "setrlimit", lambda *words: asked.append(words))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    launcher.limit_files()
    assert asked == [(resource.RLIMIT_FSIZE, (100, 100)), (resource.RLIMIT_CORE, (0, 0))]
