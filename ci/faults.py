"""Runs with a fault at a random moment: nothing is lost, nothing is left, no verdict is wrong.

    .venv/bin/python ci/faults.py [--runs N] [--seed S] [--kinds LIST] [--kernel SPEC] [--out DIR]

Each run has five quick tests and a fault of one kind, in turn: a signal to the harness, vng or
QEMU; a test that kills, starves or floods the guest, or writes garbage to the records' port; a
small disk; a bad kernel. Where it comes is drawn with the seed: at which line of events.jsonl, or
in which test's place. Prints a line for each run and figures for each kind. Exits with 0 if nothing
was wrong, with 1 if something was. It needs root where a disk is to be full (a small tmpfs).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError
from harness.model import KernelResult, Outcome, Status
from harness.replayed import replay_run
from harness.report import results_file

_HARNESS = Path(sys.executable).parent / "afalg-harness"
_PATIENCE = 900  # seconds that a run may take on a busy machine
_ENDING = 30  # seconds in which the kernel may end what was killed
_TESTS = 5
_EVENTS = 14  # lines of events.jsonl of such a run, roughly
_RESETTING = "6.0.0-reset"  # release of an image that resets the machine
_TEST = "import time\ndef test_{number}(): time.sleep(0.2)\n"
_SYSRQ = """
def test_fault():
    with open("/proc/sys/kernel/sysrq", "w") as enable: enable.write("1")
    with open("/proc/sysrq-trigger", "w") as trigger: trigger.write("{letter}")
"""
#: Real-time threads, one on each CPU, that never sleep and cannot be throttled: nothing else
#: runs any more, the kernel's threads neither.
_HANG = """
import os, signal
def test_fault():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    with open("/proc/sys/kernel/sched_rt_runtime_us", "w") as limit: limit.write("-1")
    for cpu in os.sched_getaffinity(0):
        if os.fork() == 0:
            os.sched_setaffinity(0, {cpu})
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
            while True: pass
    while True: pass
"""
_MEMORY = """
def test_fault():
    held = []
    while True: held.append(b"x" * (16 << 20))
"""
_FLOOD = """
def test_fault():
    with open("/dev/console", "w") as console:
        for number in range(4000): console.write(f"noise {number} " + "x" * 100 + "\\n")
"""
#: By any descriptor of the port that a process of the guest has (pidfd_getfd is 438 on x86-64).
_GARBAGE = """
import ctypes, os, pathlib
def test_fault():
    call, sent = ctypes.CDLL(None).syscall, 0
    for path in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if not os.readlink(path).startswith("/dev/vport"): continue
        except OSError:
            continue
        pidfd = os.pidfd_open(int(path.parts[2]))
        port = call(438, pidfd, int(path.name), 0)
        if port < 0: continue
        sent += os.write(port, b"\\n{}\\n[1]\\n\\xff\\xfe garbage\\n" + b'{"type": "outcome"}\\n')
        break
    assert sent
"""
#: To the root's disk, whose writes are kept in a file of QEMU's.
_FILL = """
import os
def test_fault():
    with open("/usr/filled", "wb") as file:
        for _ in range(64): file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
"""


@dataclass
class Trial:
    """One run: where its files lie, and how it ended."""

    number: int
    kind: str
    place: Path
    draw: random.Random
    kernel: str
    code: int | None = None
    stderr: str = ""
    landed: bool = True  # whether the fault came before the end
    moment: str = ""  # when it came
    wrong: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """The run directory."""
        return self.place / "out/run"

    @property
    def temporary(self) -> Path:
        """Its TMPDIR. Whatever works for this run has this path in its environment."""
        return self.place / "tmp"

    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        return {**os.environ, "TMPDIR": str(self.temporary)}

    def suite(self, fault: str = "") -> Path:
        """A folder of five quick tests, one of them ``fault``."""
        folder = self.place / "suite"
        folder.mkdir(exist_ok=True)
        at = self.draw.randrange(_TESTS) if fault else -1
        self.moment = self.moment or (f"test {at + 1}" if fault else "")
        for number in range(_TESTS):
            text = fault if number == at else _TEST.format(number=number)
            (folder / f"test_{number}.py").write_text(text)
        return folder

    def start(self, *arguments: str | Path, fault: str = "") -> subprocess.Popen[str]:
        """Start the run, whose group is its own."""
        (self.place / "out").mkdir(exist_ok=True)
        self.temporary.mkdir(exist_ok=True)
        options = ("--suite", self.suite(fault), "--test-timeout", "10", "--out", self.out)
        return subprocess.Popen(
            [_HARNESS, "run", "--no-store", *(arguments or (self.kernel,)), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> None:
        """Wait for its end."""
        try:
            _, self.stderr = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, self.stderr = process.communicate()
            self.wrong.append(f"did not end in {_PATIENCE} s")
        self.code = process.returncode

    def events(self) -> list[dict[str, object]]:
        """What events.jsonl has so far, of all kernels."""
        found = []
        for file in self.out.glob("kernels/*/events.jsonl"):
            for line in file.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def result(self) -> KernelResult | None:
        """The stored result of its kernel."""
        try:
            (kernel,) = results_file.load(self.out).kernels
        except (InputError, OSError):
            return None
        return kernel

    def expect(self, truth: bool, what: str) -> None:
        """Note ``what`` is wrong unless ``truth``."""
        if not truth:
            kernel = self.result()
            said = f"{kernel.status}: {kernel.status_reason}" if kernel else "no result"
            self.wrong.append(f"{what} (exit {self.code}, {said})")


def processes(trial: Trial) -> dict[int, list[str]]:
    """What works for a run, by process id: all that name its TMPDIR in their environment."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(trial.temporary) in (directory / "environ").read_bytes():
                words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words != [""]:  # a zombie
                    found[int(directory.name)] = words
        except OSError:
            continue
    return found


def _command(
    *words: str | Path, check: bool = True, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, check=check, capture_output=True, text=True, env=environment)


def signalled(target: str, number: signal.Signals) -> Callable[[Trial], None]:
    """Runs with a signal to the harness, vng or QEMU."""

    def run(trial: Trial) -> None:
        line, pause = trial.draw.randrange(_EVENTS), trial.draw.random()
        trial.moment = f"line {line} + {pause:.1f} s"
        process = trial.start()
        trial.landed = False
        due: float | None = None
        deadline = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < deadline and not trial.landed:
            if due is None and len(trial.events()) >= line and trial.out.exists():
                due = time.monotonic() + pause
            victim = _victim(target, process.pid, trial) if due is not None else None
            if victim is not None and time.monotonic() >= (due or 0):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, number)
                    trial.landed = True
            time.sleep(0.02)  # between looks at a file that another process writes
        trial.finish(process)
        _judge_signal(trial, target, number)

    return run


def _victim(target: str, harness: int, trial: Trial) -> int | None:
    if target == "harness":
        return harness
    names = {"vng": ("vng", 1), "qemu": ("qemu-system-x86_64", 0)}
    name, position = names[target]
    for process, words in processes(trial).items():
        if len(words) > position and Path(words[position]).name == name:
            return process
    return None


def _judge_signal(trial: Trial, target: str, number: signal.Signals) -> None:
    kernel = trial.result()
    whole = kernel is not None and kernel.status is Status.COMPLETED and kernel.verdict.ok
    if not trial.landed:
        trial.expect(trial.code == 0 and whole, "nothing was done to it")
    elif target == "harness" and number == signal.SIGKILL:
        trial.expect(trial.code == -signal.SIGKILL, "killed")
    elif target == "harness":
        ended = trial.code == ExitCodes.INTERRUPTED or (trial.code == 0 and whole)
        trial.expect(ended, "interrupted")
    else:
        # Amid a boot it is tried again, and when all is said it may be too late.
        ended = trial.code == ExitCodes.INFRASTRUCTURE or (trial.code == 0 and whole)
        trial.expect(ended, f"{target} was killed, which says nothing of the kernel")


class ExitCodes:
    """Those of README.md."""

    OK, FOUND, USAGE, INFRASTRUCTURE, INTERRUPTED = 0, 1, 2, 3, 130


def hostile(
    fault: str, *, codes: tuple[int, ...], outcomes: tuple[Outcome, ...]
) -> Callable[[Trial], None]:
    """Runs with a test that harms the guest; ``codes`` and its ``outcomes`` are right ones."""

    def run(trial: Trial) -> None:
        trial.finish(trial.start(fault=fault))
        kernel = trial.result()
        tests = kernel.tests if kernel is not None else ()
        found = next((test.outcome for test in tests if test.id.endswith("test_fault")), None)
        trial.expect(trial.code in codes and found in outcomes, f"the fault's test is {found}")

    return run


def full_temporary(trial: Trial) -> None:
    """A run whose TMPDIR is a small disk, which a test of it fills."""
    size = trial.draw.randrange(1, 48)
    trial.moment = f"{size} MiB"
    trial.temporary.mkdir()
    with small_disk(trial.temporary, size << 20):
        trial.finish(trial.start(fault=_FILL))
        trial.expect(trial.code == ExitCodes.INFRASTRUCTURE, "a full disk")
        kernel = trial.result()
        said = trial.stderr + (kernel.status_reason if kernel else "")
        named = str(trial.temporary) in said and "no space left" in said.lower()
        trial.expect(named, "the full place is not named")
        check_leftovers(trial)


def full_run_directory(trial: Trial) -> None:
    """A run whose run directory lies on a small disk."""
    size = trial.draw.randrange(4, 200)
    trial.moment = f"{size} KiB"
    place = trial.out.parent
    place.mkdir()
    with small_disk(place, size << 10):
        trial.finish(trial.start())
        trial.expect(trial.code == ExitCodes.INFRASTRUCTURE, "a full disk")
        trial.expect(str(place) in trial.stderr, "the full place is not named")
        check_finished(trial)


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    """A tmpfs of ``size`` bytes at ``place``."""
    options = f"size={size},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "faults", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def bad_kernel(make: Callable[[random.Random], bytes], code: int) -> Callable[[Trial], None]:
    """Runs of a file that is no good kernel."""

    def run(trial: Trial) -> None:
        image = trial.place / f"{trial.kind}.deb" if "package" in trial.kind else trial.place / "k"
        image.write_bytes(make(trial.draw))
        config = "".join(f"CONFIG_{name}=y\n" for name in ("EXT4_FS", "VIRTIO_BLK", "VIRTIO_PCI"))
        (trial.place / f"config-{_RESETTING}").write_text(config)
        trial.moment = f"{image.stat().st_size} bytes"
        trial.finish(trial.start(image))
        trial.expect(trial.code == code, trial.kind)

    return run


def _truncated(draw: random.Random) -> bytes:
    """A package, cut somewhere."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name, "tree")
        (tree / "DEBIAN").mkdir(parents=True)
        fields = "Package: linux-image-x\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@x.x>\n"
        (tree / "DEBIAN/control").write_text(fields + "Description: x\n")
        (tree / "boot").mkdir()
        (tree / "boot/vmlinuz-x").write_bytes(draw.randbytes(100_000))
        _command("dpkg-deb", "--build", "--root-owner-group", tree, Path(name, "whole.deb"))
        whole = Path(name, "whole.deb").read_bytes()
    return whole[: draw.randrange(len(whole))]


def _random_image(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randrange(1, 1 << 20))


def _resetting(draw: random.Random) -> bytes:
    """An image with the header of a kernel, whose first instructions reset the machine."""
    head = bytearray(512 * 5)
    head[0x1F1] = 4  # sectors of real-mode code, less one
    struct.pack_into("<I", head, 0x1F4, 4)
    struct.pack_into("<H", head, 0x1FE, 0xAA55)
    head[0x200:0x202] = b"\xeb\x7e"  # jmp 0x280
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<HxxxxxxH", head, 0x206, 0x20F, 0x100)  # protocol, version string
    head[0x211] = 1  # loaded high
    struct.pack_into("<I", head, 0x22C, 0x7FFFFFFF)  # the initrd may lie anywhere
    struct.pack_into("<H", head, 0x236, 1)  # 64 bits
    reset = b"\xb0\xfe\xe6\x64\xf4\xeb\xfd"  # mov al, 0xfe; out 0x64, al; hlt; jmp
    head[0x280 : 0x280 + len(reset)] = reset
    version = f"{_RESETTING} (x@x) #1\0".encode()
    head[0x300 : 0x300 + len(version)] = version
    return bytes(head) + draw.randbytes(64)


_DIED, _HUNG = (Outcome.CRASHED,), (Outcome.TIMEOUT,)
_FOUND = (ExitCodes.FOUND,)
KINDS: dict[str, Callable[[Trial], None]] = {
    **{
        f"{target}-{number.name.removeprefix('SIG').lower()}": signalled(target, number)
        for target in ("harness", "vng", "qemu")
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    },
    "panic": hostile(_SYSRQ.format(letter="c"), codes=_FOUND, outcomes=_DIED),
    "reboot": hostile(_SYSRQ.format(letter="b"), codes=_FOUND, outcomes=_DIED),
    "hang": hostile(_HANG, codes=_FOUND, outcomes=(*_HUNG, *_DIED)),
    "memory": hostile(
        _MEMORY, codes=_FOUND, outcomes=(Outcome.FAILED, Outcome.ERROR, *_DIED, *_HUNG)
    ),
    "flood": hostile(_FLOOD, codes=(ExitCodes.OK,), outcomes=(Outcome.PASSED,)),
    "garbage": hostile(_GARBAGE, codes=_FOUND, outcomes=(Outcome.PASSED,)),
    "full-tmp": full_temporary,
    "full-out": full_run_directory,
    "truncated-package": bad_kernel(_truncated, ExitCodes.USAGE),
    "random-image": bad_kernel(_random_image, ExitCodes.USAGE),
    "resetting-image": bad_kernel(_resetting, ExitCodes.INFRASTRUCTURE),
}


def check_finished(trial: Trial) -> None:
    """Every result that was heard is in what the run stored, or in what a replay makes."""
    heard = {
        str(event["id"]): str(event["outcome"])
        for event in trial.events()
        if event.get("type") == "outcome" and event.get("by") == "guest" and "id" in event
    }
    if not heard:
        return
    known: dict[str, str] = {}
    with contextlib.suppress(InputError, OSError):
        kernels = results_file.load(trial.out).kernels
        known |= {test.id: test.outcome for kernel in kernels for test in kernel.tests}
    if not heard.items() <= known.items():
        replayed = _command(_HARNESS, "report", "--replay", trial.out, check=False)
        if replayed.returncode == ExitCodes.USAGE or "Traceback" in replayed.stderr:
            trial.wrong.append(f"the files cannot be replayed: {replayed.stderr.strip()[-200:]}")
            return
        kernels = replay_run(trial.out).kernels
        known = {test.id: test.outcome for kernel in kernels for test in kernel.tests}
    lost = sorted(set(heard.items()) - set(known.items()))
    if lost:
        trial.wrong.append(f"lost: {lost}")


def check_leftovers(trial: Trial) -> None:
    """No process, mount, socket or file of the run is left (SIGKILL: the next clears them)."""
    deadline = time.monotonic() + _ENDING
    while (left := processes(trial)) and time.monotonic() < deadline:
        time.sleep(0.1)  # there is nothing to wait on: they are no children of ours
    if left:
        trial.wrong.append(f"processes are left: {left}")
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    if trial.kind == "harness-kill":
        nothing = ("run", trial.place / "no-such-kernel", "--out", trial.place / "next")
        _command(_HARNESS, *nothing, check=False, environment=trial.environment())
    files = [path.name for path in trial.temporary.iterdir() if "harness-error" not in path.name]
    place = str(trial.temporary)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    inside = [line for line in mounts if f" {place}/" in line]
    sockets = [line for line in Path("/proc/net/unix").read_text().splitlines() if place in line]
    for name, found in (("files", files), ("mounts", inside), ("sockets", sockets)):
        if found:
            trial.wrong.append(f"{name} are left: {found}")


def attempt(trial: Trial) -> None:
    """Do one run, and look at what it left behind."""
    trial.place.mkdir(parents=True)
    KINDS[trial.kind](trial)
    if "Traceback" in trial.stderr or (trial.out / "harness-error.log").exists():
        trial.wrong.append(f"a traceback: {trial.stderr.strip()[-300:]}")
    if trial.out.exists():  # else it lay on a disk that is gone
        check_finished(trial)
    check_leftovers(trial)


def table(trials: list[Trial]) -> str:
    """A line for each kind, and one for all."""
    kinds: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        kinds[trial.kind].append(trial)
        kinds["all"].append(trial)
    kinds["all"] = kinds.pop("all")
    lines = [f"{'kind':20} {'runs':>5} {'landed':>7} {'wrong':>6}  exit codes"]
    for kind, found in kinds.items():
        codes = sorted({str(trial.code) for trial in found})
        landed, wrong = (
            sum(trial.landed for trial in found),
            sum(map(bool, (t.wrong for t in found))),
        )
        lines.append(f"{kind:20} {len(found):5} {landed:7} {wrong:6}  {', '.join(codes)}")
    return "\n".join(lines)


def main() -> int:
    """Run all; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--kernel", default="debian:6.12.43+deb12-amd64", metavar="SPEC")
    parser.add_argument("--out", type=Path, default=Path("runs/faults"))
    chosen = parser.parse_args()
    kinds = chosen.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"no such kinds: {', '.join(sorted(unknown))}")
    if chosen.out.exists():
        parser.error(f"{chosen.out} is there already")
    trials: list[Trial] = []
    for number in range(chosen.runs):
        kind = kinds[number % len(kinds)]
        place = chosen.out.absolute() / f"{number:03}-{kind}"
        draw = random.Random(f"{chosen.seed} {number}")
        trial = Trial(number, kind, place, draw, chosen.kernel)
        started = time.monotonic()
        attempt(trial)
        trials.append(trial)
        seconds = time.monotonic() - started
        told = "; ".join(trial.wrong) or ("right" if trial.landed else "right, the fault came late")
        print(
            f"{number:4} {kind:18} {trial.moment:16} exit {trial.code} {seconds:6.1f} s  {told}",
            flush=True,
        )
        if not trial.wrong:
            shutil.rmtree(place)
    print(table(trials))
    return 1 if any(trial.wrong for trial in trials) else 0


if __name__ == "__main__":
    sys.exit(main())
